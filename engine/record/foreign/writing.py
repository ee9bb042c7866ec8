"""How a value is written in its place: as the numbers beside it are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from detui.engine.record.foreign.numbers import Form, Written, own_way, parse, plain_form, ratio_form, scaled_form
from detui.engine.record.foreign.questions import Ask, Question
from detui.engine.record.foreign.values import Value, kind_of
from detui.engine.record.text import code, plain

DECIMALS = {"loss": 2, "number": 2, "whole": 0}


class Neighbours:
    """The numbers of a document, by row, column and list."""

    def __init__(self, questions: Sequence[Question], language: str) -> None:
        self.language = language
        held = [one for one in questions if not one.spot.hole]
        self._written = [(one, number) for one in held if (number := parse(one.spot.text))]

    def write(self, question: Question, value: Value, *, signed: bool = False) -> str:
        """A value as its place wants it; `signed` for a difference."""
        if value.kind == "text":
            return in_markdown(question, value.text)
        if value.kind == "rate":
            return f"{value.number:g}"
        form = self.form(question, value.kind)
        if form is None:
            return own_way(value.kind, value.number, self.language)
        return form.write(value.number, signed=signed)

    def form(self, question: Question, kind: str) -> Form | None:
        """The form of a number of this kind in this place; None for detui's own way."""
        ask, place = question.ask, question.spot.hole
        groups = [list(group) for group in self._groups(question, kind)]
        unit = place.unit if place else ""
        if kind == "ratio":
            percent = isinstance(ask, Ask) and ask.percent
            return ratio_form(groups, labelled=percent, unit=unit)
        if kind in ("count", "flops", "seconds", "bytes", "latency"):
            return scaled_form(kind, groups, question.label, unit)
        return plain_form(groups, DECIMALS.get(kind, 2))

    def _groups(self, question: Question, kind: str) -> Iterator[Iterator[Written]]:
        """Numbers of the same kind: of the row, of the column (or the section's list), of the whole document."""
        alike = [(one, number) for one, number in self._written if _alike(one, question, kind)]
        if question.table is not None:
            mine = [(one, number) for one, number in alike if one.table == question.table]
            yield (number for one, number in mine if one.row == question.row)
            yield (number for one, number in mine if one.column == question.column)
            yield (number for _, number in mine)
        else:
            yield (number for one, number in alike if one.table is None and one.path == question.path)
        yield (number for _, number in alike)


def _alike(one: Question, other: Question, kind: str) -> bool:
    """Whether two places hold numbers of one kind: any two metrics, the same quantity of what has a unit."""
    if not isinstance(one.ask, Ask):  # of another arm, or somebody else's: its column's head says what it is
        return bool(one.head & other.head) and (one.table, one.column) == (other.table, other.column)
    if not isinstance(other.ask, Ask) or kind_of(one.ask.quantity) != kind:
        return False
    if one.ask.role not in ("value", other.ask.role):
        return False
    return kind in ("ratio", "loss") or one.ask.quantity == other.ask.quantity


def in_markdown(question: Question, text: str, *, code_span: bool = False) -> str:
    """A text as it can stand in its place: in a code span where the placeholder is in one, or where it is asked for."""
    place = question.spot.hole
    line = " ".join(text.split())
    if place is not None and question.spot.raw[: place.start].rstrip().endswith("`"):
        return line.replace("`", "'").replace("|", "\\|")
    return code(line) if code_span else plain(line)
