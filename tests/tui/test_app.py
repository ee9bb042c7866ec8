"""The application, key by key, on real workspaces: at 80×24 and 120×40."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pilots import LARGE, SMALL, play, shows, text, until
from textual.pilot import Pilot

from detui.engine.process.control import status
from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui.app import DetuiApp
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.screens.help import HelpScreen
from detui.tui.screens.record import RecordScreen
from detui.tui.screens.run import RunScreen
from detui.tui.screens.runs import RunsScreen
from detui.tui.settings import Settings
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.log_view import LogView
from detui.tui.widgets.run_list import RunList


@pytest.mark.parametrize("size", [SMALL, LARGE, (60, 16)])
def test_home_lists_every_run(workspace: Path, written: Path, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0", "no-mosaic-s0", "F finished", "S stopped", "12/24", "12.0")
        assert "No experiments" not in text(app)
        assert all(len(line) <= size[0] for line in text(app).splitlines())

    play(workspace, script, size)


def test_a_terminal_that_is_too_small_is_told_so(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        assert "is small" not in text(app)
        for size in ((59, 16), (60, 15), (40, 8)):
            await pilot.resize_terminal(*size)
            await shows(app, pilot, f"{size[0]}×{size[1]} is small", "60×16")
        await pilot.resize_terminal(60, 16)
        await shows(app, pilot, "1 Runs")

    play(workspace, script, (60, 16))


@pytest.mark.parametrize("ascii_only", [False, True])
def test_charts_and_bars_can_be_plain(workspace: Path, written: Path, ascii_only: bool) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0", "12/24")
        bars = text(app)
        await pilot.press("enter")
        await shows(app, pilot, "box", "epoch 12/24")
        drawn = "\n".join(
            "".join(segment.text for segment in strip)
            for chart in app.screen.query(Chart)
            for strip in chart.render_lines(chart.size.region)
        )
        assert any(character in bars for character in "━█▏▎▍▌▋▊▉░") is not ascii_only
        assert drawn.isascii() is ascii_only

    play(workspace, script, LARGE, Settings(ascii=ascii_only))


def test_an_empty_workspace_says_what_to_press(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "No experiments", "choose a recipe")
        await pilot.press("o", "x", "X", "r", "y", "enter", "j", "k", "G", "g", "5")
        assert isinstance(app.screen, RunsScreen)

    play(workspace, script)


def test_the_cursor_moves_and_stays_on_its_run(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        rows = app.screen.query_one(RunList)
        await until(pilot, lambda: bool(rows.rows))
        assert rows.selected is not None
        assert rows.selected.ref.endswith("baseline-s0")
        for key, end in [("j", "no-mosaic-s0"), ("k", "baseline-s0"), ("g", written.name), ("G", "no-mosaic-s0"),
                         ("home", written.name), ("end", "no-mosaic-s0"), ("up", "baseline-s0"), ("pagedown", "s0"),
                         ("pageup", written.name), ("down", "baseline-s0")]:  # fmt: skip
            await pilot.press(key)
            assert rows.selected.ref.endswith(end), key
        rows.set_rows([*rows.rows[2:], *rows.rows[:2]])
        assert rows.selected.ref.endswith("baseline-s0")

    play(workspace, script)


def test_a_row_that_changed_is_the_only_one_drawn(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        rows = app.screen.query_one(RunList)
        await until(pilot, lambda: len(rows.rows) == 3)
        drawn: list[int] = []
        rows.refresh_line = lambda y: drawn.append(y)  # type: ignore[method-assign]
        rows.set_rows(list(rows.rows))
        assert drawn == []
        RunDir(written / "runs/no-mosaic-s0").append_event("killed", attempt=1)
        await until(pilot, lambda: bool(drawn))
        assert set(drawn) == {2}

    play(workspace, script)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_run_shows_its_charts_numbers_and_log(workspace: Path, written: Path, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("enter")
        await shows(app, pilot, "F finished", "━box", "loss box", "epoch 12/24", "yolo12n", "[0.083]")
        assert isinstance(app.screen, RunScreen)
        seen = [chart.id for chart in app.screen.query(Chart) if chart.display]
        assert seen == (["loss"] if size == SMALL else ["loss", "validation", "rate", "memory"])
        await pilot.press("m" if size == SMALL else "plus")
        if size == LARGE:
            await pilot.press("m")
        await shows(app, pilot, "Validation AP, %", "━AP50 24.0")
        await pilot.press("M")
        await shows(app, pilot, "━box")
        await pilot.press("L")
        await shows(app, pilot, "Loss log")
        await pilot.press("plus")
        await until(pilot, lambda: len([c for c in app.screen.query(Chart) if c.display]) > 3)
        await pilot.press("q")
        assert isinstance(app.screen, RunsScreen)

    play(workspace, script, size)


def test_the_log_follows_its_end_or_stays(workspace: Path, written: Path) -> None:
    console = RunDir(written / "runs/baseline-s0").attempt(1).console_path

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("enter")
        await shows(app, pilot, "epoch 12: loss [0.083]")
        log = app.screen.query_one(LogView)
        with console.open("a") as file:
            file.write("[bold]not markup[/bold]\r\x1b[32mthe last state\x1b[0m\n")
        await shows(app, pilot, "the last state")
        assert "markup" not in text(app)
        await pilot.press("g")
        assert (log.following, log.scroll_offset.y) == (False, 0)
        await pilot.press("j", "j", "k")
        await until(pilot, lambda: log.scroll_offset.y == 1)
        await pilot.press("f")
        await until(pilot, lambda: log.is_vertical_scroll_end)
        await pilot.press("pageup", "G")
        assert log.following

    play(workspace, script)


def test_what_has_ended_is_not_asked_to_stop(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        for key in ("x", "X", "r"):
            await pilot.press(key)
            assert isinstance(app.screen, RunsScreen), key
        await pilot.press("enter")
        await shows(app, pilot, "━box")
        for key in ("x", "X", "r"):
            await pilot.press(key)
            assert isinstance(app.screen, RunScreen), key
        assert not list(RunDir(written / "runs/baseline-s0").control_dir.iterdir())

    play(workspace, script)


def test_a_question_names_the_run_and_can_be_denied(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "no-mosaic-s0")
        await pilot.press("j", "r")
        await shows(app, pilot, f"{written.name}/no-mosaic-s0", "CPU", "The epoch in progress is repeated.")
        for key in ("n", "escape", "q"):
            await pilot.press(key)
            assert not isinstance(app.screen, ConfirmScreen), key
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        assert len(RunDir(written / "runs/no-mosaic-s0").attempts()) == 1

    play(workspace, script)


def test_the_record_is_shown_in_both_languages_and_followed(workspace: Path, written: Path) -> None:
    (written / "record.md").write_text("<!-- detui:begin -->\n# English title\n\n| arm | AP |\n|--|--|\n| a | 1.0 |\n")
    (written / "record.zh.md").write_text("# 中文标题\n")

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("o")
        await shows(app, pilot, "English title", "arm")
        assert "detui:begin" not in text(app)
        await pilot.press("l")
        await shows(app, pilot, "中文标题")
        await pilot.press("l")
        (written / "record.md").write_text("# Filled again\n\n" + "line\n\n" * 60)
        await shows(app, pilot, "Filled again")
        await pilot.press("G")
        await until(pilot, lambda: "Filled again" not in text(app))
        await pilot.press("g", "j", "k", "pagedown", "pageup")
        await shows(app, pilot, "Filled again")
        await pilot.press("y", "escape", "5")
        assert isinstance(app.screen, RecordScreen)
        assert app.clipboard == str(written / "record.md")

    play(workspace, script)


def test_without_a_record_that_is_said(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("5")
        await shows(app, pilot, "has no record yet")
        await pilot.press("e", "l")
        assert isinstance(app.screen, RecordScreen)

    play(workspace, script)


def test_help_lists_every_key(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("question_mark")
        await shows(app, pilot, "Everywhere", "The list of all runs.")
        await pilot.press("j", "k", "question_mark")
        assert not isinstance(app.screen, HelpScreen)

    play(workspace, script)


def test_q_goes_back_then_quits(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2", "q")
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("q")

    assert play(workspace, script).return_value == 0


@pytest.mark.usefixtures("own_leases")
def test_start_watch_stop_and_resume_a_real_run(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe(epochs=400, pause=0.2)
    recipe.write_text(recipe.read_text().replace("  slow: {train: {lr: 0.001}}\n", "").replace("varies: [train]\n", ""))

    def state() -> tuple[str, int | None]:
        found = status(Workspace.open(str(workspace)).experiments()[0].runs()[0])
        return found.state.word, found.attempt

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "$ detui run")
        await pilot.press("s", "enter")
        await shows(app, pilot, "Start 1 run on CPU")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), 40)
        await shows(app, pilot, "r running", "━loss", "done")
        await pilot.press("x")
        await shows(app, pilot, "Stop with a checkpoint?", "baseline-s0")
        await pilot.press("y")
        await until(pilot, lambda: state() == ("stopped", 1), 40)
        await shows(app, pilot, "S stopped")
        await until(pilot, lambda: not _supervised(workspace), 40)
        await pilot.press("r")
        await shows(app, pilot, "Resume from the last checkpoint?")
        await pilot.press("y")
        await until(pilot, lambda: state() == ("running", 2), 40)
        await shows(app, pilot, "r running")
        await pilot.press("q", "X")
        await shows(app, pilot, "Kill at once?")
        await pilot.press("y")
        await shows(app, pilot, "K killed")

    play(workspace, script, LARGE)


def _supervised(workspace: Path) -> bool:
    from detui.engine.process.control import supervised

    return any(supervised(run) for one in Workspace.open(str(workspace)).experiments() for run in one.runs())
