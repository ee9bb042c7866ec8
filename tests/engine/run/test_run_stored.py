"""A run directory as version 1 of the formats left it: every later detui must go on reading it."""

from __future__ import annotations

import math
from pathlib import Path

from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.state import Finished, read_state

RUN = RunDir(Path(__file__).parent / "stored" / "schema-1" / "baseline-s0")


def test_its_spec_and_states() -> None:
    spec = RUN.spec()
    assert (spec.name, spec.total_epochs, spec.device.candidates) == ("baseline-s0", 4, ("cpu:0",))
    assert isinstance(read_state(RUN), Finished)
    states = [line["state"] for line in read_lines(RUN.events_path)]
    ended = ["queued", "starting", "running", "stopping", "stopped"]
    assert states == [*ended, "queued", "starting", "running", "finished"]


def test_its_attempts() -> None:
    first, second = RUN.attempts()
    assert (first.done() or {})["outcome"] == "stopped" and (second.exit() or {})["state"] == "finished"
    resume = (second.info() or {})["resume"]
    assert resume["attempt"] == 1 and resume["step"] == (first.done() or {})["step"] > 0


def test_its_history() -> None:
    history = load_history(RUN)
    steps, values = history.series("train/loss_toy")
    assert steps == list(range(1, 21)) and math.isnan(values[11])
    assert history.series("train/loss_other") == ([12], [-math.inf])
    assert history.epoch_series("val/AP") == ([1], [0.25]) and history.epoch_series("val/AP_small") == ([], [])
    assert [line["epoch"] for line in history.epochs] == [1, 2, 3, 4]
    assert [line["epoch"] for line in history.dumps] == [1, 4]
    assert [alarm["name"] for alarm in history.alarms] == ["nan"]
    assert history.end is not None and history.end["outcome"] == "finished"
    assert history.telemetry and history.damaged == 0
