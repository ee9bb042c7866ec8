"""Differences to a baseline: measured against measured, or against what a person typed, never mixed unasked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from detui.engine.analysis.seeds import FEWEST_SEEDS
from detui.engine.record.foreign.numbers import Form, Written, agrees, is_percent, parse, scaled_form
from detui.engine.record.foreign.questions import Ask, Question, Refusal
from detui.engine.record.foreign.values import Value, Values
from detui.engine.record.foreign.writing import Neighbours

_KINDS = ("ratio", "count", "flops", "loss")
"""What a difference of is written."""


class Changes:
    """The changes of a document, against one reference arm."""

    def __init__(
        self, questions: Sequence[Question], values: Values, neighbours: Neighbours, reference: str | None, typed: bool
    ) -> None:
        self.questions, self.values, self.neighbours = questions, values, neighbours
        self.reference, self.typed = reference, typed

    def answer(self, question: Question, ask: Ask) -> tuple[Value, str] | Refusal:
        """The difference that a place asks for and how it is written there, or why it is left."""
        value = self.values.answer(replace(ask, role="value"))
        if isinstance(value, Refusal):
            return value
        if value.kind not in _KINDS:
            return Refusal(f"a difference of {value.quantity} is not written")
        stated = self._stated(question, ask)
        if self.typed and stated:
            return self._against_typed(question, value, stated)
        measured = self.measured(question, ask)
        base = self._base(ask)
        if stated and not (isinstance(base, Value) and all(self._same(one, base) for one in stated)):
            said = measured.reason if isinstance(measured, Refusal) else f"{measured[1]} ({measured[0].note})"
            return Refusal(f"the baseline {stated[0].spot.text} was typed, not measured here; measured: {said};"
                           " --baseline typed subtracts what stands there")  # fmt: skip
        return measured

    def measured(self, question: Question, ask: Ask) -> tuple[Value, str] | Refusal:
        """The difference of two measured arms, as its place wants it written."""
        value, base = self.values.answer(replace(ask, role="value")), self._base(ask)
        if isinstance(value, Refusal):
            return value
        return base if isinstance(base, Refusal) else self._delta(question, ask, value, base)

    def _base(self, ask: Ask) -> Value | Refusal:
        if self.reference is None or self.reference == ask.arm:
            return Refusal("the experiment has no reference arm to subtract; --reference NAME names one")
        if not self.values.facts.same_data(self.reference, ask.arm):
            return Refusal(f"{ask.arm} and {self.reference} are on different data: their numbers do not compare")
        return self.values.answer(replace(ask, role="value", arm=self.reference))

    def _delta(self, question: Question, ask: Ask, value: Value, base: Value) -> tuple[Value, str]:
        seeds = min(len(value.sources), len(base.sources))
        few = "" if seeds >= FEWEST_SEEDS else f", fewer than {FEWEST_SEEDS} seeds a side: nothing to conclude"
        note = f"{ask.arm} − {self.reference}, both measured{few}"
        found = replace(value, number=value.number - base.number, sources=value.sources + base.sources, note=note)
        return found, self.neighbours.write(question, found, signed=True)

    def _stated(self, question: Question, ask: Ask) -> list[Question]:
        """Where a person typed this baseline: in the same table, else anywhere in the document."""
        wanted = (ask.quantity, self.reference, ask.epoch, ask.seed)
        found = [one for one in self.questions if isinstance(one.ask, Ask) and one.ask.role == "value"
                 and (one.ask.quantity, one.ask.arm, one.ask.epoch, one.ask.seed) == wanted
                 and one.spot.text and not one.spot.hole]  # fmt: skip
        near = [one for one in found if one.table == question.table is not None]
        return near or found

    def _same(self, stated: Question, base: Value) -> bool:
        """Whether a typed baseline is what was measured, as far as its decimals go."""
        written = parse(stated.spot.text)
        percent = isinstance(stated.ask, Ask) and stated.ask.percent
        form = _form(written, base.kind, percent) if written else None
        if written is None or form is None or written.about:
            return False
        return agrees(written, form, base.number)

    def _against_typed(
        self, question: Question, value: Value, stated: Sequence[Question]
    ) -> tuple[Value, str] | Refusal:
        texts = sorted({one.spot.text for one in stated})
        numbers = [parse(text) for text in texts]
        read = {(n.value, n.unit.strip()) for n in numbers if n is not None}
        first = numbers[0]
        if first is None or len(read) != 1 or None in numbers:
            return Refusal(f"the typed baseline is no single number: {', '.join(texts)}")
        percent = isinstance(question.ask, Ask) and question.ask.percent
        form, shown = _form(first, value.kind, percent), self.neighbours.form(question, value.kind)
        if form is None or shown is None:
            return Refusal(f"the unit of the typed baseline {texts[0]!r} is not known")
        minuend = round(value.number * shown.factor, shown.decimals) / shown.factor  # as the record shows it
        note = f"{value.arm} measured − {texts[0]} typed" + (f"; {value.note}" if value.note else "")
        found = replace(value, number=minuend - form.read(first), note=note)
        return found, ("~" if first.about else "") + shown.write(found.number, signed=True)


def _form(written: Written, kind: str, percent: bool) -> Form | None:
    """How a typed number is to be read; `percent`: its label says so, so that 0.5 is half a percent."""
    if kind == "ratio":
        return Form(100.0 if percent or is_percent(written) else 1.0, written.decimals, written.unit)
    return scaled_form(kind, [[written]], "", "") if kind in ("count", "flops") else Form(1.0, written.decimals)
