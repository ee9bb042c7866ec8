"""Where values stand in somebody's Markdown: cells of tables, labelled bullets, labelled lines; with exact spans.

The block structure is markdown-it's, so that what a reader sees as a table is
one here: nothing in a code block, a comment, the front matter, or one of
detui's own blocks is a place. Spans count characters of the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from detui.engine.record.foreign.holes import Hole, hole, mentions

if TYPE_CHECKING:
    from markdown_it.token import Token

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_QUOTES = r"[ \t>]*"
_ROW_BEGIN = re.compile(rf"{_QUOTES}(?:(?:[-*+]|\d+[.)])[ \t]+(?=\|))?")
_ITEM_BEGIN = re.compile(rf"{_QUOTES}(?:(?:[-*+]|\d+[.)])[ \t]+)?(?:\[[ xX]\][ \t]+)?")
_PIPE = re.compile(r"(?<!\\)\|")
_COLON = re.compile(r"：[*_]{0,3}|:[*_]{0,3}(?=[ \t]|$)")
_BOLD = re.compile(r"(?:\*\*|__).+")
_OURS = re.compile(r"<!-- detui:begin [\w-]+ -->.*?<!-- detui:end [\w-]+ -->", re.DOTALL)
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n.*?^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Spot:
    """A stretch of the text that holds a value, or a placeholder for one."""

    line: int
    """From 1."""
    start: int
    end: int
    raw: str
    """What stands from `start` to `end`: a cell from pipe to pipe, or what follows a label's colon."""
    cell: bool

    @property
    def text(self) -> str:
        """What stands there, without blanks around it."""
        return self.raw.strip(" \t\ufeff")

    @property
    def hole(self) -> Hole | None:
        """The placeholder in it; an empty cell is one."""
        if self.cell and not self.raw.strip():
            at = min(1, len(self.raw))
            return Hole(at, at)
        return hole(self.raw)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table; every row has as many spots as the head, None where its line is short of cells."""

    head: tuple[Spot, ...]
    rows: tuple[tuple[Spot | None, ...], ...]
    path: tuple[str, ...]
    """The headings above it, the nearest last."""
    groups: tuple[str, ...]
    """Labels of the bullets that it stands in, or of the line before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A bullet, or a line that begins with a bold label, "label: value"."""

    label: str
    spot: Spot
    path: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prose:
    """A heading, a paragraph or a sentence with a placeholder that no label explains."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """All places of a text."""

    tables: tuple[Table, ...]
    items: tuple[Item, ...]
    prose: tuple[Prose, ...]
    title: str = ""
    """The first heading of the first level."""


def read(text: str) -> Document:
    """Find the places in a Markdown text; any line endings, with or without a byte order mark."""
    from markdown_it import MarkdownIt

    visible = _FRONT.sub(_blank, text, count=1) if _FRONT.match(text) else text
    visible = _OURS.sub(_blank, visible)
    tokens = MarkdownIt("commonmark").enable("table").parse(visible.removeprefix("\ufeff"))
    return _Reader(text).read(tokens)


def _blank(match: re.Match[str]) -> str:
    """The same lines with nothing on them."""
    return re.sub(r"[^\r\n]", "", match[0])


class _Reader:
    """Walks the blocks of a text, keeping the headings and labels that they stand under."""

    def __init__(self, text: str) -> None:
        self._lines = [(match.start(), match[0].rstrip("\r\n")) for match in _LINE.finditer(text)]
        self._headings: list[tuple[int, str]] = []
        self._groups: list[str] = []
        """Of each open list item its label; before those, the line that introduces the list."""
        self._lead = ""
        self._tables: list[Table] = []
        self._items: list[Item] = []
        self._prose: list[Prose] = []
        self._title = ""

    def read(self, tokens: Sequence[Token]) -> Document:
        rows: list[int] = []
        for before, token in zip([None, *tokens], tokens, strict=False):
            if token.type == "tr_open" and token.map:
                rows.append(token.map[0])
            elif token.type == "table_close":
                self._table(rows)
                rows, self._lead = [], ""
            elif token.type == "list_item_open":
                self._groups.append("")
            elif token.type == "list_item_close":
                self._groups.pop()
            elif token.type in ("bullet_list_close", "ordered_list_close", "fence", "hr"):
                self._lead = "" if not self._groups else self._lead
            elif token.type == "inline" and before is not None and token.map:
                self._inline(before, token)
        return Document(tables=tuple(self._tables), items=tuple(self._items), prose=tuple(self._prose),
                        title=self._title)  # fmt: skip

    def _inline(self, before: Token, token: Token) -> None:
        if before.type == "heading_open":
            self._heading(int(before.tag[1]), token)
        elif before.type == "paragraph_open" and token.map:
            self._paragraph(range(*token.map))

    def _heading(self, level: int, token: Token) -> None:
        self._headings = [one for one in self._headings if one[0] < level] + [(level, token.content)]
        self._lead = ""
        self._title = self._title or (token.content if level == 1 else "")
        if token.map and mentions(token.content):
            self._prose.append(Prose(line=token.map[0] + 1, text=token.content))

    def _paragraph(self, numbers: range) -> None:
        """The lines of a paragraph; in a list item, the first is its bullet."""
        bullet = bool(self._groups) and not self._groups[-1]
        for number in numbers:
            found = self._labelled(number, bold=not (bullet and number == numbers[0]))
            if found is None:
                line = self._lines[number][1]
                if mentions(line[_begin(_ITEM_BEGIN, line) :]):
                    self._prose.append(Prose(line=number + 1, text=line.strip(" \t>")))
            else:
                self._items.append(found)
        last = self._lines[numbers[-1]][1]
        label = found.label if found is not None else last[_begin(_ITEM_BEGIN, last) :].strip()
        if bullet:
            self._groups[-1] = label
        elif not self._groups:
            self._lead = label if found is not None and not found.spot.text else ""

    def _labelled(self, number: int, *, bold: bool) -> Item | None:
        """The label and the value of a line; with `bold`, only where its label is bold."""
        start, line = self._lines[number]
        begin = _begin(_ITEM_BEGIN, line)
        content = line[begin:]
        parts = _parts(content)
        if parts is None or (bold and not _BOLD.match(content)):
            return None
        label, at = parts
        value = content[at:]
        lead = len(value) - len(value.lstrip(" \t"))
        kept = value.strip(" \t")
        spot_start = start + begin + at + (lead if kept else 0)
        spot = Spot(number + 1, spot_start, spot_start + len(kept), kept, False)
        return Item(label=label, spot=spot, path=self._path, groups=self._above)

    def _table(self, numbers: Sequence[int]) -> None:
        head, *rows = [tuple(self._cells(number)) for number in numbers]
        width = len(head)
        filled = tuple((*row, *[None] * (width - len(row)))[:width] for row in rows)
        self._tables.append(Table(head=head, rows=filled, path=self._path, groups=self._above))

    def _cells(self, number: int) -> Iterator[Spot]:
        """The cells of a row, from pipe to pipe; a pipe behind a backslash is text, as GitHub has it."""
        start, line = self._lines[number]
        begin = _begin(_ROW_BEGIN, line)
        end = len(line.rstrip(" \t"))
        cuts = [match.start() for match in _PIPE.finditer(line, begin, end)]
        edges = [begin - 1, *cuts, end]
        if cuts and cuts[0] == begin:
            edges = edges[1:]
        if cuts and cuts[-1] == end - 1 and len(edges) > 2:
            edges = edges[:-1]
        for left, right in pairwise(edges):
            yield Spot(number + 1, start + left + 1, start + right, line[left + 1 : right], True)

    @property
    def _path(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._headings)

    @property
    def _above(self) -> tuple[str, ...]:
        return tuple(label for label in (self._lead, *self._groups) if label)


def _begin(pattern: re.Pattern[str], line: str) -> int:
    match = pattern.match(line.removeprefix("\ufeff"))
    return (match.end() if match else 0) + line.startswith("\ufeff")


def _parts(content: str) -> tuple[str, int] | None:
    """The label of "label: value" and where the value begins; no colon in a code span counts."""
    hidden = re.sub(r"(`+).*?\1", lambda match: "x" * len(match[0]), content)
    match = _COLON.search(hidden)
    if match is None:
        at = hidden.rfind(":")  # "AP50:TBD", and nothing else without a blank
        if at < 1 or hole(content[at + 1 :]) is None:
            return None
        return content[:at].strip(), at + 1
    label = content[: match.start()].strip()
    return (label, match.end()) if label else None
