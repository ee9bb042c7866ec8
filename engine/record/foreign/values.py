"""From a question to its value, with every place that it was taken from, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detui.engine.analysis.seeds import summarise
from detui.engine.record.facts import SPEED, ExperimentFacts, Measured, RunFacts, Source
from detui.engine.record.foreign.about import FACT_NAMES, Told, Unknown, tell
from detui.engine.record.foreign.labels import key
from detui.engine.record.foreign.questions import Ask, Refusal
from detui.engine.record.foreign.statements import STATED, Statements, stated
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history

KINDS = {
    "model/parameters": "count",
    "model/gflops": "flops",
    "cost/training_seconds": "seconds",
    "model/latency": "latency",
    "model/memory": "bytes",
    "cost/gpu_memory": "bytes",
    "cost/host_memory": "bytes",
    "fact/lr0": "rate",
}
UNTOLD = (*SPEED, "val/precision", "val/recall", "val/F1")
"""Metrics that labels may ask for and that not every experiment measures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """An answer: a number, or a text."""

    kind: str
    """"ratio", "count", "flops", "seconds", "bytes", "loss", "rate", "whole", "number" or "text"."""
    number: float = 0.0
    text: str = ""
    quantity: str
    arm: str
    sources: tuple[Source, ...]
    note: str = ""
    """What a reader must know of it: the mean of how many seeds, of which checkpoint."""


