"""Every key of the table, pressed where it works: each must do something that can be seen, and a new key is tested too.

What exactly a key does is tested with its screen. Here a key fails that is bound and does nothing, on any screen that
has it, under any of its names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from key_users import users
from pilots import LARGE, play, shows, until
from textual.pilot import Pilot

from detui.tui import keys
from detui.tui.app import DetuiApp
from detui.tui.settings import Settings
from detui.tui.widgets.log_view import LogView

OPENING: dict[str, tuple[tuple[str, ...], str]] = {
    "RunsScreen": ((), "no-mosaic-s0"),
    "RunScreen": (("enter",), "a━box"),
    "RecipesScreen": (("2",), "aqr/balance"),
    "RecipeScreen": (("2", "G", "enter"), "$ detui run"),
    "LaunchScreen": (("2", "G", "enter", "enter"), "[ Start"),
    "CompareScreen": (("c",), "no-mosaic-s0"),
    "DevicesScreen": (("4",), "CPU"),
    "RecordScreen": (("5",), "Mosaic for a nano detector"),
    "SettingsScreen": (("comma",), "app.runs"),
    "HelpScreen": (("question_mark",), "Everywhere"),
    "DetuiApp": (("j",), "no-mosaic-s0"),
    "ConfirmScreen": (("j", "r"), "Resume from the last checkpoint?"),
}
"""Screen → the keys that lead there, and what stands there then."""
BEFORE: dict[str, tuple[str, ...]] = {
    "move.up": ("j", "j"),
    "move.top": ("j",),
    "move.page_up": ("pagedown", "pagedown"),
    "move.bottom": ("g",),
    "app.back": ("comma",),
    "app.runs": ("2",),
    "compare.reference": ("j",),
    "chart.left": ("right",),
    "chart.zoom_out": ("z",),
    "runs.unmark": ("space",),
    "runs.pin": ("v",),
    "runs.reverse": ("j",),
    "run.match": ("slash", *"epoch", "enter"),
    "run.match_before": ("slash", *"epoch", "enter"),
    "record.previous": ("n", "n"),
    "settings.reset": ("enter",),
    "launch.previous": ("tab",),
    "tabs.previous": ("tab",),
}
"""What has to be done first for a key to have something to do."""
ELSEWHERE = {
    "app.suspend": "tests/tui/test_terminal.py",
    "app.redraw": "tests/tui/test_terminal.py",
}
"""Keys whose effect only a real terminal shows → the file that tests it."""
NOT_HERE = {
    ("DevicesScreen", group) for group in ("devices.open", "devices.earlier", "devices.later", "devices.hold",
                                           "devices.front", "devices.stop", "devices.kill", "devices.copy")
}  # fmt: skip
"""Keys that need a run which really waits: tests/tui/test_devices.py presses each of them."""
CASES = [
    pytest.param(screen.__name__, key, name, id=f"{screen.__name__}-{key.id}-{name}")
    for key in keys.all_keys().values()
    if key.id not in ELSEWHERE
    for screen in users(key)
    if (screen.__name__, key.id) not in NOT_HERE
    for name in key.keys.split(",")
]


@pytest.fixture
def furnished(workspace: Path, repository: Path, writer: Callable[..., Path]) -> Path:
    writer(workspace, "starter.mosaic-20261119-090000", {f"baseline-s{seed}": "stopped" for seed in range(40)}, 1)
    path = writer(workspace)
    (path / "record.md").write_bytes((repository / "tests/engine/record/golden/record.en.md").read_bytes())
    (path / "record.zh.md").write_bytes((repository / "tests/engine/record/golden/record.zh.md").read_bytes())
    return workspace


def observed(app: DetuiApp) -> tuple[object, ...]:
    """Everything that a key may change."""
    strips = app.screen._compositor.render_strips()
    looks = [[(segment.text, str(segment.style)) for segment in strip] for strip in strips]
    logs = [(log.following, log.scroll_offset) for log in app.screen.query(LogView)]
    told = [note.message for note in app._notifications]
    return (
        type(app.screen),
        looks,
        app.clipboard,
        told,
        app.settings,
        list(app.marked),
        app.focused,
        logs,
        app._exit,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("screen", "key", "name"), CASES)
def test_a_key_does_something(
    furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: str, key: keys.Key, name: str
) -> None:
    opening, sign = OPENING[screen]
    monkeypatch.chdir(tmp_path)

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "no-mosaic-s0")
        await pilot.press(*opening)
        await shows(app, pilot, sign)
        await pilot.pause(0.3)
        await pilot.press(*BEFORE.get(key.id, ()))
        await pilot.pause(0.2)
        before = observed(app)
        await pilot.press(name)
        await until(pilot, lambda: observed(app) != before, 5)

    # A form that fits whole has nothing to scroll.
    play(furnished, script, (60, 16) if screen == "LaunchScreen" else LARGE, Settings(language="en"))


def test_what_is_tested_elsewhere_is(repository: Path) -> None:
    for ident, file in ELSEWHERE.items():
        pressed = {"app.suspend": r"\x1a", "app.redraw": r"\x0c"}[ident]
        assert pressed in (repository / file).read_text(), ident


def test_it_is_known_how_every_screen_is_reached() -> None:
    """What `make test` sees of a new screen or key; `make test-all` presses it."""
    assert {screen.__name__ for key in keys.all_keys().values() for screen in users(key)} <= set(OPENING)
    assert set(BEFORE) <= set(keys.all_keys())
