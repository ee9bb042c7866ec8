"""Read an experiment's directory into facts. The run directories are the only truth; nothing is computed twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import chosen, number, standing
from detui.engine.errors import FormatError, MissingError
from detui.engine.evaluate.pending import pending
from detui.engine.record.facts import AttemptFacts, ExperimentFacts, Measured, RunFacts, Source
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import read_json
from detui.engine.run.history import History, load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import RunSpec
from detui.engine.run.state import read_state

NEEDED = ("id", "recipe", "arms", "seeds", "runs", "checkpoint_rule")


def gather(experiment: Path) -> ExperimentFacts:
    """Read experiment.json and every run. Raises MissingError, FormatError."""
    path = experiment / "experiment.json"
    if not path.exists():
        hint = "`detui ls` lists the experiments of the workspace"
        raise MissingError("This is not an experiment: it has no experiment.json.", where=str(experiment), hint=hint)
    info = read_json(path)
    for name in NEEDED:
        if name not in info:
            raise FormatError(f"`{name}` is missing.", where=str(path))
    runs = (RunDir(experiment / "runs" / name) for name in info["runs"])
    return ExperimentFacts(path=experiment, info=info, runs=tuple(_run(run) for run in runs if run.spec_path.exists()))


def _run(run: RunDir) -> RunFacts:
    spec, state, history = run.spec(), read_state(run), load_history(run)
    attempts = run.attempts()
    return RunFacts(
        name=run.name,
        arm=spec.arm,
        seed=spec.seed,
        state=state.word,
        terminal=state.terminal,
        reason=_reason(state),
        epoch=history.epoch,
        total_epochs=history.total_epochs or spec.total_epochs,
        began=_began(run),
        begin=history.begin or {},
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        alarms=tuple(str(line.get("text") or line.get("name")) for line in history.alarms),
        evaluations=tuple(standing(history)),
        chosen=chosen(history, spec.checkpoint_rule),
        waiting=tuple(str(line.get("path")) for attempt in attempts for line in pending(attempt)),
        cost=dict(_cost(run.name, spec, history, attempts)),
        trained={line["epoch"]: int(line.get("attempt") or 1) for line in history.epochs if "epoch" in line},
        losses=_series(history, "train/loss"),
        framework=_series(history, f"{spec.backend}/"),
    )


def _reason(state: Any) -> str | None:
    parts = [getattr(state, "signal", None), getattr(state, "reason", None)]
    code = getattr(state, "code", None)
    if code:
        parts.insert(0, f"exit code {code}")
    return "; ".join(str(part) for part in parts if part) or None


def _began(run: RunDir) -> str | None:
    starts = (line.get("at") for line in read_lines(run.events_path) if line.get("state") in ("starting", "running"))
    return next((str(at) for at in starts if at), None)


def _attempt(attempt: AttemptDir) -> AttemptFacts:
    info, ended = attempt.info() or {}, attempt.exit() or {}
    resume = info.get("resume") or {}
    what = (ended.get("state"), f"exit code {ended['code']}" if ended.get("code") else None)
    parts = [str(part) for part in (*what, ended.get("signal"), ended.get("reason")) if part]
    return AttemptFacts(
        number=attempt.number,
        resumed_from_epoch=resume.get("epoch"),
        seconds=number(ended.get("seconds")),
        ended="; ".join(parts) or None,
    )


def _series(history: History, prefix: str) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    names = [name for name in history.epoch_names() if name.startswith(prefix)]
    found = {name: history.epoch_series(name) for name in names}
    return {name: (tuple(epochs), tuple(values)) for name, (epochs, values) in found.items() if epochs}


def _cost(name: str, spec: RunSpec, history: History, attempts: list[AttemptDir]) -> Iterator[tuple[str, Measured]]:
    begin = history.begin or {}
    at = int(begin.get("attempt") or 1)
    for fact in ("parameters", "gflops"):
        if (found := number((begin.get("model") or {}).get(fact))) is not None:
            yield f"model/{fact}", Measured(found, _file(name, at, "metrics.jsonl"))
    seconds = [length for line in history.epochs if (length := number(line.get("seconds"))) is not None]
    # An epoch counts once: those that a resumed attempt repeated are no longer in the history.
    if seconds and len(seconds) == len(history.epochs):
        last = int(history.epochs[-1].get("attempt") or 1)
        yield "cost/training_seconds", Measured(sum(seconds), _file(name, last, "metrics.jsonl"))
    yield from _peaks(name, attempts, spec.device.kind)


def _peaks(name: str, attempts: list[AttemptDir], kind: str) -> Iterator[tuple[str, Measured]]:
    host: list[tuple[float, int]] = []
    gpu: list[tuple[float, int]] = []
    for attempt in attempts:
        # Read from the files: the history thins old samples, and the peak may be among them.
        for line in read_lines(attempt.telemetry_path):
            if (found := number(line.get("rss"))) is not None:
                host.append((found, attempt.number))
        for line in read_lines(attempt.metrics_path):
            values: Mapping[str, Any] = line.get("values") or {}
            if line.get("kind") == "step" and (found := number(values.get("memory/reserved"))):
                gpu.append((found, attempt.number))
    if host:
        value, attempt_number = max(host)
        yield "cost/host_memory", Measured(value, _file(name, attempt_number, "telemetry.jsonl"))
    if gpu and kind == "cuda":
        value, attempt_number = max(gpu)
        yield "cost/gpu_memory", Measured(value, _file(name, attempt_number, "metrics.jsonl"))


def _file(run: str, attempt: int, file: str) -> Source:
    return Source(run, attempt, None, f"runs/{run}/attempts/{attempt}/{file}")
