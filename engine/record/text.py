"""How numbers and foreign text are written in a record's Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detui.engine.record.facts import Source

_SPECIAL = re.compile(r"([\\`*\[\]|~$])|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#")
_BLOCK_START = re.compile(r"^(\d{0,9})([-+.)=])(?=\s|\2*$)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udc7f\udd00-\udfff]")


def one_line(text: object) -> str:
    """Foreign text on one line. What no document may hold becomes U+FFFD: controls, those that turn the direction of
    all that follows in the line included, and halves of a pair.
    """
    return _UNPRINTABLE.sub("\ufffd", " ".join(str(text).split()))


def plain(text: object) -> str:
    """Foreign text (class names, file names, notes) on one line, with nothing in it that Markdown would act on."""
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BLOCK_START.sub(r"\1\\\2", _SPECIAL.sub(lambda match: "\\" + match.group(0), line))


def code(text: object) -> str:
    """Foreign text as a code span that is safe in a table cell."""
    line = one_line(text).replace("|", "\\|")
    if not line:
        return ""
    runs = [len(run) for run in re.findall(r"`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def fenced(text: str, language: str = "") -> str:
    """Foreign text as a code block whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def percent(value: float, digits: int = 1) -> str:
    """0.4237 → "42.4": a metric in percent, without the sign, which the column's head carries."""
    return _no_negative_zero(f"{100 * value:.{digits}f}")


def stated(value: float) -> str:
    """0.6397 → "63.97": a metric that somebody claims, in percent with the digits that they gave, one at least."""
    digits = f"{100 * value:.4f}".rstrip("0")
    return _no_negative_zero(digits + "0" if digits.endswith(".") else digits)


def points(value: float, digits: int = 1) -> str:
    """A difference in percent points, always with its sign."""
    return _no_negative_zero(f"{100 * value:+.{digits}f}")


def _no_negative_zero(text: str) -> str:
    """A number that rounds to nothing has no sign."""
    return text.lstrip("+-") if not text.strip("+-0.") else text


def band(low: float, high: float) -> tuple[str, str]:
    """0.25, 0.3 → ("0.25", "0.30"): two bounds with as many decimals as the longer one needs, six at most."""
    digits = max(len(f"{round(bound, 6):f}".rstrip("0").partition(".")[2]) for bound in (low, high))
    return f"{low:.{digits}f}", f"{high:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as "45 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(count: float) -> str:
    """Bytes as "512 MiB" or "3.2 GiB"; less than one as "412 KiB"."""
    mebibytes = count / 2**20
    if 0 < mebibytes < 1:
        return f"{count / 1024:.0f} KiB"
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def count(value: float) -> str:
    """2602288 → "2,602,288"."""
    return f"{value:,.0f}"


def moment(text: str | None) -> str | None:
    """An ISO time as "2026-11-20 13:45:00"."""
    return text.replace("T", " ").split(".")[0].rstrip("Z") if text else None


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table; its cells are Markdown already."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    """Columns of numbers, set to the right."""
    origins: Sequence[Sequence[Source]] = ()
    """For each row where its numbers stand, in a table whose last column does not say it in marks."""

    def __str__(self) -> str:
        rule = ["---:" if column in self.right else "---" for column in range(len(self.head))]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.head, rule, *self.rows))

    def __bool__(self) -> bool:
        return bool(self.rows)
