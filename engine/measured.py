"""What configurations needed before: memory and time, remembered by configuration and device model.

`<workspace>/.measured/` is an index and nothing more: one small file for each
configuration on each device model, written when a run has ended, and rebuilt
from the runs by `rebuild` when it is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from detui.engine.errors import DetuiError
from detui.engine.run.directory import AttemptDir, RunDir, now
from detui.engine.run.files import number, read_json, read_json_if_there, write_json
from detui.engine.run.lines import read_lines
from detui.engine.run.state import read_state

FOLDER = ".measured"
ESTIMATE = "estimate.json"
"""File of a finished run: what was estimated for it, and what it took."""

MARGIN = 1.1
"""How much more free memory than the measured peak a GPU must have."""

_LARGEST = 0.95
"""The part of a GPU's whole memory that is asked for at most: an empty one does not have all of it free."""

_STEPS = 3
"""Steps that a time must rest on; the first of them starts the clock."""


BUILT = ("parameters", "gflops", "layers", "queries", "decoder_layers", "imgsz")
"""Facts of a built model that a worker reports in `begin`, and that arms are compared in."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one attempt took. Memory in bytes, times in seconds; None for what it did not say."""

    peak_memory: int | None
    memory_kind: str
    """"gpu": of one GPU, without what others had there at the start; "host": resident, of all its processes."""
    step_seconds: float | None
    epoch_seconds: float | None
    """From the end of one epoch to the end of the next: with its validation, where it has one."""
    source: str = "run"
    """"run" or "preflight"."""
    at: str = ""
    """Wall time of the measurement."""
    built: dict[str, Any] | None = None
    """What the worker said of the model that it built: parameters, gflops, layers, queries …; None where it did not."""


