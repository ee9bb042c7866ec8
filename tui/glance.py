"""A run at a glance: state, epoch, loss and metric, read from the ends of its files.

A list of a hundred runs must not read a hundred histories: a line file is
read from its last kilobytes, and nothing outside the standard library is
imported. The whole history is `detui.engine.run.history`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from detui.engine.errors import DetuiError
from detui.engine.run.alarms import marked
from detui.engine.run.compiling import compiling
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import number, read_json, read_json_if_there
from detui.engine.run.pulled import Pulled
from detui.engine.run.state import State, read_state
from detui.tui.language import tr
from detui.tui.live import Live, live

_TAIL = 16 * 1024
_LONGEST = 1 << 20
METRIC = "val/AP"
"""The metric that lists show."""
FRAMES_METRIC = "val/NDS"
"""What they show of runs whose data is judged in the manner of nuScenes: it has no AP, and NDS is what it ranks by."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a list shows of one run."""

    experiment: str
    """Id of the experiment."""
    name: str
    """Name of the run: arm and seed."""
    path: Path
    recipe: str
    profile: str
    state: State | None
    """None where the run cannot be read; `problem` says why."""
    notes: tuple[str, ...] = ()
    """What is to be known beside the state: "evaluating", "stalled: …", "imported: …"."""
    host: str | None = None
    """The host that it was copied from, where it is no run of this one: it is shown as it was then."""
    imported: bool = False
    """Whether another tool trained it: its numbers are that tool's."""
    alarms: tuple[str, ...] = ()
    """Names of the alarms that the latest attempt has raised."""
    attempt: int | None = None
    epoch: int = 0
    """Epochs completed."""
    epochs: int | None = None
    """Epochs planned."""
    loss: float | None = None
    """The latest training loss, its terms added."""
    metric: float | None = None
    """The latest value of detui's evaluator, 0-1."""
    measures: str = METRIC
    """What that is of: METRIC, or FRAMES_METRIC."""
    problem: str | None = None
    now: Live | None = None
    """Device, memory and pace, while it runs."""
    estimate: Mapping[str, Any] | None = None
    """Of a finished run: what was estimated, what it took, and the error as a part of that; None without estimate."""

    @property
    def ref(self) -> str:
        """What commands call the run."""
        return f"{self.experiment}/{self.name}"

    @property
    def metric_name(self) -> str:
        """The name of the metric: "AP", "NDS"."""
        return self.measures.removeprefix("val/")

    @property
    def word(self) -> str:
        """The word of the state."""
        return self.state.word if self.state else "broken"

    @property
    def letter(self) -> str:
        """The letter of the state."""
        return self.state.letter if self.state else "!"

    @property
    def since(self) -> str:
        """Wall time since which the run is in its state, "" where unknown."""
        return self.state.at if self.state else ""

    @property
    def live(self) -> bool:
        """Whether the run may still change by itself. A copy of another host's does not."""
        return self.state is not None and not self.state.terminal and self.host is None

    def to_json(self) -> dict[str, Any]:
        """Return the glance as `detui ls --json` prints it."""
        return {
            "run": self.ref,
            "state": self.word,
            "since": self.since,
            "notes": list(self.notes),
            "pulled": self.host,
            "imported": self.imported,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "loss": self.loss,
            METRIC: self.metric if self.measures == METRIC else None,
            **({} if self.measures == METRIC else {self.measures: self.metric}),
            "problem": self.problem,
            "estimate": self.estimate,
            "path": str(self.path),
        }


def glance(run: RunDir, facts: Mapping[str, Any]) -> Glance:
    """Read a run at a glance. `facts`: its experiment's experiment.json. Never raises for a broken run."""
    known: dict[str, Any] = {
        "experiment": run.experiment_dir.name,
        "name": run.name,
        "path": run.path,
        "recipe": str(facts.get("recipe", "")),
        "profile": str(facts.get("profile", "")),
    }
    try:
        return Glance(**known, **_read(run))
    except (DetuiError, OSError) as error:
        message = error.message if isinstance(error, DetuiError) else str(error)
        return Glance(**known, state=None, problem=message)


def _read(run: RunDir) -> dict[str, Any]:
    epochs, measures = _planned(run.spec_path)
    state, notes = read_status(run)
    attempts = run.attempts()
    alarms = tuple(marked(attempts[-1].path)) if attempts else ()
    if alarms:
        notes = (*notes, f"! {', '.join(alarms)}")
    origin = run.imported()
    if origin is not None:
        notes = (tr("imported: {form}", form=tr(str(origin.get("form")))), *notes)
    copy = run.pulled()
    measured = _measured(attempts)
    if attempts and copy is None and state.word in ("starting", "running") and "loss" not in measured:
        notes = (*notes, *compiling_note(attempts[-1]))
    return {
        "state": state,
        "notes": (*copied(copy, state), *notes),
        "host": None if copy is None else copy.host,
        "imported": origin is not None,
        "alarms": alarms,
        "attempt": attempts[-1].number if attempts else None,
        "epochs": epochs,
        "metric": _metric(attempts, measures),
        "measures": measures,
        "now": live(attempts[-1], state, epochs) if attempts and not state.terminal and copy is None else None,
        "estimate": read_json_if_there(run.path / "estimate.json") if state.word == "finished" else None,
        **measured,
    }


