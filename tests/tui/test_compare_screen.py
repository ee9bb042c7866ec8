"""The comparison of runs: curves, means, tables, and every key of the screen."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pilots import LARGE, SMALL, WIDE, play, shows, text, until
from textual.pilot import Pilot
from trials import Trial

from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, load_history
from detui.engine.run.lines import LineWriter
from detui.tui.app import DetuiApp
from detui.tui.compare_list import form_of, metric_title
from detui.tui.compared import sides_of
from detui.tui.curves import LOSS, CurveReader, Curves, Wish, curve, mean_of, members
from detui.tui.grid_text import grids_text
from detui.tui.output import number, percent_tick, width
from detui.tui.screens.compare import CompareScreen
from detui.tui.screens.record import RecordScreen
from detui.tui.screens.run import RunScreen
from detui.tui.settings import Settings
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.line_list import LineList

from .conftest import write_experiment, write_step

FOUR = {f"{arm}-s{seed}": "finished" for arm in ("baseline", "no-mosaic") for seed in (0, 1)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Two arms, two seeds each, trained and evaluated."""
    trial = Trial(tmp_path_factory.mktemp("trained"))
    trial.train_all()
    return trial


def comparing(workspace: Path, script: Callable, size: tuple[int, int] = LARGE, **options) -> None:
    """Open the comparison of the first experiment and do what a script says."""

    async def opened(app: DetuiApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.home.selected_experiment() is not None)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and "latest" in text(app))
        await until(pilot, lambda: app.screen._curves is not None)
        await script(app, pilot)

    play(workspace, opened, size, **options)


def chart_of(app: DetuiApp) -> Chart:
    return app.screen.query_one(Chart)


def first_line(app: DetuiApp) -> str:
    return chart_of(app).render_line(0).text


@pytest.mark.parametrize("size", [(60, 16), SMALL, LARGE, WIDE])
def test_the_curves_and_the_runs_are_shown(trained: Trial, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "Total loss", "[Curves]", "a━ baseline-s0", "F finished", "30/30", "reference")
        assert all(len(line) <= size[0] for line in text(app).splitlines())
        assert set(chart_of(app).readings()) == set("abcd")
        if size != (60, 16):
            await shows(app, pilot, "d━ no-mosaic-s1")

    comparing(trained.path.parent, script, size)


