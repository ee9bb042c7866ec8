"""Fill the placeholders of a record that somebody else wrote, and say of each place what was done and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detui.engine.record.facts import ExperimentFacts, Source
from detui.engine.record.foreign import verdicts
from detui.engine.record.foreign.asking import Asker
from detui.engine.record.foreign.changes import Changes
from detui.engine.record.foreign.figure import picture
from detui.engine.record.foreign.held import corrected
from detui.engine.record.foreign.holes import hole
from detui.engine.record.foreign.labels import Names, titled
from detui.engine.record.foreign.numbers import fitted
from detui.engine.record.foreign.places import read
from detui.engine.record.foreign.questions import GOAL, Ask, Question, Refusal, Wanted
from detui.engine.record.foreign.values import Value, Values
from detui.engine.record.foreign.writing import Neighbours, in_markdown

_RATIO = re.compile(r"\s+\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)+$")
"""What a title ends with that a document does not repeat: "Loss 权重改进 2/1.5/1"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a person decides about a document."""

    arm: str | None = None
    """Whose numbers go where the document names no arm; None: the only arm, or the only one that is no reference."""
    reference: str | None = None
    """The arm that "Baseline" means; None: the arm of that name, else the plan's first of several; where those are on
    several data sets the first on the data of `arm`, and without one none."""
    seed: int | None = None
    """One seed's numbers; None: the mean over the finished seeds."""
    mapped: Mapping[str, str] = field(default_factory=dict)
    """Label → metric or arm, as `choices.mapping` reads them."""
    typed_baseline: bool = False
    """Fill changes by subtracting from the baseline that stands in the document."""
    update: bool = False
    """Replace what the runs contradict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What became of one place."""

    what: str
    """"filled", "updated", "contradicted" (and left) or "left"."""
    line: int
    label: str
    was: str
    text: str = ""
    """What stands there now; for "contradicted" what would."""
    quantity: str = ""
    arm: str = ""
    sources: tuple[Source, ...] = ()
    note: str = ""
    """What to know of the value; for "left" why it was left."""


@dataclass(frozen=True, slots=True)
class Filling:
    """A document's new text, and what became of its places, by line."""

    text: str
    entries: tuple[Entry, ...]


def fill_text(text: str, facts: ExperimentFacts, options: Options, folder: Path) -> Filling:
    """Fill a Markdown text from an experiment.

    Only placeholders change, in table cells with the blanks that pad them; with
    `options.update` also what the runs contradict. Filling the result again
    changes nothing. `folder`: where the document stands, for paths of figures.
    """
    document = read(text)
    filler = _Filler(text, facts, options, folder, document.title)
    questions = filler.asker.questions(document)
    entries = [*filler.entries(questions)]
    entries += [Entry(what="left", line=one.line, label="", was=one.text, note="stands in prose: a person's to write")
                for one in document.prose]  # fmt: skip
    for start, end, new in sorted(filler.edits, reverse=True):
        text = text[:start] + new + text[end:]
    return Filling(text, tuple(sorted(entries, key=lambda entry: entry.line)))


def _language(text: str) -> str:
    """Chinese where a document has more of its letters than words in Latin ones; one placeholder makes none."""
    chinese = sum("\u3400" <= sign <= "\u9fff" for sign in text)
    return "zh" if chinese > len(re.findall("[A-Za-z]{2,}", text)) else "en"