def copied(copy: Pulled | None, state: State) -> tuple[str, ...]:
    """Return where a copied run is, and where it had not ended, as of when it is shown; nothing of a run of here."""
    if copy is None:
        return ()
    if state.terminal:
        return (tr("on {host}", host=copy.host),)
    return (tr("on {host}, as of {day}", host=copy.host, day=copy.day),)


def compiling_note(attempt: AttemptDir) -> tuple[str, ...]:
    """Return how far a framework is that compiles before its first step, by the end of the attempt's log."""
    found = compiling(attempt.console_path)
    if found is None:
        return ()
    done = tr("compiles its kernels: {done} of {total}", done=found.done, total=found.total)
    return (done if found.left is None else f"{done}, {tr('about {seconds} s left', seconds=round(found.left))}",)


def read_status(run: RunDir) -> tuple[State, tuple[str, ...]]:
    """Return a run's state and notes; looks at processes only where the state can still change.

    Of a copy of another host's run: its state as it was, and no notes; `copied` says where it is.
    """
    state = read_state(run)
    if (state.terminal and not run.evaluating_path.exists()) or run.pulled() is not None:
        return state, ()
    from detui.engine.executor.runs import look

    found = look(run)
    if "orphaned" in found.notes:
        from detui.tui.adoption import adopted

        found = adopted(run, found)
    return found.state, found.notes


@lru_cache(maxsize=4096)
def _planned(spec: Path) -> tuple[int, str]:
    """Return the epochs of all stages, and the metric. A spec never changes, so it is read once. Raises DetuiError."""
    found = read_json(spec)
    data = found.get("data")
    frames = isinstance(data, Mapping) and data.get("metric") == "nuscenes"
    epochs = sum(int(stage.get("epochs", 0)) for stage in found.get("stages") or [])
    return epochs, FRAMES_METRIC if frames else METRIC


def _measured(attempts: list[AttemptDir]) -> dict[str, Any]:
    """Return epoch and loss from the latest attempt that measured anything."""
    for attempt in reversed(attempts):
        epoch: int | None = None
        loss: float | None = None
        for line in lines_from_end(attempt.metrics_path):
            kind = line.get("kind")
            if epoch is None and kind in ("step", "epoch", "checkpoint", "end", "begin"):
                epoch = _epochs_done(line)
            if loss is None and kind in ("step", "epoch"):
                loss = total_loss(line.get("values"))
            if epoch is not None and loss is not None:
                break
        if epoch is not None:
            return {"epoch": epoch, "loss": loss}
    return {}


def _epochs_done(line: Mapping[str, Any]) -> int | None:
    """Return the epochs completed at a line: a step belongs to the epoch in progress."""
    epoch = line.get("epoch")
    if not isinstance(epoch, int):
        return None
    return max(0, epoch - 1) if line.get("kind") == "step" else epoch


def total_loss(values: Any) -> float | None:
    """Return `train/loss`, or the sum of the terms `train/loss_*`; None where there is none."""
    if not isinstance(values, Mapping):
        return None
    if (whole := number(values.get("train/loss"))) is not None:
        return whole
    terms = [number(value) for name, value in values.items() if name.startswith("train/loss_")]
    present = [term for term in terms if term is not None]
    return sum(present) if present else None


def _metric(attempts: list[AttemptDir], name: str) -> float | None:
    for attempt in reversed(attempts):
        for line in lines_from_end(attempt.evaluations_path):
            if (value := number(line.get("values", {}).get(name))) is not None:
                return value
    return None


def lines_from_end(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a line file's last kilobytes, the last first. A partial last line is "not yet"."""
    try:
        with path.open("rb") as file:
            content = _tail(file.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return
    whole = content[: content.rfind(b"\n") + 1]
    for line in reversed(whole.splitlines()):
        try:
            obj = json.loads(line)
        except ValueError:  # the first of the tail is cut off in its middle
            continue
        if isinstance(obj, dict):
            yield obj


def _tail(descriptor: int) -> bytes:
    """Return the end of a file: 16 KiB, more where a single line is longer than that."""
    length = os.fstat(descriptor).st_size
    taken = _TAIL
    while True:
        content = os.pread(descriptor, taken, max(0, length - taken))
        if content.count(b"\n") > 1 or taken >= min(length, _LONGEST):
            return content
        taken *= 8
