"""The stages of each arm: what they trained on, and the learning rates and augmentation that were really used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from detui.engine.record.facts import RunFacts, Source, StageFacts
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, plain

TOGETHER = {"hsv": ("hsv_h", "hsv_s", "hsv_v"), "flips": ("flipud", "fliplr")}
"""Fields that are told as one: "hsv 0.015/0.7/0.4"."""


MIXING = ("mosaic", "mixup", "cutmix", "copy_paste")
"""Augmentation of several pictures at once, which a training switches off in its last epochs."""


class Stages:
    """The stages of an experiment in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    @property
    def several(self) -> bool:
        """Whether any run has more than one stage."""
        return any(len(run.stages) > 1 for run in self.facts.runs)

    def table(self) -> Table:
        """Stage by stage of each arm, with the seeds that agree in one row; no row for a run that has not begun."""
        words = self.words
        head = [words("arm"), words("stage"), words("seeds"), words("epochs"), words("data used"), words("rate used"),
                words("augmentation used"), words("source")]  # fmt: skip
        rows = [row for arm in self.facts.arms for row in self._arm(self.facts.of(arm))]
        return Table(head, rows, frozenset({3}))

    def _arm(self, runs: Sequence[RunFacts]) -> Iterator[list[str]]:
        return grouped(self.results, runs, self._cells, lambda stage: "metrics.jsonl", "said stages")

    def _cells(self, stage: StageFacts) -> list[str]:
        line = stage.line
        planned = stage.planned
        epochs = str(planned) if stage.epochs == planned else f"{stage.epochs} / {planned}"
        first = line.get("first_step") or {}
        return [epochs, self._data(line), self._rates(stage, first), self._augmentation(first, planned)]

    def _data(self, line: Mapping[str, Any]) -> str:
        """The data's name; with its role in the question where the recipe gives it one."""
        data = line.get("data") or {}
        if not data.get("name"):
            return self.words("missing")
        named: Mapping[str, Any] = self.facts.info.get("data_sets") or {}
        same = (role for role, one in named.items() if one.get("fingerprint") == data.get("fingerprint"))
        role = next(same, None)
        return f"{plain(role)} ({code(data['name'])})" if role and role != data["name"] else code(data["name"])

    def _rates(self, stage: StageFacts, first: Mapping[str, Any]) -> str:
        if stage.rates is None:
            return self.words("missing")
        begin, highest, last = (f"{rate:.3g}" for rate in stage.rates)
        told = begin if begin == highest == last else self.words("rates", begin, highest, last)
        warm = int(first.get("warmup_steps") or 0)
        return f"{told} ({self.words('steps of warm-up', warm)})" if warm else told

    def _augmentation(self, first: Mapping[str, Any], epochs: int) -> str:
        used = first.get("augment")
        if used is None:
            return self.words("missing")
        told = ", ".join(plain(part) for part in told_augmentation(used)) or self.words("no augmentation")
        mixed = int(first.get("mosaic_epochs", epochs))
        if mixed >= epochs or not any(used.get(name) for name in MIXING):
            return told
        return f"{told}; {self.words('mixing until', mixed) if mixed else self.words('mixing never')}"


def grouped(
    results: Results,
    runs: Sequence[RunFacts],
    cells: Callable[[StageFacts], Sequence[str]],
    file: Callable[[StageFacts], str],
    said: str,
) -> Iterator[list[str]]:
    """Rows [arm, stage, seeds, *cells, marks] of an arm's runs, stage by stage; one row for all seeds that agree.

    `file`: where the numbers of a stage stand, below the attempt that it began in. `said`: the word for those.
    """
    found: dict[tuple[str, ...], dict[int, Source]] = {}
    for run in runs:
        for stage in run.stages:
            attempt = int(stage.line.get("attempt") or 1)
            source = Source(run.name, attempt, None, f"runs/{run.name}/attempts/{attempt}/{file(stage)}")
            key = (code(run.arm), plain(stage.name), *cells(stage))
            found.setdefault(key, {})[run.seed] = source
    order = list(dict.fromkeys(key[1] for key in found))
    for key in sorted(found, key=lambda key: order.index(key[1])):
        mark = results.ledger.cite_all(found[key].values(), results.words(said))
        yield [*key[:2], ", ".join(map(str, found[key])), *key[2:], mark]


def told_augmentation(used: Mapping[str, Any]) -> Iterator[str]:
    """What is not off, in a few words."""
    grouped_fields = {field for fields in TOGETHER.values() for field in fields}
    for name, value in used.items():
        if name not in grouped_fields and value:
            yield name if value is True else f"{name} {_number(value)}"
    for name, fields in TOGETHER.items():
        if any(used.get(field) for field in fields):
            yield f"{name} {'/'.join(_number(used.get(field)) for field in fields)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value or 0)
