"""Tables of plain cells in the formats that commands offer: text, Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from detui.tui.output import table

if TYPE_CHECKING:
    from detui.engine.evaluate.tables import Grid

FORMATS = ("text", "md", "csv", "latex")
formatted = click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="How tables are written."
)
"""The option that chooses one."""


def print_grids(grids: Sequence[Grid], form: str) -> None:
    """Print tables on stdout in one of FORMATS."""
    write = {"text": _text, "md": _markdown, "csv": _csv, "latex": _latex}[form]
    click.echo("\n\n".join(write(grid) for grid in grids))


def _text(grid: Grid) -> str:
    right = range(1, len(grid.head))
    lines = [grid.title, *(f"  {line}" for line in table([grid.head, *grid.rows], right=right))]
    return "\n".join([*lines, *([f"  {grid.note}"] if grid.note else [])])


def _markdown(grid: Grid) -> str:
    from detui.engine.record.text import Table, plain

    rows = [[plain(cell) for cell in row] for row in grid.rows]
    body = Table([plain(cell) for cell in grid.head], rows, frozenset(range(1, len(grid.head))))
    return f"**{plain(grid.title)}**\n\n{body}" + (f"\n\n{plain(grid.note)}" if grid.note else "")


def _csv(grid: Grid) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([grid.head, *grid.rows])
    return buffer.getvalue().rstrip("\n")


def _latex(grid: Grid) -> str:
    from detui.engine.record.tex import escape

    lines = [" & ".join(map(escape, row)) + r" \\" for row in (grid.head, *grid.rows)]
    note = f". {escape(grid.note)}" if grid.note else ""
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(grid.title)}{note}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.head) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
