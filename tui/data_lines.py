"""What `detui data check` says of a split, as lines of text: its selection, its density, sizes and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detui.tui.output import width

BAR = 24
"""Characters of the longest bar of a histogram."""
_REASONS = {
    "with_person": "with a person",
    "too_few_objects": "with too few objects",
    "too_many_objects": "with too many objects",
    "too_few_classes": "with too few different classes",
    "too_many_classes": "with too many different classes",
}


def selection_lines(selection: Mapping[str, Any] | None) -> list[str]:
    """What a rule took out of a split, and the hash of it; nothing where there is no rule."""
    if selection is None:
        return []
    left = ", ".join(f"{count} {_REASONS[reason]}" for reason, count in selection["left_out"].items())
    return [
        f"    selected: {selection['images']} of {selection['of_images']} images, {selection['boxes']} boxes"
        f" ({selection['crowd']} crowd); {_rule(selection['rule'])}",
        f"    left out: {left or 'no image'}; {selection['dropped']} annotations of other classes dropped",
        f"    selection: {selection['sha256']}",
    ]


def _rule(rule: Mapping[str, Any]) -> str:
    """The rule in words."""
    person = {"ignore": "persons not annotated", "class": "person a class", "leave_out": "no image with a person"}
    parts = [f"objects an image {_window(rule['objects'])}"]
    if rule["different"] != {"min": None, "max": None}:
        parts.append(f"different classes {_window(rule['different'])}")
    return ", ".join([*parts, person[rule["person"]]])


def _window(window: Mapping[str, Any]) -> str:
    low, high = window["min"] or 0, window["max"]
    return f"at least {low}" if high is None else f"{low} to {high}"


def composition_lines(composition: Mapping[str, Any]) -> list[str]:
    """Objects per image with a small histogram, and sizes."""
    density, sizes = composition["objects_per_image"], composition["sizes"]
    if density is None:
        return []
    total = max(composition["objects"], 1)
    shares = ", ".join(f"{name} {count} ({100 * count / total:.0f} %)" for name, count in sizes.items())
    return [
        f"    objects an image: mean {density['mean']:.2f}, median {density['median']:g}, 90 % have at most "
        f"{density['p90']}, max {density['max']}",
        *bars(density["histogram"], "      "),
        f"    sizes in original pixels: {shares}",
    ]


def class_lines(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Objects by class: a line a class, a column a split, a bar for all splits together."""
    columns = {name: split["objects_by_class"] for name, split in splits.items()}
    classes = list(dict.fromkeys(name for column in columns.values() for name in column))
    if not classes:
        return []
    totals = {name: sum(column.get(name, 0) for column in columns.values()) for name in classes}
    widths = {split: max(len(split), *(len(str(n)) for n in column.values())) for split, column in columns.items()}
    label = max(14, *map(width, classes))
    head = "  ".join(f"{split:>{widths[split]}}" for split in columns)
    lines = [f"  objects by class{' ' * (label - 14)}  {head}"]
    for name in classes:
        numbers = "  ".join(f"{column.get(name, 0):>{widths[split]}}" for split, column in columns.items())
        padded = name + " " * (label - width(name))
        lines.append(f"    {padded}  {numbers}  {_bar(totals[name], max(totals.values()))}".rstrip())
    return lines


def bars(counts: Mapping[str, int], indent: str) -> list[str]:
    """A histogram: a label, a count and a bar a line; it begins with the first bin that is not empty."""
    first = next((index for index, count in enumerate(counts.values()) if count), 0)
    counts = dict(list(counts.items())[first:])
    widest = max(map(len, counts), default=0)
    digits = max((len(str(count)) for count in counts.values()), default=0)
    top = max(counts.values(), default=0)
    return [
        f"{indent}{name:>{widest}}  {count:>{digits}}  {_bar(count, top)}".rstrip() for name, count in counts.items()
    ]


def _bar(count: int, top: int) -> str:
    """At least one mark for anything that is not nothing."""
    return "#" * max(round(BAR * count / max(top, 1)), min(count, 1))


def published_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Published counts beside those that were found."""
    verdicts = ("ok" if row["ok"] else f"DIFFERS: {row['published']} published" for row in rows)
    return [f"  {row['what']}: {row['found']} {verdict}" for row, verdict in zip(rows, verdicts, strict=True)]


def problem_lines(problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every kind of problem with what is done about it, and its first examples."""
    from detui.engine.data.problems import KINDS

    lines = []
    for problem in problems:
        action = "ERROR" if problem["action"] == "error" else problem["action"].replace("_", " ")
        lines.append(f"  {problem['kind']}: {problem['count']}, {action} ({KINDS[problem['kind']].text})")
        lines += [f"    {example}" for example in problem["examples"]]
        if problem["count"] > len(problem["examples"]):
            lines.append(f"    … and {problem['count'] - len(problem['examples'])} more")
    return lines
