"""Read an experiment's directory into facts. The run directories are the only truth; nothing is computed twice."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import chosen, finite, rule_metric, standing
from detui.engine.analysis.convergence import SHARES, Reason, converge
from detui.engine.errors import FormatError, MissingError
from detui.engine.evaluate.pending import pending
from detui.engine.record.facts import (
    EPOCHS_TO_90,
    FUSION_PARTS,
    LEVELS,
    LOSS_TERMS,
    PARTS,
    RATES,
    SECONDS_TO_90,
    SPEED,
    TOTAL_LOSS,
    AttemptFacts,
    ExperimentFacts,
    Measured,
    RunFacts,
    Samples,
    Source,
    StageFacts,
)
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import read_json
from detui.engine.run.history import History, load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.measurements import SPEED_FILE, measurements
from detui.engine.run.state import read_state
from detui.engine.secrets import redacted

RATE = "lr/all"
"""The learning rate of the weights, as a training half calls it."""
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
    named = {one["iteration"] for key in ("goals", "claims") for one in info.get(key) or () if one.get("iteration")}
    gathered = (_run(run, named) for run in runs if run.spec_path.exists())
    return ExperimentFacts(path=experiment, info=info, runs=tuple(gathered))


def _run(run: RunDir, iterations: Collection[int]) -> RunFacts:
    """`iterations`: those whose step lines are asked for."""
    spec, state, history = run.spec(), read_state(run), load_history(run)
    attempts, devices = run.attempts(), _devices(run)
    best = chosen(history, spec.checkpoint_rule)
    said = history.begins.get(int(best.get("attempt") or 1) if best else 0) or history.begin or {}
    begin = _at_the_end(said, history)
    cost = dict(_cost(run.name, begin, history, attempts, spec.device.kind))
    speed = _speed(attempts, best)
    cost |= dict(_speed_cost(run.name, speed)) if speed else {}
    timed = _timed(run.name, history)
    if timed and timed[1] == timed[2]:
        cost["cost/training_seconds"] = timed[0]
    evaluations = tuple(standing(history))
    stages = tuple(_stages(history))
    cost |= dict(_converged(run.name, evaluations, rule_metric(spec.checkpoint_rule), history, stages))
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
        begin=redacted(begin),
        attempts=tuple(_attempt(one, devices.get(one.number, ()), history) for one in attempts),
        alarms=tuple(str(line.get("text") or line.get("name")) for line in history.alarms),
        evaluations=evaluations,
        chosen=best,
        waiting=tuple(str(line.get("path")) for attempt in attempts for line in pending(attempt)),
        cost=cost,
        speed=speed,
        timed=timed,
        trained={line["epoch"]: int(line.get("attempt") or 1) for line in history.epochs if "epoch" in line},
        stage_starts=tuple(int(line.get("epoch") or 0) for line in history.stages),
        losses=_series(history, "train/loss"),
        framework=_framework(history, spec.backend),
        statistics=_statistics(history),
        stages=stages,
        iterations=history.step,
        asked={at: values for at in sorted(iterations) if (values := _at_step(run.name, history, at))},
        rates=dict(_rates(history)),
        sums_loss=_sums_loss(history),
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


def _devices(run: RunDir) -> dict[int, tuple[str, ...]]:
    """Attempt → the devices that it had, by the events of the run."""
    events = [line for line in read_lines(run.events_path) if line.get("state") == "running" and line.get("device")]
    return {int(line.get("attempt") or 1): tuple(map(str, line["device"])) for line in events}


def _attempt(attempt: AttemptDir, device: tuple[str, ...], history: History) -> AttemptFacts:
    info, ended = attempt.info() or {}, attempt.exit() or {}
    resume = info.get("resume") or {}
    branched = "run" in resume  # at another run's checkpoint: that is said of the experiment
    what = (ended.get("state"), f"exit code {ended['code']}" if ended.get("code") else None)
    parts = [str(part) for part in (*what, ended.get("signal"), ended.get("reason")) if part]
    return AttemptFacts(
        number=attempt.number,
        resumed_from_epoch=None if branched else resume.get("epoch"),
        seconds=finite(ended.get("seconds")),
        ended="; ".join(parts) or None,
        stage=int(resume.get("stage") or 0),
        device=device,
        device_model=_device_model(attempt.number, history),
        begin=redacted(history.begins.get(attempt.number) or {}),
        host=redacted(info.get("host") or {}),
        job=str(info.get("slurm") or ""),
    )


def _device_model(attempt: int, history: History) -> str:
    told = (history.begins.get(attempt) or {}).get("device") or {}
    sampled = next((line["gpus"] for line in history.telemetry if line["attempt"] == attempt and line.get("gpus")), ())
    names = dict.fromkeys(str(gpu["name"]) for gpu in sampled if gpu.get("name"))
    return str(told.get("name") or ", ".join(names) or told.get("kind") or "")


_OURS = ("train/", "lr/", "val/", "time/", "memory/", "gradient/")


def _framework(history: History, backend: str) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    """The validation numbers of a framework; of any program all epochs' numbers that have no name of ours."""
    if backend != "command":
        return _series(history, f"{backend}/")
    return {name: of for name, of in _series(history, "").items() if not name.startswith(_OURS)}