class _Filler:
    """One document being filled."""

    def __init__(self, text: str, facts: ExperimentFacts, options: Options, folder: Path, title: str) -> None:
        self.facts, self.options, self.folder = facts, options, folder
        self.language = _language(text)
        self.reference = reference(facts, options)
        known = names(facts, options)
        self.asker = Asker(known, _wanted(facts, options, self.reference, titled(title, known)))
        self.values = Values(facts, self.language, self.reference)
        self.edits: list[tuple[int, int, str]] = []
        """Start, end and new text of what changes."""

    def entries(self, questions: Sequence[Question]) -> Iterator[Entry]:
        """Answer every question; what is left says why."""
        self.questions = questions
        self.neighbours = Neighbours(questions, self.language)
        self.changes = Changes(questions, self.values, self.neighbours, self.reference, self.options.typed_baseline)
        for question in questions:
            found = self._fill(question) if question.spot.hole else self._check(question)
            if found is not None:
                yield found

    def _fill(self, question: Question) -> Entry:
        ask = question.ask
        if isinstance(ask, Refusal):
            return self._left(question, ask)
        answered = self._by_role(question, ask)
        if isinstance(answered, Refusal):
            return self._left(question, answered)
        value, text = answered
        if not text or hole(text):
            return self._left(question, Refusal(f"the run's own value is {text!r}"))
        self._put(question, text)
        return _entry("filled", question, text, value)

    def _by_role(self, question: Question, ask: Ask) -> tuple[Value, str] | Refusal:
        if ask.role == "figure":
            value = picture(question, self.facts, self.folder)
            return value if isinstance(value, Refusal) else (value, in_markdown(question, value.text, code_span=True))
        if ask.role == "change":
            return self.changes.answer(question, ask)
        if ask.role == "verdict":
            return self._verdict(question, ask)
        value = self.values.answer(ask)
        return value if isinstance(value, Refusal) else (value, self.neighbours.write(question, value))

    def _verdict(self, question: Question, ask: Ask) -> tuple[Value, str] | Refusal:
        goal = self._goal(question, ask)
        if isinstance(goal, Refusal):
            return goal
        reached = verdicts.judged(goal, self.facts, ask.seed)
        if isinstance(reached, Refusal):
            return reached
        delta = "delta_at_least" in goal
        answered = self.changes.measured(question, ask) if delta else self.values.answer(ask)
        if isinstance(answered, Refusal):
            return answered
        value, text = answered if isinstance(answered, tuple) else (answered, self.neighbours.write(question, answered))
        return value, f"{verdicts.MET if reached else verdicts.NOT_MET} {text}"

    def _goal(self, question: Question, ask: Ask) -> Mapping[str, Any] | Refusal:
        """The goal that stands in a verdict's own row, or in a held verdict's cell."""
        row = (question.table, question.row)
        beside = [
            one.spot.text
            for one in self.questions
            if one.table is not None and (one.table, one.row) == row and one.ask == GOAL
        ]
        own = [] if question.spot.hole else [question.spot.text]
        goals = [text for text in beside or own if not hole(text) and text]
        if len(goals) != 1:
            return Refusal("no goal stands in its row" if not goals else "more than one goal stands in its row")
        if ask.epoch is not None:
            return Refusal("a goal is judged on the chosen checkpoint, and this asks for one epoch")
        return verdicts.goal_in(goals[0], ask, self.reference)

    def _check(self, question: Question) -> Entry | None:
        """What a held cell should say instead; None where nothing speaks against it."""
        ask, text = question.ask, question.spot.text
        if isinstance(ask, Refusal) or not text or ask.role in ("figure", "change"):
            return None
        if ask.role == "verdict":
            goal, stated = self._goal(question, ask), verdicts.stated(text)
            reached = goal if isinstance(goal, Refusal) else verdicts.judged(goal, self.facts, ask.seed)
            if isinstance(reached, Refusal) or stated in (None, reached):
                return None
            new: str | None = verdicts.turned(text, reached)
        elif ask.named and ask.arm == self.reference:
            return None  # a baseline that somebody states is a claim, and stays one
        else:
            new = None
        value = self.values.answer(ask)
        if isinstance(value, Refusal):
            return None
        new = new or corrected(text, value, self.facts)
        if new is None or new == text:
            return None
        if self.options.update:
            self._replace(question, new)
        return _entry("updated" if self.options.update else "contradicted", question, new, value)

    def _put(self, question: Question, text: str) -> None:
        spot, place = question.spot, question.spot.hole
        assert place is not None
        if spot.cell:
            self.edits.append((spot.start, spot.end, fitted(spot.raw, place, text)))
        else:
            self.edits.append((spot.start + place.start, spot.start + place.end, text))

    def _replace(self, question: Question, text: str) -> None:
        spot = question.spot
        start = spot.start + spot.raw.index(spot.text)
        self.edits.append((start, start + len(spot.text), text))

    @staticmethod
    def _left(question: Question, refusal: Refusal) -> Entry:
        spot = question.spot
        return Entry(what="left", line=spot.line, label=question.label, was=spot.text, note=refusal.reason)


def _entry(what: str, question: Question, text: str, value: Value) -> Entry:
    spot = question.spot
    return Entry(what=what, line=spot.line, label=question.label, was=spot.text, text=text, quantity=value.quantity,
                 arm=value.arm, sources=value.sources, note=value.note)  # fmt: skip


def reference(facts: ExperimentFacts, options: Options) -> str | None:
    """The arm that a document's "Baseline" means; None where the experiment has none."""
    if options.reference is not None:
        return options.reference
    if len(facts.references) > 1:
        return facts.reference(options.arm) if options.arm else None
    if "baseline" in facts.arms:
        return "baseline"
    return facts.arms[0] if len(facts.arms) > 1 else None


def _wanted(facts: ExperimentFacts, options: Options, against: str | None, title: str | None) -> Wanted:
    # Of several data sets none is named by a label alone: an arm on another one would answer for it.
    data = facts.data_of(facts.arms[0]) if len(facts.references) == 1 else {}
    datasets = tuple(str(data[name]) for name in ("name", "title") if data.get(name))
    return Wanted(arm=_default_arm(facts, options, against, title), seed=options.seed, datasets=datasets)


def _default_arm(facts: ExperimentFacts, options: Options, against: str | None, title: str | None) -> str | Refusal:
    """The arm that a person says, else that the document's title names, else the only one there can be."""
    if options.arm or title:
        return str(options.arm or title)
    others = [arm for arm in facts.arms if arm != against] or facts.arms
    if len(others) == 1:
        return others[0]
    return Refusal(f"names no arm, and several could be meant ({', '.join(others)}); --arm NAME says which")


def names(facts: ExperimentFacts, options: Options) -> Names:
    """What labels may name in this experiment."""
    calls: dict[str, Sequence[str]] = {}
    for arm in facts.info["arms"]:
        title = arm.get("title")
        titles = list(title.values()) if isinstance(title, dict) else [title]
        known = [str(one) for one in titles if one]
        short = [one for one in (_RATIO.sub("", title) for title in known) if one and one not in known]
        calls[str(arm["name"])] = tuple(dict.fromkeys([str(arm["name"]), *known, *short]))
    return Names(classes=facts.classes, arms=calls, reference=reference(facts, options), mapped=dict(options.mapped))
