"""Fine-tuning: what a start from other weights bought, in the shape in which such work is summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from detui.engine.analysis import summarise
from detui.engine.analysis.choice import finite
from detui.engine.record.facts import (
    EPOCHS_TO_90,
    RATES,
    SECONDS_TO_90,
    TOTAL_LOSS,
    Measured,
    RunFacts,
    Source,
    StageFacts,
)
from detui.engine.record.results import Results, seed_of
from detui.engine.record.stages import grouped
from detui.engine.record.text import Table, code, duration, percent, plain, points, size

OWN_LOSS = "mmdet/val_loss"
"""The framework's own loss on validation pictures; its terms follow with `_`."""
KINDS = ("loaded", "reinitialised", "missing", "unexpected")
"""What becomes of a tensor of a part, as the `stage` line counts them."""


class Finetune:
    """Tables of a fine-tuning, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def parts(self) -> Table:
        """Arm, stage and part: how many tensors were loaded, started anew, were absent or unexpected in the file.

        Empty where no stage says so.
        """
        words = self.words
        head = [words("arm"), words("stage"), words("seeds"), words("part"), words("loaded"), words("re-initialised"),
                words("missing in file"), words("unexpected"), words("source")]  # fmt: skip
        rows: list[list[str]] = []
        for arm in self.facts.arms:
            for part in self._parts_of(arm):
                rows += grouped(self.results, self.facts.of(arm), partial(_counts, part), _report, "said transfer")
        return Table(head, [row for row in rows if row[4] != "–"], frozenset(range(4, 8)))

    def _parts_of(self, arm: str) -> list[str]:
        told = [stage.line.get("transfer") or {} for run in self.facts.of(arm) for stage in run.stages]
        return list(dict.fromkeys(part for one in told for part in one.get("parts") or {}))

    def notices(self) -> list[str]:
        """What the check of the weights found worth saying, each once."""
        told = [stage.line.get("transfer") or {} for run in self.facts.runs for stage in run.stages]
        return [plain(text) for text in dict.fromkeys(str(text) for one in told for text in one.get("notices") or ())]

    def rates(self) -> Table:
        """Arm, stage and part: the rate of the first step, the highest, the last, and the highest beside the heads'."""
        words = self.words
        head = [words("arm"), words("stage"), words("seeds"), words("part"), words("first rate"), words("peak rate"),
                words("last rate"), words("peak to heads"), words("source")]  # fmt: skip
        rows: list[list[str]] = []
        for arm in self.facts.arms:
            for name in RATES:
                cells = partial(self._rate, name)
                rows += grouped(self.results, self.facts.of(arm), cells, lambda stage: "metrics.jsonl", "said rates")
        return Table(head, [row for row in rows if row[4] != "–"], frozenset(range(4, 8)))

    def _rate(self, name: str, stage: StageFacts) -> list[str]:
        part = self.words(f"part {name.removeprefix('lr/')}")
        found = stage.by_part.get(name)
        if found is None:
            return [part, *["–"] * 4]
        heads = stage.by_part.get(RATES[-1])
        ratio = f"× {found[1] / heads[1]:.3g}" if heads and heads[1] else "–"
        return [part, *(f"{rate:.3g}" for rate in found), ratio]

    def summary(self) -> Table:
        """A row an arm: when it had converged, what it came to, and by how much that is more than the reference's."""
        words, metric = self.words, self.results.rule_metric
        name = self.results.label(metric)
        head = [words("way of training"), words("converged at", name), words("time to it"), words("chosen value", name),
                words("gain points"), words("gain relative"), words("n"), words("source")]  # fmt: skip
        rows = [*(self._summed(arm, metric) for arm in self.facts.arms), *self._pairs(metric)]
        return Table(head, rows, frozenset(range(1, 7)))

    def _pairs(self, metric: str) -> list[list[str]]:
        """A row for each further pair of arms that a goal of this metric sets against each other: its gain alone."""
        named = [(str(goal.get("arm")), str(goal.get("against"))) for goal in self.facts.info.get("goals") or ()
                 if goal["metric"] == metric and "delta_at_least" in goal]  # fmt: skip
        known = [(arm, against) for arm, against in dict.fromkeys(named)
                 if {arm, against} <= set(self.facts.arms) and self.facts.same_data(arm, against)]  # fmt: skip
        return [self._pair(*pair, metric) for pair in known if pair[1] != self.facts.reference(pair[0])]

    def _pair(self, arm: str, against: str, metric: str) -> list[str]:
        sides = [self.facts.points(one, metric) for one in (arm, against)]
        n = " / ".join(str(len(side)) for side in reversed(sides)) if all(sides) else "–"
        used = [point.source for side in sides for point in side.values()]
        mark = self.results.ledger.cite_all(used, self.words("said fine-tuning"))
        name = self.words("set against", code(arm), code(against))
        return [name, "", "", "", *self._gain(arm, against, metric), n, mark]

    def _summed(self, arm: str, metric: str) -> list[str]:
        columns: Sequence[tuple[str, Callable[[float], str]]] = (
            (EPOCHS_TO_90, lambda value: f"{value:.3g}"), (SECONDS_TO_90, duration), (metric, percent),
        )  # fmt: skip
        cells = [self._mean(self.facts.points(arm, name), form) for name, form in columns]
        used = [one.source for name, _ in columns for one in self.facts.points(arm, name).values()]
        n = len(self.facts.points(arm, metric))
        mark = self.results.ledger.cite_all(used, self.words("said fine-tuning"))
        gain = self._gain(arm, self.facts.reference(arm), metric)
        return [code(arm), *cells, *gain, str(n) if n else "–", mark]

    def _mean(self, found: Mapping[int, Measured], form: Callable[[float], str]) -> str:
        if not found:
            return self.words("missing")
        summary = summarise([one.value for one in found.values()])
        return form(summary.mean) + (f" ± {form(summary.std)}" if summary.std is not None else "")

    def _gain(self, arm: str, against: str, metric: str) -> tuple[str, str]:
        """The difference of the means in percent points, and as a part of the other arm's mean."""
        if arm == against:
            return self.words("baseline"), self.words("baseline")
        before, after = (list(self.facts.values(one, metric).values()) for one in (against, arm))
        if not before or not after:
            return self.words("missing"), self.words("missing")
        old, new = sum(before) / len(before), sum(after) / len(after)
        return points(new - old), points(new / old - 1) if old else "–"

    def own_losses(self) -> Table:
        """A row a run: its training loss beside the framework's own on validation pictures. Empty without those."""
        words = self.words
        head = [words("arm"), words("seed"), words("training loss last"), words("own loss last"),
                words("own loss lowest"), words("own loss risen"), words("source")]  # fmt: skip
        rows = [row for arm in self.facts.arms for run in self.facts.of(arm) if (row := self._losses(run))]
        return Table(head, rows, frozenset(range(2, 6)))

    def _losses(self, run: RunFacts) -> list[str]:
        epochs, values = run.framework.get(OWN_LOSS, ((), ()))
        known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if finite(value) is not None]
        if not known:
            return []
        trained = dict(zip(*run.losses.get(TOTAL_LOSS, ((), ())), strict=True))
        training = finite(trained.get(known[-1][0]))
        known = [point for point in known if point[0] > run.judged_from] or known  # before: losses on other pictures
        lowest = min(known, key=lambda point: (point[1], point[0]))
        last, risen = known[-1][1], known[-1][1] / lowest[1] - 1 if lowest[1] else 0.0
        attempts = dict.fromkeys(run.trained.get(epoch, 1) for epoch in (lowest[0], known[-1][0]))
        sources = [Source(run.name, one, None, f"runs/{run.name}/attempts/{one}/metrics.jsonl") for one in attempts]
        mark = self.results.ledger.cite_all(sources, self.words("said own losses"))
        told = self.words("missing") if training is None else f"{training:.4g}"
        return [code(run.arm), seed_of(run, self.words), told, f"{last:.4g}", f"{lowest[1]:.4g} ({lowest[0]})",
                f"{points(risen)} %", mark]  # fmt: skip

    def operators(self) -> Table:
        """A row a run: its operators, the time of a step, and the peak of GPU memory where there is one."""
        words = self.words
        head = [words("arm"), words("seed"), words("operators"), words("device used"), words("step time"),
                words("gpu memory"), words("source")]  # fmt: skip
        rows = [self._operated(run) for arm in self.facts.arms for run in self.facts.of(arm)]
        return Table(head, rows, frozenset({4, 5}))

    def _operated(self, run: RunFacts) -> list[str]:
        words, told = self.words, run.begin.get("operators")
        missing = words("missing")
        said = missing if not run.begin else words.known(f"operators {told}") if told else words("unknown")
        device = next((plain(one.device_model) for one in run.attempts if one.device_model), missing)
        step = _step_seconds(run)
        memory = run.cost.get("cost/gpu_memory")
        took = missing if step is None else f"{1000 * step:.0f} ms"
        sources = [run.logged(one.number) for one in run.attempts if one.begin]
        mark = self.results.ledger.cite_all(sources, words("said step time"))
        return [code(run.arm), seed_of(run, words), said, device, took, size(memory.value) if memory else "–", mark]


def _counts(part: str, stage: StageFacts) -> list[str]:
    found: Mapping[str, Any] = ((stage.line.get("transfer") or {}).get("parts") or {}).get(part) or {}
    return [code(part), *(str(found.get(kind, 0)) if found else "–" for kind in KINDS)]


def _report(stage: StageFacts) -> str:
    """The report tensor by tensor, or the line that sums it up."""
    return str((stage.line.get("transfer") or {}).get("file") or "metrics.jsonl")


def _step_seconds(run: RunFacts) -> float | None:
    """Mean seconds of an epoch by its mean number of optimizer steps; None where either is not known."""
    if not (run.timed and run.epoch and run.iterations):
        return None
    return run.timed[0].value / run.timed[1] * run.epoch / run.iterations