def test_a_metric_is_chosen_among_what_was_measured(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        seen = []
        for _ in range(8):
            await until(pilot, lambda: chart_of(app).title not in seen)
            seen.append(chart_of(app).title)
            await pilot.press("m")
        assert seen[:4] == ["Total loss", "AP, %", "AP50, %", "AP75, %"]
        assert not any("ultralytics" in title or "/" in title for title in seen)
        await until(pilot, lambda: chart_of(app).title not in seen)
        await pilot.press("M")
        await until(pilot, lambda: chart_of(app).title == seen[-1])

    comparing(trained.path.parent, script)


def test_ap_is_shown_in_percent(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("m")
        await shows(app, pilot, "AP, %")
        history = load_history(trained.runs["baseline-s0"])
        last = history.epoch_series("val/AP")[1][-1]
        await shows(app, pilot, f"{100 * last:.1f}  reference")
        assert chart_of(app).readings()["a"] == pytest.approx(last)

    comparing(trained.path.parent, script)


def test_axis_smoothing_log_cursor_and_zoom(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        for label in ("epoch", "minutes", "step"):
            await pilot.press("a")
            await until(pilot, lambda label=label: chart_of(app).x_label == label)
        await pilot.press("w")
        await shows(app, pilot, "Total loss smooth 0.6")
        await pilot.press("w", "w", "w")
        assert chart_of(app).smoothing == 0
        await pilot.press("L")
        await shows(app, pilot, "Total loss log")
        await pilot.press("L", "left")
        await shows(app, pilot, "step 180", "at cursor")
        await pilot.press("left", "right", "right")
        assert chart_of(app).cursor == 180
        whole = chart_of(app).limits
        await pilot.press("z")
        assert chart_of(app).limits != whole
        await pilot.press("Z")
        assert chart_of(app).limits == whole
        await pilot.press("Z")
        await until(pilot, lambda: "at cursor" not in text(app))

    comparing(trained.path.parent, script)


def test_the_mean_of_the_seeds_with_a_band(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("b")
        await shows(app, pilot, "mean ± sd over seeds", "a━baseline n=2", "b━no-mosaic n=2")
        assert set(chart_of(app).readings()) == {"a", "b"}
        losses = [load_history(trained.runs[f"baseline-s{seed}"]).series("train/loss_box")[1] for seed in (0, 1)]
        assert chart_of(app).readings()["a"] == pytest.approx(np.mean(losses, axis=0)[-1])
        await pilot.press("b")
        await shows(app, pilot, "c━no-mosaic-s0")

    comparing(trained.path.parent, script)


def test_the_mean_and_the_deviation_are_those_of_numpy() -> None:
    draw = np.random.default_rng(0)
    x = np.arange(1.0, 50)
    curves = [(x, draw.normal(size=49)) for _ in range(4)]
    values = np.stack([y for _, y in curves])
    grid, mean, spread, count = mean_of(curves)
    assert (grid == x).all()
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(spread, values.std(axis=0, ddof=1))
    assert set(count) == {4}


def test_seeds_that_have_got_further_than_others() -> None:
    x, y = np.arange(1.0, 11), np.arange(10.0)
    grid, mean, spread, count = mean_of([(x, y), (x[:4], y[:4] + 2)])
    assert grid.tolist() == x.tolist()
    assert count.tolist() == [2] * 4 + [1] * 6
    assert mean.tolist() == [1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    assert spread[:4] == pytest.approx(math.sqrt(2))
    assert np.isnan(spread[4:]).all()
    other = (np.array([2.0, 6.0]), np.array([4.0, 8.0]))
    grid, mean, _, count = mean_of([(x, y), other])
    assert mean[grid == 4].tolist() == [4.5]
    assert count.tolist() == [1, 2, 2, 2, 2, 2, 1, 1, 1, 1]
    assert [len(part) for part in mean_of([])] == [0, 0, 0, 0]


def test_a_seed_that_diverged_does_not_vanish_from_the_mean() -> None:
    x = np.arange(4.0)
    _, mean, spread, _ = mean_of([(x, np.array([1.0, 1, math.nan, 1])), (x, np.array([3.0, math.inf, 3, 3]))])
    assert np.isfinite(mean).tolist() == [True, False, False, True]
    assert np.isfinite(spread).tolist() == [True, False, False, True]


def test_the_whole_loss_is_the_sum_of_its_terms() -> None:
    history = History()
    for step, values in enumerate(({"train/loss_a": 1.0, "train/loss_b": 2.0}, {"train/loss_a": 1.5}, {}), 1):
        history.steps.append({"kind": "step", "step": step, "t": float(step), "values": values})
    history.steps.append({"kind": "step", "step": 9, "t": 9.0, "values": {"train/loss_b": 1.0, "train/loss_a": 1.0}})
    x, y = curve(history, LOSS, "step")
    assert (x.tolist(), y.tolist()) == ([1, 9], [3.0, 2.0])
    assert [len(part) for part in curve(History(), LOSS, "step")] == [0, 0]


def test_every_metric_that_the_runs_have_is_offered(workspace: Path) -> None:
    path = write_experiment(workspace, runs=FOUR)
    found = read(members([RunDir(path / "runs" / run) for run in FOUR]))
    assert found.metrics == (
        "train/loss", "train/loss_box", "train/loss_cls", "val/AP", "val/AP50", "lr/all",
    )  # fmt: skip
    assert found.x_most == 24 * 8
    assert read(found.wish.members, metric="val/none").wish.metric == "train/loss"
    assert read(found.wish.members, metric="lr/all", axis="epoch").x_most == 24


def read(chosen, **wished) -> Curves:
    return CurveReader().read(Wish(tuple(chosen), **wished))


def test_only_what_is_new_is_drawn_again(workspace: Path) -> None:
    path = write_experiment(workspace, runs={"baseline-s0": "running", "no-mosaic-s0": "queued"})
    chosen = tuple(members([RunDir(path / "runs" / name) for name in ("baseline-s0", "no-mosaic-s0")]))
    reader = CurveReader()
    first = reader.read(Wish(chosen))
    assert first.series is not None
    assert first.behind  # a picture comes before all is read
    second = reader.read(Wish(chosen))
    assert second.series is None
    assert not second.behind
    grow(path / "runs" / "baseline-s0", 97)
    again = reader.read(Wish(chosen))
    assert again.series is not None
    assert len(again.series[0].x) == 97
    assert reader.read(Wish(chosen, axis="epoch")).series is not None


def grow(run: Path, *steps: int) -> None:
    writer = LineWriter(RunDir(run).attempt(1).metrics_path)
    for step in steps:
        write_step(writer, step)
    writer.close()


def test_curves_grow_while_runs_go_on(workspace: Path) -> None:
    path = write_experiment(workspace, runs={"baseline-s0": "finished", "no-mosaic-s0": "running"})

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "no-mosaic-s0", "12/24")
        before = len(app.screen._curves.series[1].x) if app.screen._curves.series else 96
        grow(path / "runs" / "no-mosaic-s0", *range(97, 120))
        await until(pilot, lambda: (app.screen._curves.series or ((), ()))[1] and before < 119)
        await until(pilot, lambda: "14/24" in text(app))

    comparing(workspace, script)


@pytest.mark.parametrize("size", [(60, 16), SMALL, LARGE, WIDE])
def test_the_metrics_and_the_differences(trained: Trial, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("tab")
        await shows(app, pilot, "[Metrics]", "Arms of")
        page = app.screen.query_one("#page")
        await until(pilot, lambda: app.screen._tables is not None and app.screen._tables.done)
        assert all(width(line) <= size[0] - 3 for line in str(page.render()).splitlines())
        whole = " ".join(str(page.render()).split())
        assert "no-mosaic against baseline" in whole
        assert "no-mosaic-s0 against baseline-s0, over the validation images" in whole
        assert "too few seeds" in whole
        assert "10 images of the validation split" in whole
        await pilot.press("j", "G", "pagedown", "pageup", "k", "g")
        await pilot.press("tab")
        await shows(app, pilot, "[Differences]", "train.mosaic", "declared")
        await pilot.press("tab")
        await shows(app, pilot, "[Curves]")
        await pilot.press("shift+tab")
        await shows(app, pilot, "[Differences]")

    comparing(trained.path.parent, script, size)


def test_another_reference_turns_the_comparison_round(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("G", "r")
        await until(pilot, lambda: text(app).index("no-mosaic-s1") < text(app).index("━ baseline-s0"))
        await pilot.press("tab")
        await shows(app, pilot, "Reference: no-mosaic.", "baseline against no-mosaic")

    comparing(trained.path.parent, script, WIDE)


def test_a_run_is_taken_out_and_the_rest_is_said(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("j", "j", "d")
        await until(pilot, lambda: "no-mosaic-s0" not in text(app))
        await pilot.press("d")
        await until(pilot, lambda: "no-mosaic-s1" not in text(app))
        await pilot.press("tab")
        await shows(app, pilot, "Each run is a side of its own: baseline-s0, baseline-s1. Reference: baseline-s0.")
        await pilot.press("shift+tab", "d", "tab")
        await shows(app, pilot, "There is one run only", "Mark another run")
        await pilot.press("shift+tab", "d")
        await until(pilot, lambda: "This is the last one" in " ".join(one.message for one in app._notifications))
        assert "1 run" in text(app)
        assert trained.runs["no-mosaic-s0"].path.exists()

    comparing(trained.path.parent, script, WIDE)


def test_the_copied_command_prints_the_same(trained: Trial, tmp_path: Path, detui: Callable) -> None:
    copied: list[str] = []

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.copy = copied.append  # type: ignore[method-assign]
        await pilot.press("G", "r", "y")

    comparing(trained.path.parent, script)
    (command,) = copied
    words = [*command.split()[1:], "--json", "--replicates", "0"]
    done: subprocess.CompletedProcess[str] = detui("--workspace", str(trained.path.parent), *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["reference"] == "no-mosaic"
    assert [side["runs"] for side in found["sides"]] == [
        ["no-mosaic-s1", "no-mosaic-s0"],
        ["baseline-s0", "baseline-s1"],
    ]


def test_a_run_and_its_record_are_opened(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await shows(app, pilot, "baseline-s1")
        await pilot.press("q", "o")
        await until(pilot, lambda: isinstance(app.screen, RecordScreen))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        line = app.screen.query_one(LineList).selected
        assert line is not None
        assert line.key.endswith("/baseline-s1")

    comparing(trained.path.parent, script)


def test_unfinished_runs_are_named_with_what_to_do(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.train("baseline-s0")
    trial.train("no-mosaic-s0", 20, ended="stopped")

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("tab")
        await shows(app, pilot, "no-mosaic-s0 (stopped, 20/30)", "then r to resume it")
        await shows(app, pilot, "no finished run of each has been evaluated", "one side has no evaluated run")

    comparing(trial.path.parent, script, WIDE)


def test_what_no_recipe_declares_is_marked(tmp_path: Path) -> None:
    trial = Trial(tmp_path, varies=[])
    trial.train_all()

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("shift+tab")
        await shows(app, pilot, "train.mosaic", "! not declared", "1 confounder")

    comparing(trial.path.parent, script, SMALL)


def test_an_experiment_that_cannot_be_read_is_said(workspace: Path) -> None:
    write_experiment(workspace, runs=FOUR)  # without the arms that a comparison needs

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("tab")
        await shows(app, pilot, "experiment.json:", "`arms` is missing")

    comparing(workspace, script)


def test_runs_of_several_experiments_are_sides_of_their_own(tmp_path: Path) -> None:
    one, two = Trial(tmp_path / "one"), Trial(tmp_path / "two")
    chosen = members([one.runs["baseline-s0"], two.runs["no-mosaic-s0"]])
    assert [member.name for member in chosen] == [member.ref for member in chosen]
    assert len({member.letter for member in chosen}) == 2
    two.path.rename(two.path.with_name("other-20261121-100000"))
    moved = RunDir(tmp_path / "two" / "other-20261121-100000" / "runs" / "no-mosaic-s0")
    assert len(sides_of(members([one.runs["baseline-s0"], moved]))) == 2


def test_everything_is_ascii_where_it_must_be(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("b", "left")
        await shows(app, pilot, "a-baseline n=2")
        assert "\n".join(chart_of(app).render_line(y).text for y in range(20)).isascii()
        listed = app.screen.query_one(LineList)
        assert "".join(listed.render_line(y).text for y in range(4)).isascii()

    comparing(trained.path.parent, script, settings=Settings(language="en", ascii=True))


def test_leaving_ends_the_comparison(trained: Trial) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("tab")
        await until(pilot, lambda: app.screen._work is not None)
        work = app.screen._work
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))
        assert work._unwanted.is_set()

    comparing(trained.path.parent, script)


def test_tables_fit_any_width() -> None:
    from detui.engine.evaluate.tables import Grid

    grid = Grid(
        "一个很长的标题" * 9, ("metric", "first side", "second"), (("AP", "1.0", "! 未声明" * 9),), "note " * 40
    )
    for columns in (20, 56, 200):
        lines = str(grids_text([grid, grid], columns)).splitlines()
        assert all(width(line) <= columns for line in lines)
        assert sum("AP" in line for line in lines) == 2


def test_an_error_is_written_in_its_unit_and_what_is_a_part_in_percent() -> None:
    assert [metric_title(name) for name in ("val/NDS", "val/mAP_ceiling", "val/mAOE")] == [
        "NDS, %", "mAP ceiling, %", "mAOE, rad",
    ]  # fmt: skip
    assert (form_of("val/NDS")(0.25), form_of("val/mAOE")(0.25)) == (percent_tick(0.25), number(0.25))