def _series(history: History, prefix: str) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    names = [name for name in history.epoch_names() if name.startswith(prefix)]
    found = {name: history.epoch_series(name) for name in names}
    return {name: (tuple(epochs), tuple(values)) for name, (epochs, values) in found.items() if epochs}


def _at_the_end(begin: Mapping[str, Any], history: History) -> Mapping[str, Any]:
    """What an attempt said when it began, with the model of its last stage: on other data it has another head."""
    later = [line["model"] for line in history.stages if line.get("model")]
    return {**begin, "model": {**(begin.get("model") or {}), **later[-1]}} if begin and later else begin


def _stages(history: History) -> Iterator[StageFacts]:
    """The stages that have begun, each up to where the next one does."""
    steps, rates = history.series(RATE)
    parts = {name: history.series(name) for name in _told_rates(history)}
    begins = [(int(line.get("step") or 0), int(line.get("epoch") or 0)) for line in history.stages]
    borders = [*begins, (history.step, history.epoch)]
    for line, (start, before), (end, after) in zip(history.stages, borders, borders[1:], strict=False):
        known = _within(steps, rates, start, end)
        of_parts = {name: found for name, told in parts.items() if (found := _within(*told, start, end))}
        yield StageFacts(line=redacted(line), epochs=max(0, after - before), rates=known, by_part=of_parts)


def _within(steps: Sequence[int], values: Sequence[float], start: int, end: int) -> tuple[float, float, float] | None:
    """The first, the highest and the last value of the steps beyond `start` up to `end`; None without any."""
    used = values[bisect_right(steps, start) : bisect_right(steps, end)]
    return (used[0], max(used), used[-1]) if used else None


_POINTS = 400
"""Points of a slope at most: more than a figure is wide."""


