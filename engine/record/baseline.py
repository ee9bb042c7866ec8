"""The reference arm as documents claim it, beside what was measured of it here. The two are never mixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detui.engine.evaluate.tables import in_percent
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, plain

ROWS = ("val/AP50", "val/AP", "val/AP_small", "val/AP_medium", "val/AP_large", "val/precision", "val/recall",
        "model/fps", "model/parameters", "model/gflops")  # fmt: skip
"""What is said of a baseline, claimed by somebody or not."""


class Baseline:
    """The table of the reference arm, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self.claims: Sequence[Mapping[str, Any]] = self.facts.info.get("claims") or ()

    def table(self) -> Table:
        """Metric: claimed, by whom, and measured here; claims about other arms and metrics stand below."""
        words = self.words
        head = [words("metric"), words("arm"), words("claimed"), words("claim source"), words("note"),
                words("measured here"), words("source")]  # fmt: skip
        return Table(head, [self._row(*asked) for asked in self._asked()], frozenset({2, 5}))

    def _asked(self) -> Iterator[tuple[str, str | None, Mapping[str, Any] | None]]:
        """Metric, arm and claim of each row."""
        told = []
        for reference, metric in ((arm, name) for arm in self.facts.references for name in ROWS):
            found = [claim for claim in self.claims if claim["metric"] == metric and claim.get("arm") == reference]
            yield from ((metric, reference, claim) for claim in found or (None,))
            told += found
        yield from ((str(claim["metric"]), claim.get("arm"), claim) for claim in self.claims if claim not in told)

    def _row(self, metric: str, arm: str | None, claim: Mapping[str, Any] | None) -> list[str]:
        form, unit = self.results.stated(metric), " (%)" if in_percent(metric) else ""
        stated = ["–", "–", "–"]
        if claim is not None:
            stated = [form(claim["value"]), plain(claim.get("source") or self.words("unknown")),
                      plain(self.words.pick(claim.get("note"))) or "–"]  # fmt: skip
        asked = claim if claim is not None else {"metric": metric, "arm": arm}
        measured, mark = self.results.beside(asked, self.words("said baseline"))
        at = self.words("claim at epoch", asked["epoch"]) if asked.get("epoch") is not None else ""
        return [f"{self.results.metric(metric)}{unit}{at}", code(arm or "–"), *stated, measured, mark]
