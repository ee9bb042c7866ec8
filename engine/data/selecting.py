"""Taking a data set out of a larger COCO file by the rule that its definition states."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from detui.engine.data.form import Image, Selection
from detui.engine.data.selection import PERSON, Select

Entry = tuple[int, dict[str, Any], int]
"""An annotation that can be used: its position in the file, the file's entry, its class from 1."""


@dataclass(slots=True)
class Selecting:
    """One split while it is read: what is dropped is told to it, then it chooses among the images."""

    rule: Select
    classes: tuple[str, ...]
    """Of the data set, person included where it is a class."""
    dropped: int = 0
    """Annotations of other classes."""
    with_person: set[int] = field(default_factory=set)
    """Images on which a person, or a crowd of them, is annotated."""

    def drop(self, image: int, name: str) -> None:
        """Take note of an annotation of a class that the data set does not have."""
        self.dropped += 1
        if name == PERSON:
            self.with_person.add(image)

    def choose(
        self, images: Mapping[int, Image], grouped: Mapping[int, list[Entry]]
    ) -> tuple[dict[int, Image], Selection]:
        """The images that the rule takes, in the file's order. `grouped`: the annotations of the classes by image."""
        chosen: dict[int, Image] = {}
        left_out: dict[str, int] = {}
        for number, image in images.items():
            if reason := self._reason(number, grouped.get(number, [])):
                left_out[reason] = left_out.get(reason, 0) + 1
            else:
                chosen[number] = image
        return chosen, self._selection(images, chosen, grouped, left_out)

    def _reason(self, image: int, entries: list[Entry]) -> str | None:
        """Why the rule leaves an image out: the first of four reasons; None when it takes it."""
        counted = [number for _, entry, number in entries if not entry.get("iscrowd") and self._counts(number)]
        if self.rule.person == "leave_out" and image in self.with_person:
            return "with_person"
        if not self.rule.objects.holds(len(counted)):
            return "too_few_objects" if len(counted) < (self.rule.objects.min or 0) else "too_many_objects"
        if not self.rule.different.holds(len(set(counted))):
            return "too_few_classes" if len(set(counted)) < (self.rule.different.min or 0) else "too_many_classes"
        return None

    def _counts(self, number: int) -> bool:
        return not (self.rule.person == "class" and self.classes[number - 1] == PERSON)

    def _selection(
        self,
        images: Mapping[int, Image],
        chosen: Mapping[int, Image],
        grouped: Mapping[int, list[Entry]],
        left_out: Mapping[str, int],
    ) -> Selection:
        taken = [item for number in chosen for item in grouped.get(number, ())]
        return Selection(
            rule=self.rule.model_dump(),
            sha256=selection_hash(self.classes, chosen, taken),
            images=len(chosen),
            of_images=len(images),
            boxes=len(taken),
            crowd=sum(bool(entry.get("iscrowd")) for _, entry, _ in taken),
            dropped=self.dropped,
            left_out=dict(left_out),
        )


def selection_hash(classes: tuple[str, ...], images: Mapping[int, Image], annotations: list[Entry]) -> str:
    """SHA-256 of what was selected, 64 hexadecimal digits, that a few lines of any language can compute again.

    Of these lines, sorted as text, each ended by a line feed, in UTF-8: ``class NAME``, ``image ID`` and
    ``annotation ID NAME`` with the file's own ids (an annotation without one has ``#`` and its position from 0).
    """
    lines = [f"class {name}" for name in classes] + [f"image {number}" for number in images]
    lines += [f"annotation {entry.get('id', f'#{index}')} {classes[k - 1]}" for index, entry, k in annotations]
    text = "".join(f"{line}\n" for line in sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def absent_class(name: str, categories: Mapping[int, str]) -> str:
    """What to say of a class of the definition that a file does not have."""
    near = get_close_matches(name, list(categories.values()), 1, 0.5)
    return f"the definition selects {name}, which is no category of the file" + (f"; {near[0]} is" if near else "")
