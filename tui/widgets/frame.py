"""What stands around the cells of a chart: the line with title and legend, and the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual.strip import Strip

from detui.tui.output import cut, pad, width
from detui.tui.widgets.axes import Limits, decades, ticks
from detui.tui.widgets.palette import DIM, PLAIN, series_style
from detui.tui.widgets.series import Series

MARGIN = 8
"""Columns of the labels of the y axis."""
_ASCII = str.maketrans({"–": "-", "…": "~", "±": "~", "━": "-", "┤": "+", "│": "|", "└": "+"})


def plain_number(value: float) -> str:
    """Return a step or an epoch as people write it: without an exponent while it is whole."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e8 else f"{value:.4g}"


def legend(
    title: str, series: Sequence[Series], values: Sequence[str], columns: int, *, cursor: bool, ascii_only: bool
) -> Strip:
    """Return the first line of a chart: title, then each line's letter, label and value, the most that fits.

    Where not all fits, the values go first; at the cursor, which is there to read values, the labels do.
    """
    letters = [one.letter or "" if len(series) > 1 else "" for one in series]
    names = [f" {letter}━{one.label}" for letter, one in zip(letters, series, strict=True)]
    full = [f"{name} {value}" for name, value in zip(names, values, strict=True)]
    short = [f" {letter}━{value}" for letter, value in zip(letters, values, strict=True)]
    room = columns - width(title) - 1
    cut_names = [cut(name, max(room // max(len(names), 1), 3)) for name in names]
    ways = (full, short) if cursor else (full, names, cut_names)
    texts = next((way for way in ways if sum(map(width, way)) <= room), ways[-1])
    entries = [(text, series_style(one.colour or 0)) for text, one in zip(texts, series, strict=True)]
    parts = [(f"{title} ", PLAIN), *entries]
    return Strip([Segment(_plain(text, ascii_only), style) for text, style in parts]).adjust_cell_length(columns)


def y_labels(
    limits: Limits, rows: int, form: Callable[[float | None], str], *, log: bool, ascii_only: bool
) -> list[Segment]:
    """Return the left margin of each row, with round values; `log`: the limits are logarithms."""
    values = (decades if log else ticks)(limits, max(2, rows // 3))
    span = limits.high - limits.low
    labels = {round((limits.high - value) / span * (rows - 1)): value for value in values}
    texts = [" " * MARGIN + "│"] * rows
    for row, value in labels.items():
        text = cut(form(10**value if log else value), MARGIN - 1)
        texts[row] = pad(text, MARGIN - 1, right=True) + " ┤"
    return [Segment(_plain(text, ascii_only), DIM) for text in texts]


def x_axis(left: str, label: str, right: str, columns: int, *, ascii_only: bool) -> Strip:
    """Return the last line of a chart: where the x axis begins, what it counts, where it ends."""
    room = max(0, columns - width(left) - width(right) - width(label))
    middle = " " * (room // 2) + label + " " * (room - room // 2)
    return Strip([Segment(_plain(f"{' ' * MARGIN}└{left}{middle}{right}", ascii_only), DIM)])


def _plain(text: str, ascii_only: bool) -> str:
    return text.translate(_ASCII) if ascii_only else text
