"""The reporter: what a training half says becomes lines, whatever the disk or the numbers do."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from detui.engine.run.directory import AttemptDir
from detui.engine.run.lines import LineReader, read_lines
from detui.engine.worker import Reporter
from detui.engine.worker.journal import Journal
from detui.engine.worker.stop import StopFlag


@pytest.fixture
def attempt(hostile_path: Path) -> AttemptDir:
    (hostile_path / "1").mkdir()
    return AttemptDir(hostile_path / "1")


def test_every_call_is_one_line(attempt: AttemptDir) -> None:
    report = Reporter(attempt, zero=time.monotonic() - 5)
    report.begin(total_epochs=2, steps_per_epoch=1, model={"name": "toy"})
    report.stage("main", 0, 2)
    report.step(1, 1, {"train/loss_a": 1.5, "memory/reserved": 7})
    report.epoch(1, 1, {"train/loss_a": 1.5}, seconds=0.5)
    report.checkpoint(attempt.path / "checkpoints" / "resume.pt", 1, 1)
    report.evaluation(1, 1, "val", attempt.path / "predictions" / "a.json", "/elsewhere/a.pt")
    report.statistic(1, {"router/a": 0.25})
    report.figure("figures/a.png")
    report.end("finished")
    lines = read_lines(attempt.metrics_path)
    kinds = ["begin", "stage", "step", "epoch", "checkpoint", "evaluation", "statistic", "figure", "end"]
    assert [line["kind"] for line in lines] == kinds
    assert lines[0] | {"t": 0} == {
        "schema": 1, "kind": "begin", "t": 0, "attempt": 1, "resumed_from_step": 0,
        "total_epochs": 2, "steps_per_epoch": 1, "model": {"name": "toy"},
    }  # fmt: skip
    assert all(5 <= line["t"] < 60 for line in lines)
    assert lines[2]["values"] == {"train/loss_a": 1.5, "memory/reserved": 7}
    assert (lines[4]["path"], lines[5]["checkpoint"]) == ("checkpoints/resume.pt", "/elsewhere/a.pt")
    assert lines[-1] | {"t": 0} == {"kind": "end", "t": 0, "step": 1, "epoch": 1, "outcome": "finished"}


def test_a_resumed_attempt_says_from_where(attempt: AttemptDir) -> None:
    report = Reporter(attempt, resume={"attempt": 1, "checkpoint": "x", "step": 240, "epoch": 29, "stage": 0})
    report.begin()
    report.end("stopped")
    first, last = read_lines(attempt.metrics_path)
    assert (first["resumed_from_step"], last["step"], last["epoch"]) == (240, 240, 29)


class Scalar:
    """What a tensor or a numpy number offers."""

    def __init__(self, value: float) -> None:
        self.item = lambda: value


def test_foreign_and_non_finite_numbers(attempt: AttemptDir) -> None:
    report = Reporter(attempt)
    report.step(1, 1, {"a": Scalar(2.5), "b": None, "c": True})
    report.step(2, 1, {"a": float("nan"), "b": Scalar(float("inf"))})
    report.step(3, 1, {"a": float("-inf")})
    report.end("finished")
    lines = read_lines(attempt.metrics_path)
    assert [line["values"] for line in lines if line["kind"] == "step"] == [
        {"a": 2.5, "b": None, "c": None},
        {"a": "NaN", "b": "Infinity"},
        {"a": "-Infinity"},
    ]
    alarms = [line for line in lines if line["kind"] == "alarm"]
    assert [alarm["name"] for alarm in alarms] == ["nan"], "an alarm sounds once"
    assert "a is nan" in alarms[0]["text"]


def test_the_evaluators_names_are_refused_and_the_code_is_told(attempt: AttemptDir) -> None:
    report = Reporter(attempt, code={"tree": "sha256:1"})
    report.begin(code={"tree": "mine"})
    report.epoch(1, 1, {"val/AP": 0.99, "toy/AP": 0.5})
    report.step(1, 1, {"val/loss": 1.0})
    report.end("finished")
    first, alarm, epoch, step, _ = read_lines(attempt.metrics_path)
    assert first["code"] == {"tree": "sha256:1"}
    assert (epoch["values"], step["values"]) == ({"toy/AP": 0.5}, {})
    assert alarm["name"] == "name" and "val/AP" in alarm["text"]


def test_threads_do_not_mix_their_lines(attempt: AttemptDir) -> None:
    report = Reporter(attempt)
    threads = [Thread(target=_report_steps, args=(report, start)) for start in (0, 10_000, 20_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.end("finished")
    reader = LineReader(attempt.metrics_path)
    steps = sorted(line["step"] for line in reader.poll() if line["kind"] == "step")
    assert steps == [start + n for start in (0, 10_000, 20_000) for n in range(500)]
    assert reader.damaged == 0


def _report_steps(report: Reporter, start: int) -> None:
    for number in range(500):
        report.step(start + number, 1, {"a": 1.0})


def test_a_forked_child_writes_nothing(attempt: AttemptDir) -> None:
    report = Reporter(attempt)
    report.step(1, 1, {"a": 1.0})
    child = os.fork()
    if child == 0:
        report.step(2, 1, {"a": 1.0})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    report.end("finished")
    assert [line.get("step") for line in read_lines(attempt.metrics_path)] == [1, 1]


def test_a_full_disk_delays_lines_and_loses_none(attempt: AttemptDir) -> None:
    """A file size limit, lifted later, stands for a disk that is full for a while."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        report = Reporter(attempt)
        for step in range(1, 301):
            report.step(step, 1, {"train/loss_a": 1.0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        time.sleep(2.5)  # the other thread tries again once a second
        whole = attempt.metrics_path.read_text().count('"step"')
        report.end("finished")
        os._exit(0 if whole > 300 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    reader = LineReader(attempt.metrics_path)
    lines = reader.poll()
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(1, 301))
    assert [line["name"] for line in lines if line["kind"] == "alarm"] == ["disk"]
    assert lines[-1]["kind"] == "end" and reader.damaged == 0


def test_the_backlog_is_bounded(attempt: AttemptDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detui.engine.worker.journal.BACKLOG_BYTES", 2000)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        journal = Journal(attempt.metrics_path)
        for number in range(1000):
            journal.write({"n": number, "pad": "x" * 50})
        os._exit(0 if journal.given_up > 900 and journal._waiting <= 2000 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_line_costs_microseconds(attempt: AttemptDir) -> None:
    """The budget is 20 µs; the bound here is loose, because a busy machine is no fault of the reporter's."""
    report = Reporter(attempt)
    values: dict[str, Any] = {f"train/loss_{n}": 1.0 / (n + 1) for n in range(5)}
    rounds = []
    for round_ in range(5):
        begun = time.thread_time()
        for step in range(1000):
            report.step(round_ * 1000 + step, 1, values)
        rounds.append((time.thread_time() - begun) * 1000)
    report.end("finished")
    assert statistics.median(rounds) < 60, f"{rounds} µs of CPU a line"


def test_a_stop_request_is_seen() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        flag = StopFlag().install()
        os.kill(os.getpid(), signal.SIGINT)
        assert not flag.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert flag.requested
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
