"""Do class ids and class names belong together?

COCO's classes have numbers in three spaces (`coco_classes`). A script that mixes them still runs: it calls bottles
spoons (44) and cups bananas (47), trains on that, and every number it prints looks like a number. What a file and a
definition say can be held against each other and against the well-known table; what nothing contradicts shows only
in pictures, which is what `detui data sheet` is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from detui.engine.data.coco_classes import GROUPS, IDS, NAMES, SPACES

OWN, FROM_0, FROM_1 = SPACES
_TELLING = 12
"""From this id on COCO's own ids differ from both other spaces: 12 is the first gap."""


@dataclass(frozen=True, slots=True)
class Category:
    """One entry of a file's `categories`."""

    name: str
    group: str | None = None
    """Its `supercategory`, where it has one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One contradiction."""

    id: int | None
    """The category of the file that it is about; None where it is about numbers that no category has."""
    reason: str


def faults(categories: Mapping[int, Category], used: Mapping[int, int], stated: Mapping[str, int]) -> Iterator[Fault]:
    """Every contradiction between names and numbers.

    `categories` by the file's own id; `used`: how many annotations carry each number; `stated`: the numbers that the
    definition gives to names of classes.
    """
    space = space_of(categories)
    yield from _stated(categories, stated)
    if space:
        yield from _strangers(categories, space)
        yield from _without_category(categories, used, space)
    yield from _wrong_groups(categories)


def space_of(categories: Mapping[int, Category]) -> str | None:
    """The number space that a file's categories are meant to be in: the one that most names fit; None for own numbers.

    Only names for which the spaces differ count, and two of them must fit. Numbers without gaps in COCO's order are
    somebody's own subset, counted anew, whatever they fit by accident, unless all fit.
    """
    known = [(number, c.name) for number, c in categories.items() if IDS.get(c.name, 0) > _TELLING]
    fitting = {space: sum(numbers[name] == number for number, name in known) for space, numbers in SPACES.items()}
    space = max(fitting, key=lambda name: fitting[name])
    if fitting[space] < max(2, len(known) / 2):
        return None
    if fitting[space] < len(known) and _counted_anew(categories):
        return None
    return space


def _counted_anew(categories: Mapping[int, Category]) -> bool:
    """Whether the numbers have no gap and the well-known names stand in COCO's order."""
    numbers = sorted(categories)
    order = [IDS[categories[n].name] for n in numbers if categories[n].name in IDS]
    return numbers[-1] - numbers[0] == len(numbers) - 1 and order == sorted(order)


def _stated(categories: Mapping[int, Category], stated: Mapping[str, int]) -> Iterator[Fault]:
    """Numbers of the definition that the file gives to another name."""
    by_name = {category.name: number for number, category in categories.items()}
    for name, number in stated.items():
        right = by_name.get(name)
        if right is None or right == number:
            continue
        other = f"calls {number} {categories[number].name}" if number in categories else f"has no category {number}"
        reason = f"the definition says that {name} is category {number}; the file {other}, and {name} is {right}"
        yield Fault(right, reason + _elsewhere(name, number, OWN))


def _strangers(categories: Mapping[int, Category], space: str) -> Iterator[Fault]:
    """Well-known names under a number that they do not have in the space of the others."""
    numbers = SPACES[space]
    names = {number: name for name, number in numbers.items()}
    for number, category in categories.items():
        right = numbers.get(category.name, number)
        if right != number:
            means = f"{number} means {names[number]}" if number in names else f"there is no {number}"
            reason = f"category {number} is called {category.name}, but the others follow {space}, where {means}"
            yield Fault(number, f"{reason} and {category.name} is {right}" + _elsewhere(category.name, number, space))


def _elsewhere(name: str, number: int, space: str) -> str:
    """In which other space the number is that of the name."""
    found = [other for other, numbers in SPACES.items() if other != space and numbers.get(name) == number]
    return f" ({number} is {name} in {found[0]})" if found else ""


def _without_category(categories: Mapping[int, Category], used: Mapping[int, int], space: str) -> Iterator[Fault]:
    """Numbers of annotations that the file's space has no class for, and another space has."""
    others = [numbers for name, numbers in SPACES.items() if (name == OWN) != (space == OWN)]
    possible = {number for numbers in others for number in numbers.values()}
    absent = sorted(n for n in used if n not in categories and n in possible and n not in SPACES[space].values())
    if not absent:
        return
    count = sum(used[number] for number in absent)
    shown = ", ".join(map(str, absent[:8])) + (", …" if len(absent) > 8 else "")
    meant = "the 80 classes counted without gaps" if space == OWN else OWN
    yield Fault(
        None,
        f"{count} annotations have the category {shown}, which the file's categories do not have: these are numbers "
        f"of {meant}, the categories follow {space}. Every other number is then read as another class: "
        f"{_example(categories, used, space)}",
    )


def _example(categories: Mapping[int, Category], used: Mapping[int, int], space: str) -> str:
    """One number that annotations use, as what it is read, and what it means in the other space."""
    for number in (44, 47, *sorted(used)):
        meanings = [
            f"{name} ({other})"
            for other, numbers in SPACES.items()
            if (other == OWN) != (space == OWN)
            for name, value in numbers.items()
            if value == number and number in categories and name != categories[number].name
        ]
        if number in used and meanings:
            return f"{number} is read as {categories[number].name} and means {' or '.join(meanings)}"
    return "which ones cannot be told"


def _wrong_groups(categories: Mapping[int, Category]) -> Iterator[Fault]:
    """Names under the supercategory of another class: what is left to see when a file was numbered anew.

    Judged only where the file's groups are COCO's: all of its well-known names have one of COCO's groups, and at
    least half have their own.
    """
    known = [(n, c) for n, c in categories.items() if c.name in IDS and c.group is not None]
    right = sum(c.group == GROUPS[c.name] for _, c in known)
    if len(known) < 4 or right * 2 < len(known) or not {c.group for _, c in known} <= set(GROUPS.values()):
        return
    for number, category in known:
        if category.group != GROUPS[category.name]:
            own = NAMES.get(number)
            also = f"; in COCO's own ids {number} is {own}" if own and GROUPS[own] == category.group else ""
            yield Fault(
                number,
                f"category {number} is called {category.name} and belongs to {category.group!r}; "
                f"in COCO {category.name} belongs to {GROUPS[category.name]!r}{also}",
            )
