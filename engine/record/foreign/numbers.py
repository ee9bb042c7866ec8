"""How a number is written: percent or fraction, unit and decimals as in the numbers beside it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from detui.engine.record.foreign.holes import Hole
from detui.engine.record.foreign.labels import key, shown
from detui.engine.record.text import duration, size

_WRITTEN = re.compile(
    r"(?P<about>[~≈约]?)\s*(?P<sign>[+\-−±]?)\s*(?P<whole>\d[\d,]*)(?:\.(?P<part>\d+))?(?P<unit>\s*(?:%|[A-Za-z]+|小时|分钟|秒))?"
)
SCALES = {
    "count": {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "million": 1e6},
    "flops": {"": 1.0, "g": 1.0, "gflops": 1.0, "gflop": 1.0, "t": 1e3, "tflops": 1e3, "m": 1e-3},
    "seconds": {"s": 1.0, "sec": 1.0, "秒": 1.0, "min": 60.0, "分钟": 60.0, "分": 60.0, "h": 3600.0, "hours": 3600.0,
                "hour": 3600.0, "小时": 3600.0},
    "latency": {"ms": 1e-3, "s": 1.0},
    "bytes": {"g": 2.0**30, "gb": 1e9, "gib": 2.0**30, "m": 2.0**20, "mb": 1e6, "mib": 2.0**20},
}  # fmt: skip
"""Kind → unit (lower case) → how much of ours it is: parameters, GFLOPs, seconds, bytes."""
_DEFAULT = {"count": "M", "flops": "G", "latency": " ms"}


@dataclass(frozen=True, slots=True)
class Written:
    """A number as it stands in a document."""

    value: float
    decimals: int
    unit: str
    """With the blank before it, where there is one: "%", " GB", ""."""
    about: bool
    """Whether it is given as approximate ("~41%"): such a number says nothing of decimals."""
    grouped: bool = False
    """Whether its thousands are set apart: "2,602,288"."""

    @property
    def percent(self) -> bool:
        """Whether it has a percent sign."""
        return self.unit.strip() == "%"


def parse(text: str) -> Written | None:
    """Read a number with its unit; None for anything that is more than that."""
    match = _WRITTEN.fullmatch(shown(text))
    if match is None or match["sign"] == "±":
        return None
    part = match["part"] or ""
    value = float(match["whole"].replace(",", "") + "." + (part or "0"))
    negative = match["sign"] in ("-", "−")
    return Written(-value if negative else value, len(part), match["unit"] or "", bool(match["about"]),
                   "," in match["whole"])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How a number is to be written."""

    factor: float
    """What our value is multiplied with."""
    decimals: int
    unit: str = ""
    grouped: bool = False

    def write(self, value: float, *, signed: bool = False) -> str:
        """The number; `signed` for a difference, whose zero has no sign."""
        shown_value = round(value * self.factor, self.decimals)
        sign = "+" if signed and shown_value > 0 else ""
        comma = "," if self.grouped else ""
        return f"{sign}{shown_value if shown_value else 0.0:{comma}.{self.decimals}f}{self.unit}"

    def read(self, written: Written) -> float:
        """Our value of a number that is written so."""
        return written.value / self.factor


def ratio_form(groups: Sequence[Sequence[Written]], *, labelled: bool, unit: str) -> Form:
    """The form of a metric between 0 and 1. `groups`: numbers of the row, of the column, of the document.

    `labelled`: the label says percent. `unit`: a sign that stands behind the
    placeholder already. The nearest group that has numbers decides; without
    any it is percent, with its sign and two decimals.
    """
    near = next((group for group in groups if group), ())
    signed = any(one.percent for one in near)
    percent = labelled or bool(unit) or signed or not near or max(abs(one.value) for one in near) > 1
    alike = [[one for one in group if labelled or is_percent(one) == percent] for group in groups]
    sign = "%" if percent and not unit and (signed or not (near or labelled)) else ""
    return Form(100.0 if percent else 1.0, _decimals(alike, 2), sign)


def is_percent(written: Written) -> bool:
    """Whether a metric's number is one of percent: by its sign, or because it is more than 1."""
    return written.percent or abs(written.value) > 1


def scaled_form(kind: str, groups: Sequence[Sequence[Written]], label: str, unit: str) -> Form | None:
    """The form of a number with a unit (parameters, GFLOPs, seconds, bytes) by its neighbours or its label.

    None where neither says one, and detui's own way of writing it is taken.
    """
    scales = SCALES[kind]
    if unit:
        return Form(1 / scales[unit.lower()], _decimals(groups, 2)) if unit.lower() in scales else None
    for group in groups:
        for one in group:
            if (found := one.unit.strip().lower()) in scales and (found or one.value > 1000 or kind == "flops"):
                return Form(1 / scales[found], _decimals(groups, 2), one.unit, one.grouped)
    said = re.findall(r"[(\[/] ?([a-z]+|小时|分钟?|秒) ?(?:[)\]]|$)|(gflops)", key(label))
    for word in (word for pair in said for word in pair if word in scales):
        return Form(1 / scales[word], _decimals(groups, 2))
    default = _DEFAULT.get(kind)
    return Form(1 / scales[default.strip().lower()], 2, default) if default else None


def plain_form(groups: Sequence[Sequence[Written]], decimals: int) -> Form:
    """The form of a bare number: losses, whole numbers."""
    grouped = any(one.grouped for group in groups for one in group)
    return Form(1.0, _decimals(groups, decimals) if decimals else 0, grouped=grouped)


def agrees(written: Written, form: Form, value: float) -> bool:
    """Whether a number that stands in a document is `value`, as far as its decimals go."""
    tolerance: float = 0.5000001 / 10**written.decimals
    return abs(value * form.factor - written.value) <= tolerance


def own_way(kind: str, value: float, language: str) -> str:
    """A duration or a memory as detui writes it where a document shows no form."""
    if kind == "bytes":
        return size(value)
    if language != "zh":
        return duration(value)
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} 小时 {minutes:02d} 分"
    return f"{minutes} 分 {seconds:02d} 秒" if minutes else f"{value:.1f} 秒"


def _decimals(groups: Sequence[Sequence[Written]], default: int) -> int:
    """What most numbers of the nearest group have that has exact ones."""
    for group in groups:
        exact = [one.decimals for one in group if not one.about]
        if exact:
            return Counter(exact).most_common(1)[0][0]
    return default


def fitted(raw: str, place: Hole, text: str) -> str:
    """A cell with `text` in its placeholder's place; a padded cell keeps its width where that is enough."""
    before, after = raw[: place.start], raw[place.end :]
    if place.start == place.end:  # an empty cell
        return f" {text}" + " " * max(1, _width(raw) - 1 - _width(text)) if raw else text
    core = before.lstrip(" ") + text + after.rstrip(" ")
    leading, trailing = len(before) - len(before.lstrip(" ")), len(after) - len(after.rstrip(" "))
    spare = _width(raw) - _width(core)
    if leading > 1 and trailing <= 1:  # set to the right
        return " " * max(1, spare - trailing) + core + " " * trailing
    return " " * leading + core + " " * (max(1, spare - leading) if trailing else 0)


def _width(text: str) -> int:
    """Columns on a terminal: two for a Chinese character."""
    return sum(0 if unicodedata.combining(s) else 2 if unicodedata.east_asian_width(s) in "WF" else 1 for s in text)
