"""What each stage of each arm started from, and how much of those weights its model really took over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from detui.engine.record.facts import StageFacts
from detui.engine.record.results import Results
from detui.engine.record.stages import grouped
from detui.engine.record.text import Table, code, count, plain

TAKEN = ("transferred", "remapped", "in_part")
SHOWN = 12
"""How many classes a cell names."""


class Transfers:
    """The weights that the stages of an experiment started from, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    @property
    def any(self) -> bool:
        """Whether any stage started from weights, and not from random numbers."""
        return any(stage.line.get("transfer") for run in self.facts.runs for stage in run.stages)

    @property
    def told(self) -> bool:
        """Whether any stage said what it started from, be it random numbers: not every training does."""
        return any("transfer" in stage.line for run in self.facts.runs for stage in run.stages)

    def table(self) -> Table:
        """Arm and stage, where its weights come from, how much came, and what did not; seeds that agree in one row.

        Runs of a detui that did not tell it have no row.
        """
        words = self.words
        head = [words("arm"), words("stage"), words("seeds"), words("starts from"), words("tensors taken"),
                words("parameters taken"), words("classes by name"), words("started anew"), words("left behind"),
                words("source")]  # fmt: skip
        return Table(head, [row for arm in self.facts.arms for row in self._arm(arm)])

    def _arm(self, arm: str) -> Iterator[list[str]]:
        runs = self.facts.of(arm)
        told = [replace(run, stages=tuple(one for one in run.stages if "transfer" in one.line)) for run in runs]
        return grouped(self.results, told, self._cells, _file, "said transfer")

    def _cells(self, stage: StageFacts) -> list[str]:
        """The cells from `starts from` to `left behind`."""
        told = stage.line["transfer"]
        if told is None:
            return [self.words("random weights"), *["–"] * 5]
        return [self._source(told["source"]), self._tensors(told), self._parameters(told["parameters"]),
                *self._classes(told), self._left(told)]  # fmt: skip

    def _source(self, source: Mapping[str, Any]) -> str:
        words = self.words
        if source["kind"] == "stage":
            if not source.get("stage"):
                return words("stage before", code(source.get("file") or "–"))
            kind = "stage average" if source.get("weights", "EMA") == "EMA" else "stage weights"
            return words(kind, plain(source["stage"]), source.get("epoch"))
        return words("backbone weights", code(source["file"])) if source["kind"] == "backbone" else code(source["file"])

    def _tensors(self, told: Mapping[str, Any]) -> str:
        tensors = told["tensors"]
        whole = self.words("taken of", count(sum(tensors[kind] for kind in TAKEN)), count(tensors["of"]))
        counts = {"by rows": tensors["remapped"], "in part": tensors["in_part"], "as wide": told.get("reshaped", 0)}
        more = ", ".join(self.words(word, number) for word, number in counts.items() if number)
        return f"{whole} ({more})" if more else whole

    def _parameters(self, parameters: Mapping[str, Any]) -> str:
        taken = sum(parameters[kind] for kind in TAKEN)
        part = f" ({100 * taken / parameters['of']:.1f} %)" if parameters["of"] else ""
        return self.words("taken of", count(taken), count(parameters["of"])) + part

    def _classes(self, told: Mapping[str, Any]) -> tuple[str, str]:
        """Classes that kept their rows; and what started anew: rows of classes, or tensors by part."""
        classes = told.get("classes")
        parts = [f"{code(part)} ({self.words('tensors', number)})" for part, number in told["anew"].items()]
        if classes is None:
            return "–", "; ".join(parts) or "–"
        taken, anew = classes["taken"], classes["anew"]
        kept = self.words("all classes", len(taken)) if taken and not anew else self._names(taken) or "–"
        rows = [self.words("new classes", self._names(anew))] if anew else []
        return kept, "; ".join([*rows, *parts]) or "–"

    def _left(self, told: Mapping[str, Any]) -> str:
        number = told["tensors"]["left_behind"]
        parts = [self.words("tensors", number)] if number else []
        classes = self._names((told.get("classes") or {}).get("left_behind") or ())
        return "; ".join([*parts, *([self.words("new classes", classes)] if classes else [])]) or "–"

    def _names(self, names: Sequence[str]) -> str:
        shown = ", ".join(plain(name) for name in names[:SHOWN])
        return self.words("more", shown, len(names) - SHOWN) if len(names) > SHOWN else shown


def _file(stage: StageFacts) -> str:
    """The report tensor by tensor; the line that says so for a stage that started from random numbers."""
    return str((stage.line["transfer"] or {}).get("file") or "metrics.jsonl")
