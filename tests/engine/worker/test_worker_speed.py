"""Timing: what counts, for how long, and the numbers that come of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detui.engine.worker.speed import REPEATS, WARMUP, ResidentMemory, summary, timed


class Clock:
    """Moves on by what the model is said to take."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def passes(clock: Clock, forward: Iterator[float], postprocess: float | None) -> dict[str, object]:
    def run() -> str:
        clock.now += next(forward)
        return "raw"

    def after(raw: str) -> None:
        assert raw == "raw"
        clock.now += postprocess or 0.0

    return timed(run, after if postprocess is not None else None, lambda: None, batch=4, clock=clock)


def constant(seconds: float, first: float | None = None) -> Iterator[float]:
    yield seconds if first is None else first
    while True:
        yield seconds


def test_the_warm_up_does_not_count_and_both_times_are_of_the_same_passes() -> None:
    found = passes(Clock(), constant(0.1, first=5.0), 0.02)
    assert (found["warmup"], found["repeats"]) == (WARMUP, REPEATS)
    assert found["forward"] == pytest.approx({"median_ms": 100, "p90_ms": 100, "image_ms": 25, "fps": 40})
    assert found["whole"] == pytest.approx({"median_ms": 120, "p90_ms": 120, "image_ms": 30, "fps": 4 / 0.12})


def test_fast_passes_are_repeated_for_two_seconds() -> None:
    found = passes(Clock(), constant(0.01), None)
    assert found["repeats"] in (200, 201) and found["forward"] == found["whole"]


def test_slow_passes_end_after_thirty_seconds_each() -> None:
    found = passes(Clock(), constant(7.0), None)
    assert (found["warmup"], found["repeats"]) == (5, 5)


def test_a_pass_beyond_the_limit_is_measured_once() -> None:
    found = passes(Clock(), constant(90.0), None)
    assert (found["warmup"], found["repeats"]) == (1, 1)


def test_the_percentile_is_one_that_was_measured() -> None:
    assert summary([float(n) for n in range(1, 11)], 1)["p90_ms"] == 9000
    assert summary([float(n) for n in range(1, 12)], 1)["p90_ms"] == 10000
    assert summary([3.0], 2) == {"median_ms": 3000, "p90_ms": 3000, "image_ms": 1500, "fps": 2 / 3}


def test_memory_grows_by_what_was_touched_and_earlier_peaks_are_forgotten() -> None:
    earlier = bytearray(b"x") * (192 << 20)
    del earlier
    memory = ResidentMemory()
    if not memory.exact:
        pytest.skip("this kernel does not reset the highest mark")
    held = bytearray(b"x") * (64 << 20)
    assert 60 << 20 < memory.growth() < 80 << 20
    del held
    assert memory.growth() > 60 << 20