class Values:
    """Answers questions about one experiment, in the language of the document."""

    def __init__(self, facts: ExperimentFacts, language: str, reference: str | None = None) -> None:
        self.facts, self.language = facts, language
        self.statements = Statements(facts, language, reference)

    def answer(self, ask: Ask) -> Value | Refusal:
        """The value that is asked for, whatever its role; or why there is none."""
        runs = [run for run in self.facts.of(ask.arm) if ask.seed in (None, run.seed)]
        if ask.quantity == "fact/state" and not ask.named:
            runs = list(self.facts.runs)  # of the experiment
        if not runs:
            seed = "" if ask.seed is None else f" with seed {ask.seed}"
            return Refusal(f"the experiment has no run of {ask.arm}{seed}")
        quantity = ask.quantity
        if quantity == "fact/time" and ask.epoch is None:
            quantity = "cost/training_seconds"
        if quantity == "fact/lr0" and ask.epoch is not None:
            quantity = "lr/all"
        if quantity.startswith("fact/"):
            return self._fact(quantity, runs, ask)
        if quantity.startswith(("model/", "cost/")):
            return self._cost(quantity, runs, ask.device)
        if quantity.startswith(("train/", "lr/")):
            return self._series(quantity, runs, ask.epoch)
        return self._metric(quantity, runs, ask)

    def _metric(self, metric: str, runs: Sequence[RunFacts], ask: Ask) -> Value | Refusal:
        if ask.epoch is not None and not (ask.best and self._last(runs, ask.epoch)):
            return self._at_epoch(metric, runs, ask)
        if ask.epoch is not None and (refusal := self._unevaluated(runs, ask.epoch)):
            return refusal
        done = [run for run in runs if run.finished and run.chosen]
        if not done:
            return Refusal("no run has finished: " + "; ".join(map(_progress, runs)))
        chosen = {int(run.chosen["epoch"]) for run in done if run.chosen}
        if ask.final and ask.epoch is None and chosen != {run.total_epochs for run in done}:
            epochs = ", ".join(map(str, sorted(chosen)))
            return Refusal(f"final: the last epoch, or the chosen checkpoint (epoch {epochs})? Its label must say")
        found = [(run, run.value(metric)) for run in done]
        note = "of the chosen checkpoint" + (
            f" ({len(done)} of {len(runs)} seeds finished)" if len(done) < len(runs) else ""
        )
        lines = [run.chosen or {} for run in done]
        return self._mean(metric, found, lines, note)

    def _at_epoch(self, metric: str, runs: Sequence[RunFacts], ask: Ask) -> Value | Refusal:
        epoch = ask.epoch or 0
        if refusal := self._unevaluated(runs, epoch):
            return refusal
        if ask.best:
            return Refusal(
                f"the best up to epoch {epoch} is no measurement of ours; the rule chooses from the whole run"
            )
        lines = [next(line for line in run.evaluations if line["epoch"] == epoch) for run in runs]
        found = [(run, run.value(metric, line)) for run, line in zip(runs, lines, strict=True)]
        return self._mean(metric, found, lines, f"at epoch {epoch}")

    def _mean(
        self, metric: str, found: Sequence[tuple[RunFacts, Measured | None]], lines: Sequence[object], note: str
    ) -> Value | Refusal:
        points = [value for _, value in found if value is not None]
        if not points:
            known = any(metric in (line.get("values") or {}) for line in lines if isinstance(line, dict))
            why = "has no value: the validation split has no such objects" if known else "was not measured"
            return Refusal(f"{metric} {why}")
        arm = found[0][0].arm
        return _value(metric, arm, points, note)

    def _last(self, runs: Sequence[RunFacts], epoch: int) -> bool:
        return all(run.total_epochs == epoch for run in runs)

    def _unevaluated(self, runs: Sequence[RunFacts], epoch: int) -> Refusal | None:
        """Why an epoch is no evaluated one of all these runs; None where it is."""
        for run in runs:
            if any(line["epoch"] == epoch for line in run.evaluations):
                continue
            if epoch > run.total_epochs:
                return Refusal(f"{run.name} has {run.total_epochs} epochs")
            if run.epoch < epoch:
                ended = "ended" if run.terminal else "is"
                return Refusal(f"{run.name} {ended} at epoch {run.epoch} of {run.total_epochs}")
            evaluated = ", ".join(str(line["epoch"]) for line in run.evaluations[:12]) or "none"
            return Refusal(f"epoch {epoch} was not evaluated in {run.name} (evaluated: {evaluated})")
        return None

    def _series(self, metric: str, runs: Sequence[RunFacts], epoch: int | None) -> Value | Refusal:
        """A training loss, the mean over an epoch."""
        if epoch is None:
            return Refusal(f"{metric} is of an epoch, and no epoch is named")
        if refusal := self._unevaluated(runs, epoch):
            return refusal
        points = []
        for run in runs:
            value = self._recorded(metric, run, epoch)
            if value is not None:
                attempt = run.trained.get(epoch, 1)
                file = f"runs/{run.name}/attempts/{attempt}/metrics.jsonl"
                points.append(Measured(value, Source(run.name, attempt, epoch, file)))
        if not points:
            known = ", ".join(sorted({name for run in runs for name in run.losses})) or "none"
            return Refusal(f"{metric} was not recorded (recorded by epoch: {known})")
        return _value(metric, runs[0].arm, points, f"mean over epoch {epoch}")

    def _recorded(self, metric: str, run: RunFacts, epoch: int) -> float | None:
        """A loss of an epoch, or the learning rate at its last step."""
        if not metric.startswith("lr/"):
            return dict(zip(*run.losses.get(metric, ((), ())), strict=True)).get(epoch)
        history = load_history(RunDir(self.facts.path / "runs" / run.name))
        last = next((int(line["step"]) for line in history.epochs if line.get("epoch") == epoch), None)
        found = [value for step, value in zip(*history.series(metric), strict=True) if last and step <= last]
        return found[-1] if found else None

    def _cost(self, metric: str, runs: Sequence[RunFacts], device: str) -> Value | Refusal:
        """What a run costs; of a time only whole runs say it."""
        whole = [run for run in runs if run.finished or metric.startswith("model/")]
        points = [run.cost[metric] for run in whole if metric in run.cost]
        if not points:
            if metric == "cost/training_seconds" and not whole:
                return Refusal("no run has finished: " + "; ".join(map(_progress, runs)))
            how = "; `detui speed` measures it" if metric in SPEED else ""
            return Refusal(f"{metric} was not measured{how}")
        if metric in SPEED:
            return self._speed(metric, [run for run in whole if metric in run.cost], device)
        size = next((run.begin["model"].get("imgsz") for run in whole if run.begin.get("model")), None)
        return _value(metric, runs[0].arm, points, f"at {size} px" if size and metric == "model/gflops" else "")

    def _speed(self, metric: str, runs: Sequence[RunFacts], device: str) -> Value | Refusal:
        """A speed is of the device that a label names, or says on which it was measured."""
        on = ", ".join(dict.fromkeys(str((run.speed or {}).get("device", {}).get("name")) for run in runs))
        if any(word not in key(on).split() for word in device.split()):
            return Refusal(f"asked for on {device!r}, and measured on {on}")
        return _value(metric, runs[0].arm, [run.cost[metric] for run in runs], f"on {on}")

    def _fact(self, quantity: str, runs: Sequence[RunFacts], ask: Ask) -> Value | Refusal:
        epoch = ask.epoch
        if stated(quantity):
            unevaluated = None if epoch is None else self._unevaluated(runs, epoch)
            said = unevaluated or self.statements.of(quantity, runs, epoch)
            if isinstance(said, Refusal):
                return said
            done = sum(run.finished for run in runs)
            note = f"{done} of {len(runs)} seeds finished" if done < len(runs) else ""
            return Value(kind="text", text=said.text, quantity=quantity, arm=ask.arm, sources=said.sources, note=note)
        bound = quantity in ("fact/time", "fact/ended", "fact/best_epoch", "fact/estimated_end", "fact/started")
        if epoch is not None and bound:
            if refusal := self._unevaluated(runs, epoch):
                return refusal
            if quantity != "fact/time" and not self._last(runs, epoch):
                return Refusal(f"asked for at epoch {epoch}, which is not the last of {runs[0].total_epochs}")
        try:
            told = [tell(self.facts, run, quantity, epoch, self.language) for run in runs]
        except Unknown as unknown:
            return Refusal(str(unknown))
        return _told(quantity, runs, told)


