"""The ledger of a record: every number that it prints, and where that number stands."""

from __future__ import annotations

from collections.abc import Iterable

from detui.engine.record.facts import Source


class Ledger:
    """Hands out a short mark for each source, and remembers what was said of it."""

    def __init__(self) -> None:
        self._marks: dict[Source, str] = {}
        self._said: dict[Source, list[str]] = {}

    def cite(self, source: Source, what: str) -> str:
        """The mark of `source` ("S3"), having noted that the record takes `what` from it."""
        mark = self._marks.setdefault(source, f"S{len(self._marks) + 1}")
        said = self._said.setdefault(source, [])
        if what not in said:
            said.append(what)
        return mark

    def cite_all(self, sources: Iterable[Source], what: str) -> str:
        """The marks of several sources, each once, in order: "S1, S4"."""
        marks = {self.cite(source, what): None for source in sources}
        return ", ".join(sorted(marks, key=lambda mark: int(mark[1:])))

    def entries(self) -> list[tuple[str, Source, list[str]]]:
        """Mark, source and what was taken from it, in the order of the marks."""
        return [(mark, source, self._said[source]) for source, mark in self._marks.items()]