def configuration_key(backend: str, data: Any, kind: str, count: int, stages: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of a configuration: all that memory and the time of an epoch depend on, but the device's model.

    `stages`: their configurations without the number of epochs. Seeds and the arm's name are no part of it.
    """
    facts = [backend, data, kind, count, list(stages)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def recall(workspace: Path, key: str, model: str) -> Measured | None:
    """Return what is remembered of a configuration on a device model, or None."""
    try:
        found: dict[str, Any] | None = read_json_if_there(_path(workspace, key, model))
        known: dict[str, Any] = {name: (found or {}).get(name) for name in _NAMES}
        return None if found is None else Measured(**known)
    except (DetuiError, TypeError):  # an index may be damaged; it is written again
        return None


def remember(workspace: Path, key: str, model: str, measured: Measured) -> None:
    """Keep a measurement: of times the newest, of memory the highest. Raises RunError where it cannot be written.

    A preflight's few steps never replace what a run has measured.
    """
    known = recall(workspace, key, model)
    if known is not None and known.source == "run" and measured.source != "run":
        return
    peaks = [m.peak_memory for m in (known, measured) if m is not None and m.peak_memory is not None]
    kept = asdict(measured) | {"peak_memory": max(peaks, default=None)}
    if known is not None and known.source == measured.source:
        for name in ("step_seconds", "epoch_seconds"):
            kept[name] = kept[name] or getattr(known, name)
    path = _path(workspace, key, model)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(path, {"schema": 1, "key": key, "model": model, **kept})


_NAMES = tuple(Measured.__dataclass_fields__)


def _path(workspace: Path, key: str, model: str) -> Path:
    device = hashlib.sha256(model.encode()).hexdigest()[:8]
    return workspace / FOLDER / f"{key}-{device}.json"


def measure(attempt: AttemptDir, *, source: str = "run") -> Measured:
    """Read what an attempt took from its files."""
    telemetry = [line for line in read_lines(attempt.telemetry_path) if line.get("kind") != "alarm"]
    steps, epochs, allocated = [], [], 0
    per_epoch: int | None = None
    built: dict[str, Any] = {}
    for line in read_lines(attempt.metrics_path):
        kind, t = line.get("kind"), number(line.get("t"))
        if kind == "step" and t is not None:
            steps.append((t, line.get("step")))
            values = line.get("values") or {}
            allocated = max(allocated, *(int(number(values.get(f"memory/{m}")) or 0) for m in ("peak", "reserved")))
        elif kind == "epoch" and t is not None:
            epochs.append(t)
        elif kind in ("begin", "stage"):  # a stage on other data tells of its model: the head has other classes
            per_epoch = (kind == "begin" and line.get("steps_per_epoch")) or per_epoch
            built |= {name: value for name, value in (line.get("model") or {}).items() if name in BUILT}
    gpu = max(_gpu_peak(telemetry), allocated)
    host = max((int(number(line.get("rss")) or 0) for line in telemetry), default=0)
    step = _median([b[0] - a[0] for a, b in pairwise(steps)]) if len(steps) >= _STEPS else None
    epoch = _median([b - a for a, b in pairwise(epochs)])
    if epoch is None and step is not None and isinstance(per_epoch, int):
        epoch = step * per_epoch
    return Measured(gpu or host or None, "gpu" if gpu else "host", step, epoch, source, now(), built or None)


def _gpu_peak(telemetry: Sequence[Mapping[str, Any]]) -> int:
    """Return the highest use of one GPU, less what was in use at the first sample: that was others'."""
    first: dict[Any, int] = {}
    peak = 0
    for line in telemetry:
        for gpu in line.get("gpus") or ():
            if (used := gpu.get("memory_used")) is not None:
                peak = max(peak, used - first.setdefault(gpu.get("uuid"), used))
    return peak


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def remember_run(run: RunDir) -> None:
    """Remember what the attempts of a run took. Nothing happens for a run of an experiment without keys."""
    facts = read_json(run.experiment_dir / "experiment.json")
    spec = run.spec()
    estimated = (facts.get("estimates") or {}).get(spec.arm) or {}
    key = estimated.get("key")
    if not key:
        return
    measured = None
    for attempt in run.attempts():
        measured = measure(attempt)
        if measured.step_seconds is None and measured.epoch_seconds is None:
            continue  # it did not train long enough to say anything
        remember(run.experiment_dir.parent, key, _model(attempt, facts), measured)
    if measured is not None and estimated.get("measured") and read_state(run).word == "finished":
        write_json(run.path / ESTIMATE, _compared(run, estimated, measured))


def _compared(run: RunDir, estimated: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """What was estimated when the run began beside what it took; errors as a part of what it took, + for too much."""
    took = [number((attempt.exit() or {}).get("seconds")) for attempt in run.attempts()]
    seconds = sum(one for one in took if one is not None) or None
    before = {"seconds": estimated.get("seconds"), "peak_memory": estimated["measured"].get("peak_memory")}
    after = {"seconds": seconds, "peak_memory": measured.peak_memory}
    error = {name: round(before[name] / after[name] - 1, 4) for name in before if before[name] and after[name]}
    return {"schema": 1, "source": estimated["measured"].get("source"), "estimated": before, "took": after,
            "error": error}  # fmt: skip


def _model(attempt: AttemptDir, facts: Mapping[str, Any]) -> str:
    begins = (line for line in read_lines(attempt.metrics_path) if line.get("kind") == "begin")
    device = next(begins, {}).get("device") or {}
    if device.get("kind") == "cuda" and device.get("name"):
        return str(device["name"])
    host = (attempt.info() or {}).get("host") or facts.get("host") or {}
    return str(host.get("cpu") or "")


def rebuild(workspace: Path) -> int:
    """Make the index anew from the runs of a workspace. Returns how many runs were read; broken ones are left out."""
    folder, count = workspace / FOLDER, 0
    for path in folder.glob("*.json") if folder.is_dir() else ():
        path.unlink(missing_ok=True)
    for run in _runs(workspace):
        with suppress(DetuiError, OSError):
            remember_run(run)
            count += 1
    return count


def _runs(workspace: Path) -> Iterator[RunDir]:
    for facts in sorted(workspace.glob("*/experiment.json")):
        yield from (RunDir(spec.parent) for spec in sorted(facts.parent.glob("runs/*/spec.json")))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an arm will probably need, by what its configuration needed before on such a device."""

    key: str
    model: str
    """Name of the GPU or of the processor."""
    epochs: int
    measured: Measured | None = None
    """None: nothing is known."""

    @property
    def seconds(self) -> float | None:
        """The whole training's time."""
        each = self.measured.epoch_seconds if self.measured else None
        return None if each is None else each * self.epochs

    def to_json(self) -> dict[str, Any]:
        """Return what a plan and experiment.json hold."""
        known = asdict(self.measured) if self.measured else None
        return {"key": self.key, "model": self.model, "epochs": self.epochs, "seconds": self.seconds, "measured": known}


def min_free(measured: Measured | None, totals: Sequence[int | None]) -> int:
    """Return the bytes that a GPU should have free for a configuration; 0 where nothing is known.

    `totals`: the whole memory of each GPU that may be chosen.
    """
    if measured is None or measured.peak_memory is None or measured.memory_kind != "gpu":
        return 0
    known = [int(_LARGEST * total) for total in totals if total]
    return min([int(MARGIN * measured.peak_memory), *known])