def _told(quantity: str, runs: Sequence[RunFacts], told: Sequence[Told]) -> Value:
    """The fact where all runs agree, else each run's own."""
    sources = tuple(dict.fromkeys(one.source for one in told))
    values = [one.value for one in told]
    if len(set(values)) == 1:
        first = values[0]
        if isinstance(first, str):
            return Value(kind="text", text=first, quantity=quantity, arm=runs[0].arm, sources=sources)
        kind = KINDS.get(quantity, "whole")
        return Value(kind=kind, number=first, quantity=quantity, arm=runs[0].arm, sources=sources)
    whole = len({run.arm for run in runs}) > 1
    text = ", ".join(f"{run.name if whole else f's{run.seed}'}: {value if isinstance(value, str) else f'{value:g}'}"
                     for run, value in zip(runs, values, strict=True))  # fmt: skip
    return Value(kind="text", text=text, quantity=quantity, arm=runs[0].arm, sources=sources, note="differs by seed")


def kind_of(quantity: str) -> str:
    """Which kind of value a quantity has; "text" stands for whole numbers too where only the fact itself can tell."""
    for prefix, kind in (("val/", "ratio"), ("train/", "loss"), ("lr/", "rate")):
        if quantity.startswith(prefix):
            return kind
    return KINDS.get(quantity, "whole" if quantity.startswith("fact/") else "number")


def _value(metric: str, arm: str, points: Sequence[Measured], note: str) -> Value:
    summary = summarise([point.value for point in points])
    if summary.n > 1 and min(summary.points) < max(summary.points):
        note = f"mean of {summary.n} seeds" + (f", {note}" if note else "")
    sources = tuple(dict.fromkeys(point.source for point in points))
    return Value(kind=kind_of(metric), number=summary.mean, quantity=metric, arm=arm, sources=sources, note=note)


def _progress(run: RunFacts) -> str:
    return f"{run.name} is {run.state} at epoch {run.epoch} of {run.total_epochs}"


def known_metrics(facts: ExperimentFacts) -> list[str]:
    """Every name that `--map` may give a label in this experiment."""
    measured = {name for run in facts.runs for line in run.evaluations for name in line["values"]}
    losses = {name for run in facts.runs for name in run.losses}
    losses |= {name for run in facts.runs for name in load_history(RunDir(facts.path / "runs" / run.name)).names()}
    costs = {name for run in facts.runs for name in run.cost}
    return sorted({*measured, *losses, *costs, *KINDS, *UNTOLD, *FACT_NAMES, *STATED})
