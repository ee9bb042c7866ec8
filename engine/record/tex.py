"""The record's Markdown as LaTeX: what stands in a cell, and nothing that TeX would act on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from detui.engine.record.text import one_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_WORDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ and in optional arguments a bare one is read as an option
    "]": "{]}",
    "*": "{*}",  # the same: \\* is a command of its own
    "±": r"$\pm$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "–": "--",
    "\u00a0": "~",
    "\x00": r"\allowbreak{}",
    "\ufffd": "?",
}
_SPECIAL = re.compile("|".join(map(re.escape, _WORDS)) + r"|(?<![\w-])-(?=\d)|(?<=-)-|(?<=')'|(?<=,),")
_LONG_WORD = re.compile(r"(\S{20})(?=\S{20})")
_LATIN = re.compile(r"[\x00-\u017f‘’“”…•€™]*")
"""What pdflatex sets with the T1 encoding."""

_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def escape(text: str) -> str:
    """Any text as LaTeX that prints it; a sign before a digit becomes a real minus. Very long words may be broken."""
    return _SPECIAL.sub(_escaped, _LONG_WORD.sub("\\1\x00", one_line(text)))


def _escaped(match: re.Match[str]) -> str:
    found = match.group(0)
    if found in _WORDS:
        return _WORDS[found]
    # A minus sign, or the second of two characters that a font would draw as one.
    return "$-$" if found == "-" and not match.string[: match.start()].endswith("-") else "{}" + found


def comment(text: str) -> str:
    """A text as a line that TeX passes over."""
    return f"% {one_line(text)}".rstrip()


def from_markdown(cell: str) -> str:
    """A table cell of the record, or a line of text, as LaTeX."""
    # A pipe within a cell is escaped also where Markdown escapes nothing, in code.
    (inline,) = _markdown().parseInline(cell.replace("\\|", "|"))
    return "".join(_inline(inline.children or ()))


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")


def _inline(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "code_inline":
            yield rf"\texttt{{{escape(token.content)}}}"
        elif token.type in _MARKS:
            yield _MARKS[token.type]
        elif token.type in ("softbreak", "hardbreak"):
            yield " "
        else:
            yield _spaced(token.content)


def _spaced(text: str) -> str:
    """`escape` puts a text on one line, without the spaces at its ends; what stands beside a mark needs them."""
    before, after = text[:1].isspace(), text[-1:].isspace() and not text.isspace()
    return " " * before + escape(text) + " " * after


_MARKS = {"strong_open": r"\textbf{", "em_open": r"\emph{", "strong_close": "}", "em_close": "}"}


def needs_unicode(text: str) -> bool:
    """Whether a text holds characters that pdflatex does not know: then it takes xelatex or lualatex."""
    return _LATIN.fullmatch(text) is None


def needs_chinese(text: str) -> bool:
    """Whether a text holds Chinese or Japanese characters, for which the package ctex brings fonts."""
    return _CJK.search(text) is not None
