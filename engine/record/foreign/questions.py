"""The questions of a document: what each place asks for, or why nobody can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from detui.engine.record.foreign.labels import key
from detui.engine.record.foreign.places import Spot

AMBIGUOUS = "AP50, or the mean over IoU 0.50 to 0.95? --map {!r}=val/AP50 (or =val/AP) says it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A value that is asked for."""

    quantity: str
    """A metric of ours, with class and size in it ("val/AP_small/car"), or "fact/…"."""
    arm: str
    epoch: int | None = None
    """None: the chosen checkpoint, or the whole run."""
    seed: int | None = None
    """None: all seeds."""
    role: str = "value"
    """"value", "change" (against the reference), "verdict" (whether the row's goal is reached) or "figure"."""
    best: bool = False
    final: bool = False
    """Whether the label says "final", which may mean the last epoch or the chosen checkpoint."""
    percent: bool = False
    """Whether a label says that its numbers are percentages."""
    named: bool = True
    """Whether the document names the arm."""
    device: str = ""
    """The device that a speed is asked for, as the label has it: "rtx 4090"."""
    bare: bool = False
    """Whether the label says AP without the overlap."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a place is left."""

    reason: str


GOAL = Refusal("a goal is a person's to set")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A place and what it asks for."""

    spot: Spot
    label: str
    """The labels that it stands under: "Small mAP × Loss 权重改进"."""
    ask: Ask | Refusal
    path: tuple[str, ...] = ()
    """The headings above it."""
    table: int | None = None
    row: int = 0
    column: int = 0
    head: frozenset[str] = frozenset()
    """Quantities that the head of its column names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a person said of the whole document."""

    arm: str | Refusal
    """Whose numbers go where the document names no arm."""
    seed: int | None
    datasets: tuple[str, ...]
    """How the experiment's data may be called."""


def without_unclear_overlaps(questions: list[Question]) -> list[Question]:
    """Refuse a bare "mAP" where the document elsewhere says only mAP@0.5: it may well mean that.

    A document that has both in one table or section says "AP" as COCO does.
    """

    def asks(question: Question, name: str) -> bool:
        return isinstance(question.ask, Ask) and not question.ask.bare and question.ask.quantity == name

    if any(asks(one, "val/AP") for one in questions) or not any(asks(one, "val/AP50") for one in questions):
        return questions
    beside = {(one.table, one.path) for one in questions if asks(one, "val/AP50")}
    bare = [one for one in questions if isinstance(one.ask, Ask) and one.ask.bare]
    if any((one.table, one.path) in beside for one in bare):
        return questions
    return [
        replace(one, ask=Refusal(AMBIGUOUS.format(last_of(one.label)))) if one in bare else one for one in questions
    ]


def last_of(label: str) -> str:
    """The label that `--map` can name: the column's, where a cell has two."""
    return label.rsplit(" × ", 1)[-1]


def without_doubles(questions: list[Question]) -> list[Question]:
    """Refuse placeholders that ask the same under the same labels in different sections: one of them is another's."""

    def mark(question: Question) -> object:
        ask = question.ask
        asks = isinstance(ask, Ask) and not ask.named and ask.role != "figure" and not ask.quantity.startswith("fact/")
        return (ask, key(question.label)) if asks and question.spot.hole else None

    marks = [mark(question) for question in questions]
    counts = Counter(found for found in marks if found is not None)
    return [
        replace(question, ask=_twice(question, questions, marks))
        if found is not None and counts[found] > 1
        else question
        for question, found in zip(questions, marks, strict=True)
    ]


def _twice(question: Question, questions: Sequence[Question], marks: Sequence[object]) -> Refusal:
    mine = marks[[id(one) for one in questions].index(id(question))]
    lines = [str(one.spot.line) for one, found in zip(questions, marks, strict=True) if found == mine]
    return Refusal(f"lines {', '.join(lines)} ask for the same number, and nothing says which of them is this arm's")
