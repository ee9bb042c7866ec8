"""How long a model takes, whatever framework it is in: warm-up, repeats until there are enough, median and p90."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

WARMUP = 10
"""Passes before the first that counts: kernels are chosen, caches and allocators filled."""
REPEATS = 50
"""Passes that count, at least."""
LEAST_SECONDS, MOST_SECONDS = 2.0, 30.0
"""For how long passes are repeated; the most holds for the warm-up, too, and over the number of passes."""


def timed(
    forward: Callable[[], Any],
    postprocess: Callable[[Any], Any] | None,
    synchronise: Callable[[], None],
    *,
    batch: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Time passes of `batch` pictures that lie on the device.

    `forward`: pictures to raw outputs. `postprocess`: raw outputs to detections (NMS); None where there is nothing to
    do. `synchronise`: returns when the device has done all it was given. Returns {"warmup", "repeats", "seconds",
    "forward", "whole"}, the last two as `summary` makes them; "whole" is with post-processing, from the same passes.
    """

    def once() -> tuple[float, float]:
        begin = clock()
        raw = forward()
        synchronise()
        between = clock()
        if postprocess is not None:
            postprocess(raw)
            synchronise()
        return between - begin, clock() - begin

    synchronise()
    start = clock()
    warmup = 0
    while warmup < WARMUP and (not warmup or clock() - start < MOST_SECONDS):
        once()
        warmup += 1
    start, passes = clock(), [once()]
    while _wanted(len(passes), clock() - start):
        passes.append(once())
    return {
        "warmup": warmup,
        "repeats": len(passes),
        "seconds": clock() - start,
        "forward": summary([first for first, _ in passes], batch),
        "whole": summary([both for _, both in passes], batch),
    }


def _wanted(passes: int, seconds: float) -> bool:
    """Whether another pass is made."""
    return seconds < MOST_SECONDS and (passes < REPEATS or seconds < LEAST_SECONDS)


def summary(seconds: Sequence[float], batch: int) -> dict[str, float]:
    """Median and 90th percentile of a pass in milliseconds, the median a picture, and pictures a second from it."""
    middle, late = median(seconds), sorted(seconds)[-(-9 * len(seconds) // 10) - 1]
    return {
        "median_ms": 1000 * middle,
        "p90_ms": 1000 * late,
        "image_ms": 1000 * middle / batch,
        "fps": batch / middle,
    }


class ResidentMemory:
    """How far this process's resident memory rises above where it stands now."""

    def __init__(self) -> None:
        """Begin at the memory of now; the highest mark of before is forgotten where the kernel allows that."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:  # then the mark of before counts, and the growth may come out too large
            self.exact = False
        else:
            self.exact = True
        self._before = _status("VmRSS") or 0

    def growth(self) -> int:
        """Bytes from then to the highest mark since."""
        highest = _status("VmHWM") or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return max(0, highest - self._before)


def _status(name: str) -> int | None:
    """A line of /proc/self/status in bytes; None where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
