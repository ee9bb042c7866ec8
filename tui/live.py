"""What a run is doing right now: device, memory, stage, pace. Read from the ends of its files, for live runs only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import number
from detui.engine.run.lines import lines_from_end
from detui.engine.run.state import State

_STEPS = 40
"""Steps of which the pace is taken."""


@dataclass(frozen=True, slots=True)
class Live:
    """The present of a run; every field is None where nobody knows."""

    devices: tuple[str, ...] = ()
    """Names of what it trains on: "GPU 3", "cpu:0"."""
    memory: tuple[float, float | None] | None = None
    """Bytes used and bytes there: of its GPUs together, or of its processes on the host."""
    stage: str | None = None
    """Name of the stage, where a run has several."""
    step: float | None = None
    """Seconds of a step."""
    left: float | None = None
    """Seconds until the last epoch will be done, at that pace."""


def live(attempt: AttemptDir, state: State, epochs: int | None) -> Live:
    """Read what a run is doing. `epochs`: of all its stages."""
    sample: dict[str, Any] = next((one for one in lines_from_end(attempt.telemetry_path) if "cpu_percent" in one), {})
    gpus = [gpu for gpu in sample.get("gpus") or () if isinstance(gpu, dict)]
    steps = _latest_steps(attempt.metrics_path)
    pace = _pace(steps)
    return Live(
        devices=_devices(state, gpus),
        memory=_memory(sample, gpus),
        stage=steps[0].get("stage") if steps and steps[0].get("stage") != "main" else None,
        step=pace,
        left=_left(attempt.metrics_path, steps, epochs, pace),
    )


def _devices(state: State, gpus: list[dict[str, Any]]) -> tuple[str, ...]:
    if gpus:
        return tuple(f"GPU {gpu.get('index')}" for gpu in gpus)
    return tuple(getattr(state, "device", ()))


def _memory(sample: dict[str, Any], gpus: list[dict[str, Any]]) -> tuple[float, float | None] | None:
    used = [number(gpu.get("memory_used")) for gpu in gpus]
    total = [number(gpu.get("memory_total")) for gpu in gpus]
    known = [value for value in used if value is not None]
    if known:
        return sum(known), sum(value for value in total if value is not None) or None
    resident = number(sample.get("rss"))
    return None if resident is None else (resident, number(sample.get("host_memory_total")))


def _latest_steps(metrics: Path) -> list[dict[str, Any]]:
    """Return the latest step lines, the last first."""
    found = []
    for line in lines_from_end(metrics):
        if line.get("kind") == "step" and isinstance(line.get("step"), int):
            found.append(line)
            if len(found) == _STEPS:
                break
    return found


def _pace(steps: list[dict[str, Any]]) -> float | None:
    if len(steps) < 2:
        return None
    count = steps[0]["step"] - steps[-1]["step"]
    seconds = (number(steps[0].get("t")) or 0.0) - (number(steps[-1].get("t")) or 0.0)
    return seconds / count if count > 0 and seconds > 0 else None


def _left(metrics: Path, steps: list[dict[str, Any]], epochs: int | None, pace: float | None) -> float | None:
    if not steps or not epochs or pace is None or (each := _steps_per_epoch(metrics)) is None:
        return None
    return max(0, each * epochs - int(steps[0]["step"])) * pace


@lru_cache(maxsize=1024)
def _known_steps_per_epoch(metrics: Path, inode: int) -> int | None:
    from detui.engine.run.lines import LineReader

    for line in LineReader(metrics).poll(1):
        each = line.get("steps_per_epoch")
        if line.get("kind") == "begin" and isinstance(each, int):
            return each
    return None


def _steps_per_epoch(metrics: Path) -> int | None:
    """Return the steps of an epoch, which the first line of a file says: read once a file."""
    try:
        return _known_steps_per_epoch(metrics, metrics.stat().st_ino)
    except OSError:
        return None
