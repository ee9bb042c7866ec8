"""A run's measurements over several attempts, read as they grow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from detui.engine.errors import FormatError
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.history import RunFollower, load_history
from detui.engine.run.lines import LineWriter
from detui.engine.run.steps import StepTable


def write(path: Path, *lines: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = LineWriter(path)
    for line in lines:
        writer.write(line)
    writer.close()


def step(number: int, loss: float) -> dict[str, Any]:
    return {
        "kind": "step", "t": number / 10, "step": number, "epoch": (number - 1) // 5 + 1,
        "stage": "main", "values": {"train/loss_toy": loss},
    }  # fmt: skip


def begin(attempt: int, start: int = 0) -> dict[str, Any]:
    return {"kind": "begin", "attempt": attempt, "resumed_from_step": start, "total_epochs": 4}


@pytest.fixture
def attempts(hostile_path: Path) -> tuple[RunDir, AttemptDir, AttemptDir]:
    run = RunDir(hostile_path)
    return run, run.attempt(1), run.attempt(2)


def test_a_later_attempt_wins_from_where_it_resumed(attempts: tuple[RunDir, AttemptDir, AttemptDir]) -> None:
    run, first, second = attempts
    write(first.metrics_path, begin(1), *(step(n, 1.0) for n in range(1, 9)))
    write(first.metrics_path, {"kind": "epoch", "step": 5, "epoch": 1, "values": {"train/loss_toy": 1.0}})
    write(first.metrics_path, {"kind": "alarm", "name": "nan", "step": 8, "text": "…"})
    write(first.evaluations_path, {"kind": "evaluation", "step": 5, "epoch": 1, "values": {"val/AP": 0.1}})
    follower = RunFollower(run)
    assert follower.poll() and follower.history.step == 8
    assert not follower.poll()

    write(second.metrics_path, begin(2, 5), *(step(n, 2.0) for n in range(6, 11)))
    write(first.evaluations_path, {"kind": "evaluation", "step": 8, "epoch": 2, "values": {"val/AP": 0.9}})
    write(second.evaluations_path, {"kind": "evaluation", "step": 10, "epoch": 2, "values": {"val/AP": 0.2}})
    assert follower.poll()
    for history in (follower.history, load_history(run)):
        steps, values = history.series("train/loss_toy")
        assert steps == list(range(1, 11))
        assert values == [1.0] * 5 + [2.0] * 5
        assert history.epoch_series("val/AP") == ([1, 2], [0.1, 0.2])
        assert [line["attempt"] for line in history.evaluations] == [1, 2]
        assert [alarm["name"] for alarm in history.alarms] == ["nan"]
        assert history.begin is not None and history.begin["attempt"] == 2
        assert (history.step, history.total_epochs) == (10, 4)


def test_long_attempts_are_read_in_order_though_in_pieces(
    attempts: tuple[RunDir, AttemptDir, AttemptDir],
) -> None:
    run, first, second = attempts
    write(first.metrics_path, begin(1), *(step(n, 1.0) for n in range(1, 2001)))
    write(second.metrics_path, begin(2, 1500), *(step(n, 2.0) for n in range(1501, 1601)))
    follower = RunFollower(run)
    while follower.poll(limit=5000):
        pass
    steps, values = follower.history.series("train/loss_toy")
    assert steps == list(range(1, 1601)) and values[1499:1501] == [1.0, 2.0]


def test_null_is_left_out_and_words_for_non_finite_numbers_are_numbers(
    attempts: tuple[RunDir, AttemptDir, AttemptDir],
) -> None:
    run, first, _ = attempts
    write(first.metrics_path, begin(1), step(1, math.nan), step(2, math.inf))
    write(first.evaluations_path, {"kind": "evaluation", "step": 2, "epoch": 1, "values": {"val/AP_small": None}})
    history = load_history(run)
    values = history.series("train/loss_toy")[1]
    assert math.isnan(values[0]) and values[1] == math.inf
    assert history.epoch_series("val/AP_small") == ([], [])
    assert history.epoch_names() == ["val/AP_small"]
    assert history.series("no/such") == ([], [])


def test_a_file_that_was_replaced_is_read_anew(attempts: tuple[RunDir, AttemptDir, AttemptDir]) -> None:
    run, first, _ = attempts
    write(first.metrics_path, begin(1), *(step(n, 1.0) for n in range(1, 9)))
    follower = RunFollower(run)
    follower.poll()
    first.metrics_path.unlink()
    write(first.metrics_path, begin(1), step(1, 3.0))
    while follower.poll():
        pass
    assert follower.history.series("train/loss_toy") == ([1], [3.0])


def stage(index: int, start: int) -> dict[str, Any]:
    return {"kind": "stage", "stage": f"stage-{index}", "index": index, "epochs": 2, "step": start, "epoch": start // 5}


def test_a_stage_stands_once_though_the_run_was_resumed(attempts: tuple[RunDir, AttemptDir, AttemptDir]) -> None:
    run, first, second = attempts
    write(first.metrics_path, begin(1), stage(0, 0), step(10, 1.0), stage(1, 10), step(11, 1.0))
    write(second.metrics_path, begin(2, 10), stage(1, 10), step(11, 2.0))
    third = run.attempt(3)
    write(third.metrics_path, begin(3, 12), stage(1, 12), step(13, 2.0))
    stages = load_history(run).stages
    assert [(line["index"], line["step"], line["attempt"]) for line in stages] == [(0, 0, 1), (1, 10, 2)]


def test_a_second_begin_says_more_but_does_not_move_the_start(
    attempts: tuple[RunDir, AttemptDir, AttemptDir],
) -> None:
    run, first, second = attempts
    write(first.metrics_path, begin(1), *(step(n, 1.0) for n in range(1, 9)))
    follower = RunFollower(run)
    follower.poll()
    late = {"kind": "begin", "attempt": 2, "resumed_from_step": 7, "model": {"name": "own"}}
    write(second.metrics_path, begin(2, 5), step(6, 2.0), step(7, 2.0), late, step(8, 2.0))
    write(first.evaluations_path, {"kind": "evaluation", "step": 6, "epoch": 2, "values": {"val/AP": 0.9}})
    for history in (follower.history, load_history(run)):
        while follower.poll():
            pass
        assert history.series("train/loss_toy") == (list(range(1, 9)), [1.0] * 5 + [2.0] * 3)
        assert history.evaluations == [], "attempt 1 lost its word from step 5 on, not from step 7"
        assert history.begin is not None and history.begin is history.begins[2]
        assert history.begin["resumed_from_step"] == 5 and history.begin["total_epochs"] == 4
        assert history.begin["model"] == {"name": "own"} and set(history.begins) == {1, 2}


def test_only_our_evaluator_speaks_under_its_name(attempts: tuple[RunDir, AttemptDir, AttemptDir]) -> None:
    run, first, _ = attempts
    own = {"val/AP": 0.99, "val/loss": 1.0, "toy/AP": 0.5}
    write(first.metrics_path, begin(1), {"kind": "epoch", "step": 5, "epoch": 1, "values": own})
    write(first.metrics_path, {"kind": "epoch", "step": 10, "epoch": 2, "values": own})
    write(first.evaluations_path, {"kind": "evaluation", "step": 10, "epoch": 2, "values": {"val/AP": 0.2}})
    history = load_history(run)
    assert history.epoch_series("val/AP") == ([2], [0.2]) and history.epoch_series("toy/AP") == ([1, 2], [0.5, 0.5])
    assert history.epoch_names() == ["toy/AP", "val/AP"]


def test_telemetry_of_days_stays_small(attempts: tuple[RunDir, AttemptDir, AttemptDir]) -> None:
    run, first, _ = attempts
    write(first.telemetry_path, *({"t": float(n), "rss": n, "gpus": []} for n in range(20_000)))
    telemetry = load_history(run).telemetry
    assert 2000 < len(telemetry) <= 4096
    assert telemetry[-1]["t"] == 19_999 and telemetry == sorted(telemetry, key=lambda line: line["t"])


def test_a_newer_run_is_refused(attempts: tuple[RunDir, AttemptDir, AttemptDir]) -> None:
    run, first, _ = attempts
    first.path.mkdir(parents=True)
    first.metrics_path.write_text('{"schema":9,"kind":"begin"}\n')
    with pytest.raises(FormatError, match="format 9"):
        RunFollower(run).poll()


def test_a_step_table_gives_its_lines_back() -> None:
    table = StepTable()
    for number in range(1, 6):
        values = {"a": float(number)} if number % 2 else {"a": float(number), "b": -1.0}
        table.append({"kind": "step", "t": 0.5, "step": number, "epoch": 1, "stage": "main", "values": values})
    assert len(table) == 5 and table.names() == ["a", "b"]
    assert table[-2]["values"] == {"a": 4.0, "b": -1.0} and table[0]["values"] == {"a": 1.0}
    assert [line["step"] for line in table[1:3]] == [2, 3]
    assert table.series("b") == ([2, 4], [-1.0, -1.0])
    table.append({"step": 3, "values": {"a": 9.0}})
    assert [line["step"] for line in table] == [1, 2, 3] and table.series("b") == ([2], [-1.0])
    with pytest.raises(IndexError):
        table[3]


def test_what_two_lines_say_of_one_step_stands_together() -> None:
    """Two places in the output of a program may tell of one step; what is said again replaces what was."""
    table = StepTable()
    for values in ({"a": 1.0}, {"b": 2.0}):
        table.append({"step": 1, "epoch": 1, "values": values})
    assert [line["values"] for line in table] == [{"a": 1.0, "b": 2.0}]
    table.append({"step": 2, "epoch": 1, "values": {"a": 3.0}})
    table.append({"step": 2, "epoch": 1, "values": {"a": 4.0, "c": 5.0}})
    assert [line["values"] for line in table] == [{"a": 1.0, "b": 2.0}, {"a": 4.0, "c": 5.0}]
