"""The list of runs: filter, order, groups, marks, preview; and what it reads of a run that is running."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pilots import LARGE, SMALL, WIDE, play, shows, text, until
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from detui.engine.run.directory import RunDir
from detui.engine.run.lines import LineWriter
from detui.tui import filters
from detui.tui.app import DetuiApp
from detui.tui.columns import COLUMNS, SORTS, fitting, ordered
from detui.tui.glance import Glance, glance
from detui.tui.rows import Arrangement, Heading, RowReader
from detui.tui.screens.compare import CompareScreen
from detui.tui.screens.runs import RunsScreen
from detui.tui.widgets.preview import Preview
from detui.tui.widgets.run_list import RunList, header


@pytest.fixture
def several(workspace: Path, writer: Callable[..., Path]) -> Path:
    """Three experiments of unlike runs."""
    writer(
        workspace,
        "starter.mosaic-20261120-100000",
        {"baseline-s0": "finished", "no-mosaic-s0": "failed"},
        tags=["paper"],
    )
    writer(workspace, "starter.mosaic-20261121-100000", {"baseline-s0": "stopped", "baseline-s10": "crashed"}, 20)
    writer(workspace, "starter.mosaic-20261122-100000", {"baseline-s1": "queued"})
    return workspace


def read(workspace: Path) -> list[Heading | Glance]:
    from detui.engine.workspace import Workspace

    return RowReader(Workspace.open(str(workspace))).read()


def names(rows: list[Heading | Glance]) -> list[str]:
    return [row.name for row in rows if isinstance(row, Glance)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["baseline-s1", "baseline-s0", "baseline-s10", "baseline-s0", "no-mosaic-s0"]),
        ("no-mosaic", ["no-mosaic-s0"]),
        ("state:fin", ["baseline-s0"]),
        ("seed:1", ["baseline-s1"]),
        ("seed:", ["baseline-s1", "baseline-s0", "baseline-s10", "baseline-s0", "no-mosaic-s0"]),
        ("arm:baseline STATE:Crash", ["baseline-s10"]),
        ("epoch:>15", ["baseline-s0", "baseline-s10"]),
        ("ap:<15", ["baseline-s0", "no-mosaic-s0"]),
        ("ap:>", ["baseline-s1", "baseline-s0", "baseline-s10", "baseline-s0", "no-mosaic-s0"]),
        ("tag:paper", ["baseline-s0", "no-mosaic-s0"]),
        ("20261121 recipe:mosaic", ["baseline-s0", "baseline-s10"]),
        ("nothing has this", []),
    ],
)
def test_a_filter_keeps_what_fits(several: Path, query: str, found: list[str]) -> None:
    rows = Arrangement(fits=filters.parse(query)).arrange(read(several))
    assert names(rows) == found
    # No heading without a run that fits.
    assert all(isinstance(after, Glance) for row, after in pairwise(rows) if isinstance(row, Heading))


@pytest.mark.parametrize("query", ["colour:red", "epoch:many", "ap:>x"])
def test_a_filter_that_makes_no_sense_says_what_it_knows(query: str) -> None:
    with pytest.raises(ValueError, match=query.partition(":")[0]):
        filters.parse(query)


@pytest.mark.parametrize("by", SORTS)
def test_sorting_loses_nothing_and_turns_round(several: Path, by: str) -> None:
    runs = [row for row in read(several) if isinstance(row, Glance)]
    there, back = ordered(runs, by, False), ordered(runs, by, True)
    assert sorted(run.ref for run in there) == sorted(run.ref for run in back) == sorted(run.ref for run in runs)
    assert ordered(there, by, False) == there


def test_what_has_no_value_comes_last_either_way(several: Path) -> None:
    runs = [row for row in read(several) if isinstance(row, Glance)]
    for reverse in (False, True):
        assert ordered(runs, "loss", reverse)[-1].name == "baseline-s1"
    best = ordered(runs, "AP %", False)
    assert best[0].metric == max(run.metric or 0 for run in runs)


@pytest.mark.parametrize("columns", range(59, 220, 7))
def test_columns_fit_and_stay_under_their_titles(several: Path, columns: int) -> None:
    chosen = fitting(columns - 2)
    assert {"epoch", "loss", "AP %"} <= {column.title for column in chosen}
    line = header(columns)
    assert len(line) == columns
    assert all(column.title in line for column in chosen)
    if columns > 160:
        assert len(chosen) == len(COLUMNS)


def test_a_running_run_says_device_memory_pace_and_what_is_left(workspace: Path, writer: Callable[..., Path]) -> None:
    path = writer(workspace, runs={"baseline-s0": "running"})
    run = RunDir(path / "runs/baseline-s0")
    telemetry = LineWriter(run.attempt(1).telemetry_path)
    gpus = [{"index": 3, "memory_used": 3 * 2**30, "memory_total": 80 * 2**30}]
    telemetry.write({"t": 50.0, "cpu_percent": 90.0, "rss": 10**9, "gpus": gpus})
    telemetry.write({"kind": "alarm", "t": 51.0, "name": "disk_low", "text": "…"})
    telemetry.close()
    now = glance(run, {}).now
    assert now is None or now.devices == ("GPU 3",)  # the run of this test has no process, and may be found lost
    from detui.engine.run.state import read_state
    from detui.tui.live import live

    found = live(run.attempt(1), read_state(run), 24)
    assert found.devices == ("GPU 3",)
    assert found.memory == (3 * 2**30, 80 * 2**30)
    assert found.step == pytest.approx(0.2)
    assert found.left == pytest.approx((24 - 12) * 8 * 0.2)


def test_the_filter_is_live_and_escape_takes_it_away(several: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "no-mosaic-s0", "baseline-s10")
        await pilot.press("slash", *"state:cra")
        await shows(app, pilot, "baseline-s10", "1/5")
        assert "no-mosaic-s0" not in text(app)
        await pilot.press(*" colour:")
        await shows(app, pilot, "colour")
        await pilot.press("escape")
        await shows(app, pilot, "no-mosaic-s0")
        await pilot.press("slash", *"mosaic-s0", "enter", "j")
        await until(pilot, lambda: "baseline-s10" not in text(app))
        assert app.home.query_one(RunList).selected is not None

    play(several, script, LARGE)


def test_marks_are_compared_and_acted_on_together(several: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s10")
        await pilot.press("g", "j", "j", "space")  # the heading of the second experiment
        assert [ref.rpartition("/")[2] for ref in app.marked] == ["baseline-s0", "baseline-s10"]
        await shows(app, pilot, "2 marked", "*")
        await pilot.press("r")
        await shows(app, pilot, "baseline-s0", "baseline-s10", "Resume from the last checkpoint?")
        await pilot.press("n", "c")
        assert isinstance(app.screen, CompareScreen)
        await pilot.press("q", "u")
        await until(pilot, lambda: "marked" not in text(app))
        assert not app.marked

    play(several, script, LARGE)


def test_groups_and_order_are_shown(several: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        rows = app.home.query_one(RunList)
        await shows(app, pilot, "baseline-s10")
        await pilot.press("t")
        assert all(isinstance(row, Glance) for row in rows.rows)
        await shows(app, pilot, "baseline-s10  starter.mosaic-2026")
        await pilot.press(*["s"] * SORTS.index("AP %"))
        await shows(app, pilot, "sorted by AP %")
        best = [row.metric for row in rows.rows if isinstance(row, Glance) and row.metric is not None]
        assert best == sorted(best, reverse=True)
        await pilot.press("S")
        worst = [row.metric for row in rows.rows if isinstance(row, Glance) and row.metric is not None]
        assert worst == sorted(worst)

    play(several, script, WIDE)


def test_the_preview_follows_the_cursor_or_stays_pinned(several: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s10")
        assert not app.screen.query(Preview)
        await pilot.press("v")
        await pilot.press("G", "k")
        await shows(app, pilot, "a━box", "epoch 12: loss")
        await pilot.press("p")
        await shows(app, pilot, "baseline-s0 (pinned)")
        await pilot.press("G")
        await pilot.pause(1.5)
        assert "baseline-s0 (pinned)" in text(app)
        await pilot.press("p", "p")
        await until(pilot, lambda: "pinned" not in text(app))
        await pilot.press("v")
        await until(pilot, lambda: "a━box" not in text(app))

    play(several, script, SMALL)


@pytest.mark.parametrize(("size", "beside"), [(LARGE, False), (WIDE, True)])
def test_the_preview_comes_by_itself_where_it_fits(several: Path, size: tuple[int, int], beside: bool) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s10")
        await pilot.press("G")
        await shows(app, pilot, "a━box")
        preview, rows = app.screen.query_one(Preview), app.screen.query_one(RunList)
        assert (preview.region.x > rows.region.right - 1) is beside

    play(several, script, size)


def test_a_list_that_is_scrolled_redraws_the_row_that_changed(workspace: Path, writer: Callable[..., Path]) -> None:
    path = writer(workspace, runs={f"baseline-s{seed}": "stopped" for seed in range(60)}, epochs_done=1)

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("G")
        await shows(app, pilot, "baseline-s59")
        run = RunDir(path / "runs/baseline-s58")
        run.append_event("killed", attempt=1)
        await until(pilot, lambda: any("baseline-s58" in line and "killed" in line for line in text(app).splitlines()))

    play(workspace, script, SMALL)


def test_a_broken_experiment_stands_in_the_list_with_its_problem(several: Path) -> None:
    broken = several / "starter.mosaic-20261123-100000"
    broken.mkdir()
    (broken / "experiment.json").write_text(json.dumps({"schema": 99}))

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, broken.name, "format 99", "baseline-s10")

    play(several, script, LARGE)


def test_what_is_typed_at_once_goes_into_the_line(several: Path) -> None:
    """As a fast hand, or a slow link that delivers all keys together."""

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s10")
        for key in ("slash", "s", "t", "X"):
            app.post_message(events.Key(key, None if key == "slash" else key))
        await shows(app, pilot, "stX")
        assert isinstance(app.screen, RunsScreen)
        assert "sorted by" not in text(app)
        await pilot.press("escape")
        for key in ("colon", "m", "o", "s"):
            app.post_message(events.Key(key, ":" if key == "colon" else key))
        await shows(app, pilot, "starter/mosaic")
        assert app.screen.query_one(Input).value == "mos"

    play(several, script, LARGE)


def test_a_run_that_compiles_says_how_far_it_is(workspace: Path, writer: Callable[..., Path]) -> None:
    experiment = writer(workspace, "starter.mosaic-20261123-100000", {"baseline-s0": "running"}, 0)
    run = RunDir(experiment / "runs" / "baseline-s0")
    before = glance(run, {}).notes
    with run.attempt(1).console_path.open("ab") as console:
        console.write(b"Compiling Operators(7/29) used: 22.6s eta: 71.1s \r")
    assert glance(run, {}).notes == (*before, "compiles its kernels: 7 of 29, about 71 s left")
    with run.attempt(1).console_path.open("ab") as console:
        console.write(b"\nready\n")
    assert glance(run, {}).notes == before
