"""A run's tabs, its log and its charts; the record's placeholders and exports."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pilots import LARGE, SMALL, WIDE, play, shows, text, until
from textual.pilot import Pilot
from trials import Trial

from detui.engine.record.foreign.holes import bracketed
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import LineWriter
from detui.tui.app import DetuiApp
from detui.tui.axis import of_steps
from detui.tui.markdown import rendered
from detui.tui.run_charts import charts
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.log_view import LogView


@pytest.fixture
def eventful(workspace: Path, writer: Callable[..., Path]) -> RunDir:
    """A run with everything that a screen may show: what was used, alarms, statistics, GPUs, a gap in its loss."""
    path = writer(workspace, runs={"baseline-s0": "finished", "no-mosaic-s0": "stopped"})
    run = RunDir(path / "runs/baseline-s0")
    metrics = LineWriter(run.attempt(1).metrics_path)
    metrics.write({"kind": "begin", "t": 61.0, "attempt": 1, "resumed_from_step": 0, "total_epochs": 24,
                   "steps_per_epoch": 8, "asked": {"lr0": 0.01, "amp": "bf16", "seed": 0, "token": "hunter2"},
                   "used": {"lr0": 0.002, "amp": "bf16"}})  # fmt: skip
    for step in range(97, 105):
        metrics.write({"kind": "step", "t": 61.0 + step, "step": step, "epoch": 13, "stage": "main",
                       "values": {"train/loss_box": "NaN" if step == 99 else 1.0}})  # fmt: skip
        metrics.write({"kind": "statistic", "step": step, "values": {"router/camera": 0.25 + step / 1000}})
    metrics.write({"kind": "alarm", "t": 99.0, "step": 99, "name": "nan", "text": "train/loss_box is NaN at step 99"})
    metrics.close()
    telemetry = LineWriter(run.attempt(1).telemetry_path)
    for second in range(100, 110):
        gpu = {"index": 2, "memory_used": 5 * 2**30, "memory_total": 80 * 2**30, "utilization": 90, "power": 310.0}
        telemetry.write({"t": float(second), "cpu_percent": 50.0, "rss": 10**9, "gpus": [gpu]})
    telemetry.close()
    return run


def test_every_tab_says_its_part(workspace: Path, eventful: RunDir) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("enter")
        await shows(app, pilot, "Overview", "Alarms !1", "a━box", "! nan: train/loss_box is NaN at step 99")
        await pilot.press("tab")
        await shows(app, pilot, "router/camera", "0.354", "104")
        await pilot.press("tab")
        await shows(app, pilot, "nan, attempt 1", "is NaN at step 99", "not finite")
        await pilot.press("tab")
        await shows(app, pilot, "epoch 12: loss")
        await pilot.press("tab")
        await shows(app, pilot, "lr0: 0.002  ! asked: 0.01", "amp: bf16", "seed: 0", "train.epochs: 24")
        assert "hunter2" not in text(app)
        await pilot.press("tab")
        await shows(app, pilot, "metrics.jsonl", "console.log", "resume.pt")
        await pilot.press("y")
        assert Path(app.clipboard).is_file()
        await pilot.press("tab")
        await shows(app, pilot, "a━box")

    play(workspace, script, LARGE)


@pytest.mark.parametrize(("size", "count"), [(SMALL, 1), (LARGE, 4), (WIDE, 6)])
def test_as_many_charts_as_fit(workspace: Path, eventful: RunDir, size: tuple[int, int], count: int) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("enter")
        await shows(app, pilot, "a━box")
        await until(pilot, lambda: sum(chart.display for chart in app.screen.query(Chart)) == count)

    play(workspace, script, size)


def test_charts_have_gaps_gpus_and_three_axes(eventful: RunDir) -> None:
    history = load_history(eventful)
    found = charts(history)
    assert {"loss", "validation", "rate", "memory", "use", "power", "host", "statistics"} == set(found)
    (box,) = [one for one in found["loss"].series if one.label == "box"]
    assert [x for x, y in zip(box.x, box.y, strict=True) if math.isnan(y)] == [99]
    assert [(one.label, set(one.y)) for one in found["power"].series] == [("gpu 2", {310.0})]
    assert found["loss"].x_most == 24 * 8
    by_epoch = charts(history, "epoch")["loss"]
    assert (by_epoch.x_label, by_epoch.x_most, by_epoch.series[0].x[7]) == ("epoch", 24, 1.0)
    minutes = of_steps(history, box.x, "time")
    assert minutes[0] == pytest.approx(0.2 / 60)
    assert all(later >= earlier for earlier, later in pairwise(minutes))


def test_the_log_is_searched(workspace: Path, eventful: RunDir) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("enter")
        await shows(app, pilot, "epoch 12: loss")
        await pilot.press("slash", *"EPOCH 1")
        await shows(app, pilot, "4 lines")
        await pilot.press("enter", "n", "n")
        await shows(app, pilot, "2/4")
        await pilot.press("N")
        await shows(app, pilot, "1/4", ">epoch 1:")
        assert not app.screen.query_one(LogView).following
        await pilot.press("slash", *"x", "enter")
        await shows(app, pilot, "nothing found")
        await pilot.press("n")
        await until(pilot, lambda: any("nothing found" in note.message for note in app._notifications))

    play(workspace, script, SMALL)


def test_a_placeholder_is_never_torn_apart(repository: Path) -> None:
    for name in ("record.en.md", "record.zh.md"):
        source = (repository / "tests/engine/record/golden" / name).read_text()
        count = len(bracketed(source))
        assert count
        for columns in (40, 61, 78, 200):
            lines = rendered(source, columns)
            assert sum(piece.hole for line in lines for piece in line) == count
            assert "<!--" not in "".join(piece.text for line in lines for piece in line)


def test_the_record_counts_its_gaps_and_jumps(workspace: Path, written: Path) -> None:
    (written / "record.md").write_text("# Mine\n\n" + "line\n\n" * 40 + "Why? (to be filled in)\n\nAnd (TBD) here.\n")

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("5")
        await shows(app, pilot, "Mine", "2 to fill in")
        await pilot.press("n")
        await shows(app, pilot, "And (TBD) here.")
        (written / "record.md").write_text("# Mine\n\nAll said.\n")
        await shows(app, pilot, "All said.")
        await until(pilot, lambda: "to fill in" not in text(app))
        await pilot.press("x", "4")
        await until(pilot, lambda: any("`arms` is missing" in note.message for note in app._notifications))

    play(workspace, script, SMALL)


def test_a_record_is_filled_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(tmp_path)
    trial.train_all()
    folder = tmp_path / "exports"
    folder.mkdir()
    monkeypatch.chdir(folder)

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0")
        await pilot.press("5")
        await shows(app, pilot, "has no record yet")
        await pilot.press("f")
        await shows(app, pilot, "to fill in", "Question")
        for number, found in (("1", "*.html"), ("4", "*.csv"), ("3", "*.tex")):
            await pilot.press("x")
            await shows(app, pilot, "1  html", "tensorboard")
            await pilot.press(number)
            await until(pilot, lambda found=found: bool(list(folder.glob(found))))
        await pilot.press("x", "escape")
        assert len(list(folder.iterdir())) == 3

    play(tmp_path, script, SMALL)
