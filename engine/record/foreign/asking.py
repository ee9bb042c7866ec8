"""What each place of a document asks for, by the labels that it stands under. Never a guess: else it says why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from detui.engine.record.foreign import vocabulary as v
from detui.engine.record.foreign.labels import Meaning, Names, key, key_of, shown, understand
from detui.engine.record.foreign.places import Document, Item, Spot, Table
from detui.engine.record.foreign.questions import (
    GOAL,
    Ask,
    Question,
    Refusal,
    Wanted,
    last_of,
    without_doubles,
    without_unclear_overlaps,
)

PERSONS = "a person's to write"
SPEEDS = frozenset({"model/fps", "model/latency"})
"""Metrics that depend on the device, whose name their labels may add: "FPS (RTX 4090)"."""
_NUMBER = re.compile(r"\d+")


class Asker:
    """Reads the questions of a document."""

    def __init__(self, names: Names, wanted: Wanted) -> None:
        self.names, self.wanted = names, wanted

    def questions(self, document: Document) -> list[Question]:
        """Every place with what it asks for, typed ones too; by line."""
        found = [self._item(item) for item in document.items]
        for number, table in enumerate(document.tables):
            found += _TableAsker(self, number, table).questions()
        return without_doubles(without_unclear_overlaps(sorted(found, key=lambda question: question.spot.start)))

    def _item(self, item: Item) -> Question:
        own = understand(item.label, self.names)
        groups = [understand(label, self.names) for label in item.groups]
        context = self.context(item.path)
        for group in groups:
            context = narrowed(context, group)
        if not own.quantities and own.residue and not own.roles:
            ask: Ask | Refusal = Refusal(f"what {own.text!r} means is not known; --map {own.text!r}=METRIC says it")
        else:
            ask = self.ask(own, context)
        return Question(spot=item.spot, label=shown(item.label), ask=ask, path=item.path)

    def context(self, path: Sequence[str]) -> Meaning:
        """What the headings above a place say of it."""
        context = Meaning()
        for title in path:
            context = narrowed(context, understand(title, self.names), compared=bool(v.COMPARED.search(key(title))))
        return context

    def ask(self, own: Meaning, context: Meaning) -> Ask | Refusal:
        """The question of a place, by its own labels and by what stands above them."""
        if refusal := self._role(own, context):
            return refusal
        if "figure" in own.roles:
            return Ask(quantity="figure", arm="", role="figure")
        quantities = own.quantities or context.quantities
        if not quantities:
            return Refusal(f"no metric that is known stands in it; --map {last_of(own.text)!r}=METRIC says one")
        if own.size == "?":
            return Refusal("asks for more than one number: several sizes")
        if len(quantities) > 1:
            return Refusal(f"asks for more than one number: {', '.join(sorted(quantities))}")
        speed = quantities <= SPEEDS
        if own.residue and not speed:
            return Refusal(f"what {own.residue!r} in the label means is not known; --map {own.odd!r}=METRIC says it")
        return self._complete(next(iter(quantities)), own, context, own.residue if speed else "")

    def _complete(self, quantity: str, own: Meaning, context: Meaning, device: str) -> Ask | Refusal:
        both = context | own
        arms = own.arms or context.arms
        if len(arms) > 1:
            return Refusal(f"names more than one arm: {', '.join(sorted(arms))}")
        arm = next(iter(arms), self.wanted.arm)
        if isinstance(arm, Refusal):
            return arm
        if not arm:
            return Refusal("the experiment has no reference arm; --reference NAME names one")
        role = next((role for role in ("change", "verdict") if role in own.roles), "value")
        named = bool(arms)
        if role == "change" and arm == self.names.reference:
            arm, named = self.wanted.arm, False
            if isinstance(arm, Refusal):
                return arm
        seed = both.seed if both.seed is not None else self.wanted.seed
        epoch = both.epoch if not quantity.startswith("fact/best") else context.epoch
        return Ask(quantity=_composed(quantity, both), arm=arm, epoch=epoch, seed=seed, role=role, best=own.best,
            final=own.final and not own.best,
                   percent=both.percent, named=named, bare=own.bare, device=device)  # fmt: skip

    @staticmethod
    def _role(own: Meaning, context: Meaning) -> Refusal | None:
        roles = own.roles | (context.roles & {"test"})
        if roles & {"person", "remark"}:
            return Refusal(PERSONS)
        if "test" in roles:
            return Refusal("asks for a test set; the runs are evaluated on the validation split")
        if "claim" in roles:
            return Refusal("asks for what somebody else states; detui writes what was measured")
        if "val loss" in roles:
            return Refusal("asks for a validation loss, which is the framework's own and not ours")
        if "goal" in roles and "verdict" not in roles:
            return GOAL
        return None


def narrowed(context: Meaning, inner: Meaning, *, compared: bool = False) -> Meaning:
    """A context with what a further heading or group says; words that are not understood are no context."""
    clear = not inner.residue and not inner.roles
    return replace(
        context,
        epoch=context.epoch if inner.epoch is None else inner.epoch,
        seed=context.seed if inner.seed is None else inner.seed,
        arms=inner.arms if inner.arms and not compared else context.arms,
        klass=inner.klass or context.klass,
        size=inner.size if inner.size and clear else context.size,
        quantities=inner.quantities if inner.quantities and clear else context.quantities,
        roles=context.roles | (inner.roles & {"test"}),
        percent=context.percent or inner.percent,
    )


def _composed(quantity: str, meaning: Meaning) -> str:
    """A metric's name with size and class: "val/AP", small, car → "val/AP_small/car"."""
    if not quantity.startswith("val/") or quantity.count("/") > 1:
        return quantity
    if meaning.size and not quantity.endswith(f"_{meaning.size}"):
        quantity = f"{quantity.removesuffix('100') if quantity == 'val/AR100' else quantity}_{meaning.size}"
    return f"{quantity}/{meaning.klass}" if meaning.klass and not meaning.everything else quantity


