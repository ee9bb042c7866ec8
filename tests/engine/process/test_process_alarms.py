"""Alarms about the machine, from samples such as telemetry takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detui.engine.process.alarms import HostAlarms
from detui.engine.run.directory import AttemptDir


def sample(t: float, **more: Any) -> dict[str, Any]:
    return {"t": t, "disk_free": 1 << 40, "gpus": [], **more}


def test_a_gpu_that_is_nearly_full(tmp_path: Path) -> None:
    alarms = HostAlarms(AttemptDir(tmp_path))
    gpu = {"uuid": "GPU-1", "memory_used": 96 << 28, "memory_total": 100 << 28}
    unknown = {"uuid": "GPU-2", "memory_used": None, "memory_total": None}
    assert alarms.look(sample(1, gpus=[gpu, unknown])) == []
    full = {**gpu, "memory_used": 98 << 28}
    assert alarms.look(sample(2, gpus=[unknown, full])) == [
        ("gpu_memory", "GPU-1 has 24.50 of 25.00 GiB of memory in use.")
    ]
    assert alarms.look(sample(3, gpus=[full])) == [], "once"


def test_a_disk_without_room_for_the_next_checkpoints(tmp_path: Path) -> None:
    attempt = AttemptDir(tmp_path)
    assert HostAlarms(attempt).look(sample(1, disk_free=2 << 30)) == []
    assert HostAlarms(attempt).look(sample(1, disk_free=None)) == []
    assert HostAlarms(attempt).look(sample(1, disk_free=1 << 29)) == [("disk_low", "The disk has 0.50 GiB free.")]
    attempt.checkpoints.mkdir()
    with (attempt.checkpoints / "last.pt").open("wb") as file:
        file.truncate(3 << 30)
    (name, text), = HostAlarms(attempt).look(sample(1, disk_free=5 << 30))  # fmt: skip
    assert name == "disk_low" and "5.00 GiB free; the newest checkpoint takes 3.00 GiB" in text


def grown(alarms: HostAlarms, attempt: AttemptDir, start: int, seconds: int, every: int | None) -> list[str]:
    """Sample once a second, with a step every so many seconds."""
    found = []
    for t in range(start, start + seconds):
        if every is not None and t % every == 0:
            with attempt.metrics_path.open("a") as file:
                file.write("x\n")
        found += alarms.look(sample(t))
    return [text for name, text in found if name == "no_step"]


def test_no_step_for_long(tmp_path: Path) -> None:
    attempt = AttemptDir(tmp_path)
    alarms = HostAlarms(attempt)
    assert grown(alarms, attempt, 0, 400, None) == [], "nothing has been reported yet"
    assert grown(alarms, attempt, 400, 60, 1) == []
    assert grown(alarms, attempt, 460, 119, None) == []
    found = grown(alarms, attempt, 579, 60, None)
    assert found == ["No step has been reported for 121 s; the median step took 2 s or less."]


def test_slow_steps_are_given_ten_times_their_time(tmp_path: Path) -> None:
    attempt = AttemptDir(tmp_path)
    alarms = HostAlarms(attempt)
    assert grown(alarms, attempt, 0, 301, 30) == []
    assert grown(alarms, attempt, 301, 299, None) == []
    assert len(grown(alarms, attempt, 600, 10, None)) == 1


def test_a_worker_that_is_done_makes_no_steps(tmp_path: Path) -> None:
    attempt = AttemptDir(tmp_path)
    alarms = HostAlarms(attempt)
    grown(alarms, attempt, 0, 60, 1)
    (tmp_path / "done.json").write_text("{}")
    assert grown(alarms, attempt, 60, 300, None) == []
