"""Evidence on how a training went: alarms, its loss at the end, validation after its best epoch. No verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.analysis.choice import finite
from detui.engine.analysis.fairness import flatten
from detui.engine.record.facts import TOTAL_LOSS, RunFacts, Source
from detui.engine.record.results import Results, seed_of
from detui.engine.record.stages import MIXING
from detui.engine.record.text import Table, code, percent, plain, points

LAST = 10
"""The end of a training is its last tenth."""


@dataclass(frozen=True, slots=True)
class LossEnd:
    """How the training loss moved at the end: means over two stretches of epochs of equal length."""

    before: float
    """Over the tenth of the epochs before the last one."""
    last: float
    """Over the last tenth."""
    epochs: tuple[int, int]
    """First and last epoch of the last tenth."""

    @property
    def change(self) -> float:
        """Relative to `before`: -0.02 is two percent lower."""
        return self.last / self.before - 1


@dataclass(frozen=True, slots=True)
class AfterBest:
    """A validation metric at its highest evaluated epoch and at the last one; 0–1."""

    best: float
    best_epoch: int
    last: float
    last_epoch: int

    @property
    def change(self) -> float:
        """From the highest to the last: never above 0."""
        return self.last - self.best


def total_loss(run: RunFacts) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Epochs and the whole loss: as reported, else the sum of its terms, for the epochs that have all of them."""
    if TOTAL_LOSS in run.losses:
        return run.losses[TOTAL_LOSS]
    series = [dict(zip(*one, strict=True)) for one in run.losses.values()]
    epochs = sorted(set.intersection(*(set(one) for one in series))) if series else []
    return tuple(epochs), tuple(sum(one[epoch] for one in series) for epoch in epochs)


def loss_end(run: RunFacts) -> LossEnd | None:
    """The training loss over the last tenth of the epochs against the tenth before; None below two epochs."""
    epochs, values = total_loss(run)
    count = max(1, round(len(epochs) / LAST))
    if len(epochs) < 2 * count:
        return None
    before, last = values[-2 * count : -count], values[-count:]
    if not sum(before):
        return None
    return LossEnd(sum(before) / count, sum(last) / count, (epochs[-count], epochs[-1]))


def after_best(run: RunFacts, metric: str) -> AfterBest | None:
    """The metric's highest and last evaluation, the earlier epoch on a tie; None where none has it."""
    found = [(int(line["epoch"]), value) for line in run.evaluations
             if (value := finite(line["values"].get(metric))) is not None]  # fmt: skip
    if not found:
        return None
    best_epoch, best = max(found, key=lambda pair: (pair[1], -pair[0]))
    return AfterBest(best, best_epoch, found[-1][1], found[-1][0])


def loss_between(run: RunFacts, first: int, last: int) -> float | None:
    """The training loss's relative change from one epoch to another; None where one is not known."""
    known = dict(zip(*total_loss(run), strict=True))
    return known[last] / known[first] - 1 if known.get(first) and last in known else None


def _last_line(run: RunFacts) -> Mapping[str, Any]:
    """What says the values that the end of a run was trained with."""
    return next((stage.line for stage in reversed(run.stages) if stage.line.get("used")), run.begin)


class Stability:
    """The evidence in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self.metric = results.rule_metric
        """The one whose validation curve is looked at: that of the checkpoint rule; mAP of frames, which have no AP."""

    def table(self) -> Table:
        """A row a run: alarms, the loss at the end, the chosen epoch's place, validation after its highest."""
        words = self.words
        head = [words("arm"), words("seed"), words("alarms"), words("loss at the end"), words("place of chosen"),
                words("after best", self.results.label(self.metric)), words("source")]  # fmt: skip
        rows = [self._row(run) for arm in self.facts.arms for run in self.facts.of(arm)]
        return Table(head, rows)

    def _row(self, run: RunFacts) -> list[str]:
        alarms = "; ".join(plain(text) for text in run.alarms) or self.words("none")
        return [code(run.arm), seed_of(run, self.words), alarms, self.loss(run), self.place(run), self.after(run),
                self.results.ledger.cite_all(self.sources(run), self.words("said stability"))]  # fmt: skip

    def loss(self, run: RunFacts) -> str:
        """ "-0.8 % (1.234 → 1.224, epochs 271–300)"."""
        end = loss_end(run)
        if end is None:
            return self.words("missing")
        return self.words("loss moved", points(end.change), f"{end.before:.3g}", f"{end.last:.3g}",
                          "–".join(dict.fromkeys(map(str, end.epochs))))  # fmt: skip

    def place(self, run: RunFacts) -> str:
        """ "280 of 300 (93 %)"; that it is the last one evaluated, where it is."""
        if run.chosen is None:
            return self.words("missing")
        epoch, total = int(run.chosen["epoch"]), run.total_epochs
        text = self.words("place", epoch, total, round(100 * epoch / total) if total else "?")
        last = run.evaluations[-1]["epoch"] if run.evaluations else None
        return f"{text}; {self.words('the last evaluated')}" if epoch == last else text

    def after(self, run: RunFacts) -> str:
        """ "-0.9 pp from epoch 250 (24.1 %) to 300; the training loss meanwhile -1.2 %"."""
        found = after_best(run, self.metric)
        if found is None:
            return self.words("missing")
        if found.best_epoch == found.last_epoch:
            return self.words("highest at last", found.last_epoch)
        text = self.words("fell after", points(found.change), found.best_epoch, percent(found.best), found.last_epoch)
        loss = loss_between(run, found.best_epoch, found.last_epoch)
        return f"{text}; {self.words('loss meanwhile', points(loss))}" if loss is not None else text

    def mosaic_closes(self) -> str:
        """The epochs at whose end mosaic is switched off that was on, as the runs used it: "10"; "" where it never is.

        A run of several stages ends with the last of them.
        """
        told: dict[str, None] = {}
        for run in self.facts.runs:
            used = flatten(_last_line(run).get("used") or {})
            if used.get("train.close_mosaic") and any(used.get(f"augment.{name}") for name in MIXING):
                told[str(used["train.close_mosaic"])] = None
        return ", ".join(sorted(told))

    @staticmethod
    def sources(run: RunFacts) -> Sequence[Source]:
        """Where the losses of the run's epochs and its evaluations stand."""
        trained = sorted(set(run.trained.values()))
        losses = [Source(run.name, n, None, f"runs/{run.name}/attempts/{n}/metrics.jsonl") for n in trained]
        evaluated = dict.fromkeys(int(line.get("attempt") or 1) for line in run.evaluations)
        files = [Source(run.name, n, None, f"runs/{run.name}/attempts/{n}/evaluations.jsonl") for n in evaluated]
        return [*losses, *files]