class _TableAsker:
    """The questions of one table."""

    def __init__(self, asker: Asker, number: int, table: Table) -> None:
        self.asker, self.names, self.number, self.table = asker, asker.names, number, table
        self.heads = [self._head(index, spot) for index, spot in enumerate(table.head)]
        self.kinds = [key_of(spot.raw) for spot in table.head]
        self.context = asker.context(table.path)
        for label in table.groups:
            self.context = narrowed(self.context, understand(label, asker.names))
        self.labels = [understand(row[0].raw, self.names) if row[0] else Meaning() for row in table.rows]
        if self.kinds[0] is None and any(label.arms for label in self.labels):
            self.kinds[0] = "arm"
        self.columns = [index for index, head in enumerate(self.heads) if index and _opaque(head) and self._open(index)]
        self.rows = [index for index, label in enumerate(self.labels) if _opaque(label) and self._open_row(index)]

    def questions(self) -> Iterator[Question]:
        """One for each cell but those that are missing in their line."""
        for number, row in enumerate(self.table.rows):
            for column, spot in enumerate(row):
                if spot is not None and (column or len(row) == 1):
                    label = " × ".join(filter(None, (shown(row[0].raw) if row[0] and column else "",
                                                     shown(self.table.head[column].raw))))  # fmt: skip
                    yield Question(spot=spot, label=label, ask=self._ask(number, column), table=self.number,
                                   row=number, column=column, path=self.table.path,
                                   head=self.heads[column].quantities)  # fmt: skip

    def _head(self, index: int, spot: Spot) -> Meaning:
        text = shown(spot.raw)
        if (
            index
            and _NUMBER.fullmatch(text)
            and "epoch" in key(self.table.head[0].raw) + "".join(key(title) for title in self.table.path[-1:])
        ):
            return Meaning(epoch=int(text), text=text)
        return understand(spot.raw, self.names)

    def _open(self, column: int) -> bool:
        return any(row[column] is not None and row[column].hole for row in self.table.rows)  # type: ignore[union-attr]

    def _open_row(self, row: int) -> bool:
        return any(spot is not None and spot.hole for spot in self.table.rows[row][1:])

    def _ask(self, row: int, column: int) -> Ask | Refusal:
        if len(self.table.head) == 1:
            if len(self.table.rows) > 1:
                return Refusal("the table has one column, and nothing says what its rows are")
            return self._combined(Meaning(), self.heads[0])
        if self.kinds[column] in ("class", "arm", "epoch", "seed", "data") and not self.heads[column].quantities:
            return Refusal("it says what its row is: a person's to write")
        label = self._row(row)
        return label if isinstance(label, Refusal) else self._combined(label, self.heads[column], row, column)

    def _combined(self, label: Meaning, head: Meaning, row: int = 0, column: int = 0) -> Ask | Refusal:
        whose = Meaning() if not _opaque(head) else self._sole(column, self.columns, self.table.head[column].raw)
        if isinstance(whose, Refusal):
            return whose
        head = replace(head, residue="") if _opaque(head) and column and label.quantities else head
        own = label | head
        if label.arms and head.arms and label.arms != head.arms:
            return Refusal("its row and its column name different arms")
        return self.asker.ask(own, self.context)

    def _sole(self, index: int, candidates: Sequence[int], raw: str) -> Meaning | Refusal:
        """What the one unknown column or row is: the arm that the document names nowhere."""
        if len(candidates) > 1 and index in candidates:
            arm = self.asker.wanted.arm if isinstance(self.asker.wanted.arm, str) else "ARM"
            return Refusal(
                f"{len(candidates)} columns or rows could be the arm {arm}; --map {shown(raw)!r}={arm} says it"
            )
        return Meaning()

    def _row(self, row: int) -> Meaning | Refusal:
        """What a row is, by its first cell and by the other cells that say what it is."""
        spot = self.table.rows[row][0]
        label = self._named(self.kinds[0], "" if spot is None else spot.raw, self.labels[row], row)
        for column, kind in enumerate(self.kinds):
            cell = self.table.rows[row][column]
            if isinstance(label, Refusal):
                return label
            if (
                column
                and cell is not None
                and cell.text
                and not cell.hole
                and kind in ("class", "epoch", "seed", "data")
            ):
                more = self._named(kind, cell.raw, understand(cell.raw, self.names), row)
                label = more if isinstance(more, Refusal) else label | more
        return label

    def _named(self, kind: str | None, raw: str, label: Meaning, row: int) -> Meaning | Refusal:
        text = shown(raw)
        if text and key(text) in self.names.mapped:
            return label
        if kind in ("epoch", "seed") and _NUMBER.fullmatch(text):
            return Meaning(epoch=int(text), text=text) if kind == "epoch" else Meaning(seed=int(text), text=text)
        if kind == "data":
            known = {key(name) for name in self.asker.wanted.datasets}
            return Meaning(text=text) if key(text) in known else Refusal(f"the runs have other data than {text!r}")
        if kind == "class" and not label.klass and not v.EVERYTHING.fullmatch(key(text)) and not label.arms:
            return Refusal(f"{text!r} is no class of the data ({', '.join(self.names.classes)})")
        if kind == "arm" and _opaque(label):
            found = self._sole(row, self.rows, raw)
            return replace(found, text=text) if isinstance(found, Meaning) else found
        if _opaque(label):
            return Refusal(f"what {text!r} means is not known; --map {text!r}=METRIC (or =ARM) says it")
        return label


def _opaque(meaning: Meaning) -> bool:
    """Whether a label says nothing that is understood: it may be an arm by another name."""
    known = meaning.quantities or meaning.size or meaning.klass or meaning.everything or meaning.arms or meaning.roles
    return not known and meaning.epoch is None and meaning.seed is None
