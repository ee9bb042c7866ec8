"""The settings: their file, the screen that changes them, remapped keys, and what tells of runs that end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pilots import LARGE, play, shows, text, until
from textual.pilot import Pilot

from detui.engine.errors import UsageError
from detui.engine.run.directory import RunDir
from detui.tui import notices, settings
from detui.tui.app import DetuiApp
from detui.tui.glance import glance
from detui.tui.screens.press import PressScreen
from detui.tui.screens.run import RunScreen
from detui.tui.screens.runs import RunsScreen
from detui.tui.settings import Settings
from detui.tui.watching import News, Watcher


def test_no_file_is_the_defaults_and_the_defaults_need_no_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "terminal.json"
    assert settings.load(file) == Settings()
    settings.save(file, Settings())
    assert json.loads(file.read_text()) == {"schema": 1}
    changed = Settings(language="zh", refresh=5.0, keys={"runs.stop": "f9"})
    settings.save(file, changed)
    assert settings.load(file) == changed
    assert set(json.loads(file.read_text())) == {"schema", "language", "refresh", "keys"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ("[]", "not a mapping"),
        ('{"them": "dark"}', "did you mean 'theme'"),
        ('{"theme": "purple"}', '"dark", "light", "terminal"'),
        ('{"ascii": "yes"}', "ascii"),
        ('{"ascii": 1}', "ascii"),
        ('{"refresh": 0.01}', "0.5"),
        ('{"refresh": true}', "refresh"),
        ('{"keys": {"runs.stopp": "f9"}}', "did you mean 'runs.stop'"),
        ('{"keys": {"runs.stop": "ctrl+b"}}', "tmux"),
        ('{"keys": {"runs.stop": ""}}', "keys"),
    ],
)
def test_what_is_not_understood_is_said_with_file_and_field(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "terminal.json"
    file.write_text(content)
    with pytest.raises(UsageError) as error:
        settings.load(file)
    whole = f"{error.value} {error.value.hint}"
    assert told in whole
    assert str(file) in whole


def test_settings_lie_beside_the_configuration(tmp_path: Path) -> None:
    assert settings.settings_file({"HOME": str(tmp_path)}) == tmp_path / ".config/detui/terminal.json"
    assert settings.settings_file({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "detui/terminal.json"
    assert settings.settings_file({"DETUI_CONFIG": str(tmp_path / "own.yaml")}) == tmp_path / "terminal.json"


def test_a_setting_is_changed_used_and_kept(workspace: Path, written: Path, tmp_path: Path) -> None:
    file = tmp_path / "config" / "terminal.json"

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "█")
        await pilot.press("comma")
        await shows(app, pilot, "Language", "app.runs")
        await pilot.press("j", "right", "left", "right", "j", "space")
        assert (app.settings.theme, app.settings.ascii) == ("light", True)
        assert app.theme == "detui-light"
        assert settings.load(file) == app.settings
        await pilot.press("d")
        assert app.settings.ascii is False
        await pilot.press("enter", "escape")
        await until(pilot, lambda: "#" in text(app) and "█" not in text(app))

    play(workspace, script, LARGE, file=file)


def test_a_key_is_remapped_by_pressing_it(workspace: Path, written: Path, tmp_path: Path) -> None:
    file = tmp_path / "terminal.json"

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("colon", *"open the selected run")
        await shows(app, pilot, "Open the selected run")
        await pilot.press("escape", "comma")
        await shows(app, pilot, "runs.open") if "runs.open" in text(app) else None
        while "runs.open" not in selected(app):
            await pilot.press("j")
        await pilot.press("enter")
        assert isinstance(app.screen, PressScreen)
        await pilot.press("x")  # taken
        assert "runs.open" not in app.settings.keys
        await pilot.press("enter", "f5")
        assert app.settings.keys == {"runs.open": "f5"}
        await pilot.press("escape")
        await shows(app, pilot, "f5 Open")
        await pilot.press("enter")
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("f5")
        assert isinstance(app.screen, RunScreen)
        await pilot.press("q", "question_mark")
        for _ in range(10):
            if "f5" not in text(app):
                await pilot.press("pagedown")
        await shows(app, pilot, "f5")

    play(workspace, script, LARGE, file=file)
    assert settings.load(file).keys == {"runs.open": "f5"}


def selected(app: DetuiApp) -> str:
    return next((line for line in text(app).splitlines() if line.lstrip().startswith(">")), "")


def test_settings_that_cannot_be_kept_are_used_and_that_is_said(workspace: Path, written: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("comma", "j", "enter")
        assert app.settings.theme == "light"
        assert any(str(blocked) in note.message for note in app._notifications)

    play(workspace, script, LARGE, file=blocked / "terminal.json")


def test_read_only_changes_nothing(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "no-mosaic-s0")
        assert "Resume" not in text(app)
        await pilot.press("j", "r", "x", "X", "h")
        assert isinstance(app.screen, RunsScreen)
        assert len([note for note in app._notifications if "--read-only" in note.message]) >= 1
        await pilot.press("enter", "r")
        assert isinstance(app.screen, RunScreen)

    play(workspace, script, LARGE, read_only=True)
    assert len(RunDir(written / "runs/no-mosaic-s0").attempts()) == 1


def test_only_what_happens_while_one_looks_is_news(workspace: Path, written: Path) -> None:
    run = RunDir(written / "runs/no-mosaic-s0")
    other = RunDir(written / "runs/baseline-s0")
    watcher = Watcher()
    assert watcher.look([glance(one, {}) for one in (run, other)]) == []
    run.append_event("queued")
    assert watcher.look([glance(run, {})]) == []
    (run.attempt(1).path / "alarms").mkdir()
    (run.attempt(1).path / "alarms/nan").touch()
    run.append_event("failed", attempt=1, code=1)
    found = watcher.look([glance(run, {})])
    assert News(f"{written.name}/no-mosaic-s0", "alarm", ("nan",)) in found
    assert all(news.bad for news in found)
    assert watcher.look([glance(run, {})]) == []


def test_a_notice_rings_or_goes_to_the_desktop() -> None:
    news = [News("e/baseline-s0", "finished"), News("e/b\x1b]0;evil\x07-s1", "failed")]
    assert notices.sequence(news, "off", {}) == ""
    assert notices.sequence([], "bell", {}) == ""
    assert notices.sequence(news, "bell", {}) == "\a"
    assert notices.sequence(news, "message", {}) == "\x1b]9;detui: e/baseline-s0 finished (+1)\x1b\\\a"
    inside = notices.sequence(news, "message", {"TMUX": "/tmp/tmux"})
    assert inside.startswith("\x1bPtmux;\x1b\x1b]9;")
    assert "\x1b]0;" not in notices.sequence(news[::-1], "message", {})


def test_a_run_that_ends_is_announced(workspace: Path, written: Path) -> None:
    run = RunDir(written / "runs/no-mosaic-s0")

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "no-mosaic-s0")
        run.append_event("queued")
        await shows(app, pilot, "queued")
        await pilot.press("2")  # also while one looks at something else
        run.append_event("crashed", attempt=1, signal="SIGSEGV")
        await until(pilot, lambda: any("no-mosaic-s0: crashed" in note.message for note in app._notifications))

    play(workspace, script, LARGE)