def _rates(history: History) -> Iterator[tuple[str, tuple[tuple[int, ...], tuple[float, ...]]]]:
    """The rates of parts. What is level is told by its ends, and of a long slope some points are."""
    for name in _told_rates(history):
        steps, values = history.series(name)
        last = len(steps) - 1
        same = [values[i] == values[i + 1] for i in range(last)]  # with the next one
        slope = [i for i in range(1, last) if not (same[i - 1] or same[i])]
        corners = [i for i in range(last + 1) if i in (0, last) or same[i - 1] != same[i]]
        kept = sorted({*corners, *slope[:: -(-len(slope) // _POINTS) or 1]})
        yield name, (tuple(int(steps[i]) for i in kept), tuple(float(values[i]) for i in kept))


def _told_rates(history: History) -> list[str]:
    known = set(history.names())
    return [name for name in RATES if name in known]


def _converged(
    name: str, evaluations: Sequence[Mapping[str, Any]], metric: str, history: History, stages: Sequence[StageFacts]
) -> Iterator[tuple[str, Measured]]:
    """The epoch of 90 % of the final value, and the time to it where every epoch until then says its own.

    Counted from the beginning of the first stage that is judged: those before trained for something else.
    """
    points = [(int(line["epoch"]), finite(line["values"].get(metric))) for line in evaluations]
    reached = converge(points, history.epoch or None).reached[SHARES.index(0.9)]
    if isinstance(reached, Reason):
        return
    start = next((int(one.line.get("epoch") or 0) for one in stages if one.judged), 0)
    line = next(line for line in evaluations if line["epoch"] == reached.epoch)
    at = int(line.get("attempt") or 1)
    yield EPOCHS_TO_90, Measured(float(reached.epoch - start), _file(name, at, "evaluations.jsonl"))
    lengths = {line.get("epoch"): finite(line.get("seconds")) for line in history.epochs}
    spent = [lengths.get(epoch) for epoch in range(start + 1, reached.epoch + 1)]
    if (known := [one for one in spent if one is not None]) and len(known) == len(spent):
        yield SECONDS_TO_90, Measured(sum(known), _file(name, at, "metrics.jsonl"))


def _statistics(history: History) -> dict[str, Samples]:
    """The samples of each named number, by step; one that is not finite is no sample."""
    found: dict[str, list[tuple[int, float, int]]] = {}
    for line in history.statistics:
        for name, given in (line.get("values") or {}).items():
            if (value := finite(given)) is not None and isinstance(line.get("step"), int):
                found.setdefault(str(name), []).append((line["step"], value, int(line.get("attempt") or 1)))
    # Unpacked, the rows become the three columns.
    return {name: Samples(*zip(*sorted(rows), strict=True)) for name, rows in found.items()}


def _sums_loss(history: History) -> bool:
    names = {*history.names(), *history.epoch_names()}
    return TOTAL_LOSS not in names and any(name.startswith(LOSS_TERMS) for name in names)


def _at_step(run: str, history: History, step: int) -> dict[str, Measured]:
    """What the step line of one step says, by name; empty without such a line."""
    steps, _ = history.steps.clock()
    at = bisect_right(steps, step) - 1
    if at < 0 or steps[at] != step:
        return {}
    began = ((number, int(line.get("resumed_from_step") or 0)) for number, line in history.begins.items())
    attempt = max((number for number, start in began if start < step), default=1)
    source = Source(run, attempt, None, f"runs/{run}/attempts/{attempt}/metrics.jsonl", step)
    values: Mapping[str, Any] = history.steps[at]["values"]
    return {name: Measured(found, source) for name, value in values.items() if (found := finite(value)) is not None}


def _cost(
    name: str, begin: Mapping[str, Any], history: History, attempts: list[AttemptDir], kind: str
) -> Iterator[tuple[str, Measured]]:
    at = int(begin.get("attempt") or 1)
    for fact, told in _built(begin.get("model") or {}):
        if (found := finite(told)) is not None:
            yield fact, Measured(found, _file(name, at, "metrics.jsonl"))
    yield from _peaks(name, attempts, kind)


def _built(model: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What `begin` says of a model, by the names in BUILT."""
    for fact in ("parameters", "gflops", "backbone_convolutions"):
        yield f"model/{fact}", model.get(fact)
    parts, levels = model.get("parameters_by_part") or {}, model.get("levels") or {}
    yield from ((f"model/parameters_{part}", parts.get(part)) for part in (*PARTS, *FUSION_PARTS))
    yield from ((f"model/channels_{level}", levels.get(level)) for level in LEVELS)


def _speed(attempts: list[AttemptDir], best: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The newest measurement of the chosen checkpoint, with `attempt` added; one that was forced counts for nothing."""
    found = [
        {**line, "attempt": attempt.number}
        for attempt in attempts
        for line in measurements(attempt)
        if best is not None and line.get("epoch") == best["epoch"] and line.get("alone")
    ]
    return max(found, key=lambda line: str(line.get("at")), default=None)


def _speed_cost(name: str, speed: Mapping[str, Any]) -> Iterator[tuple[str, Measured]]:
    whole, source = speed.get("whole") or {}, _file(name, int(speed["attempt"]), SPEED_FILE)
    median, memory = finite(whole.get("median_ms")), finite((speed.get("memory") or {}).get("bytes"))
    latency = None if median is None else median / 1000
    values = (finite(speed.get("gmacs")), latency, finite(whole.get("fps")), memory)
    yield from ((fact, Measured(value, source)) for fact, value in zip(SPEED, values, strict=True) if value is not None)


def _timed(name: str, history: History) -> tuple[Measured, int, int] | None:
    """An epoch counts once: those that a resumed attempt repeated are no longer in the history."""
    seconds = [length for line in history.epochs if (length := finite(line.get("seconds"))) is not None]
    if not seconds:
        return None
    last = int(history.epochs[-1].get("attempt") or 1)
    spent = Measured(sum(seconds), _file(name, last, "metrics.jsonl"))
    return spent, len(seconds), max(len(history.epochs), history.epoch)


def _peaks(name: str, attempts: list[AttemptDir], kind: str) -> Iterator[tuple[str, Measured]]:
    host: list[tuple[float, int]] = []
    gpu: dict[str, list[tuple[float, int]]] = {"memory/peak": [], "memory/reserved": []}
    for attempt in attempts:
        # Read from the files: the history thins old samples, and the peak may be among them.
        for line in read_lines(attempt.telemetry_path):
            if (found := finite(line.get("rss"))) is not None:
                host.append((found, attempt.number))
        for line in read_lines(attempt.metrics_path):
            values: Mapping[str, Any] = line.get("values") or {} if line.get("kind") == "step" else {}
            for fact, values_of in gpu.items():
                if found := finite(values.get(fact)):
                    values_of.append((found, attempt.number))
    if host:
        value, attempt_number = max(host)
        yield "cost/host_memory", Measured(value, _file(name, attempt_number, "telemetry.jsonl"))
    # The allocator's own highest mark sees what falls between two steps; what it holds is the next best.
    highest = gpu["memory/peak"] or gpu["memory/reserved"]
    if highest and kind == "cuda":
        value, attempt_number = max(highest)
        yield "cost/gpu_memory", Measured(value, _file(name, attempt_number, "metrics.jsonl"))


def _file(run: str, attempt: int, file: str) -> Source:
    return Source(run, attempt, None, f"runs/{run}/attempts/{attempt}/{file}")
