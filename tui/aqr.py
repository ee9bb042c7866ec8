"""What a run reports of AQR, as the panel of its screen shows it: the latest numbers, and where they come from.

Two kinds of runs report it: those of the backend `torch`, by the names in docs/fusion.md, and watched or imported
programs that print AQR blocks (detui.engine.backends.command.aqr_blocks), whose maps are `bev` and `perspective`.
What a run does not report has no row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from detui.engine.backends.torch.gain import Bounds, within
from detui.engine.run.files import number
from detui.engine.run.history import History, Line
from detui.tui.language import tr
from detui.tui.output import DASH

PREFIX = "aqr/"
SIDES = ("lidar", "camera")
BACK = 10
"""A trend compares with the value so many lines before."""
_LOOKED = 2000
"""The latest statistics that are looked through: others may be reported more often."""
_PRINTED = {"lidar": {"map": "bev_map", "change": "bev_change"},
            "camera": {"map": "perspective_map", "change": "perspective_change"}}  # fmt: skip
"""What AQR forks print of a side, by what it is about."""

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of the panel, or two that belong together."""

    text: str
    past: tuple[float, ...] = ()
    """What its first number was, oldest first, the latest included: at most BACK + 1, the finite ones."""
    wrong: bool = False
    """Whether it is what must not be."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the panel."""

    label: str
    """In the language in use."""
    cells: tuple[Cell, ...]
    """Of LiDAR and camera; one alone where it is about both."""


@dataclass(frozen=True, slots=True)
class AqrPicture:
    """The panel."""

    step: int
    """The iteration that the numbers are of."""
    rows: tuple[Row, ...]


def side_names(side: str, what: str) -> tuple[str, ...]:
    """Return the names under which runs report something of a side, ours first: `map_max` of `lidar`."""
    about, _, rest = what.partition("_")
    if about in ("mean", "max", "relative"):  # ours is called mean_change, theirs bev_change_mean
        printed = f"{_PRINTED[side]['change']}_{about}" if rest == "change" else None
    else:
        printed = f"{_PRINTED[side]['map']}_{rest}" if about == "map" else None
    return (f"{PREFIX}{side}_{what}", *((f"{PREFIX}{printed}",) if printed else ()))


def aqr_picture(history: History) -> AqrPicture | None:
    """Return the panel as it is now, None for a run that reports nothing of AQR."""
    lines = list(islice(_reported(history.statistics), BACK + 1))[::-1]
    if not lines:
        return None
    past = [_values(line) for line in lines]
    return AqrPicture(lines[-1]["step"], tuple(row for row in _rows(past) if _says(row)))


def _reported(statistics: Sequence[Line]) -> Iterator[Line]:
    """Yield the lines about AQR, the latest first."""
    for line in islice(reversed(statistics), _LOOKED):
        if isinstance(line.get("step"), int) and any(name.startswith(PREFIX) for name in line.get("values", ())):
            yield line


def _values(line: Line) -> dict[str, float]:
    found = {name: number(raw) for name, raw in line["values"].items() if name.startswith(PREFIX)}
    return {name: value for name, value in found.items() if value is not None}


def _says(row: Row) -> bool:
    return any(cell.text != DASH for cell in row.cells)


def _rows(past: Sequence[Values]) -> Iterator[Row]:
    yield _row(tr("weight, mean ± std"), past, "weight_mean", _plain, _with_std)
    yield _row(tr("weight, min–max"), past, "weight_min", _plain, _range("weight_min", "weight_max"), trend=False)
    yield _row(tr("map maximum (raw)"), past, "map_max", _plain, _with_raw)
    yield _row(tr("change, all features"), past, "relative_change", _percent)
    yield _row(tr("change, active ones"), past, "relative_change_active", _percent)
    yield _row(tr("mean change"), past, "mean_change", _signed)
    yield _row(tr("largest change"), past, "max_change", _plain)
    yield _row(tr("active features"), past, "active_fraction", _percent)
    yield _row(tr("cells of weight 0"), past, "zero_fraction", _percent)
    yield _row(tr("cells clamped"), past, "clamped_fraction", _percent)
    yield Row(tr("gain, measured"), tuple(_gain(past[-1], side) for side in SIDES))
    yield Row(tr("gain, allowed"), (_bounds(past[-1]),))
    yield _both(tr("clamp now"), past, "clamp", _plain)
    yield _both(tr("queries of padding"), past, "padding_fraction", _percent)
    yield _both(tr("queries unseen"), past, "unseen_fraction", _percent)
    yield _both(tr("camera : LiDAR weight"), past, "balance", _plain)
    yield _both(tr("gradient norm"), past, "gradient_norm", _plain)
    yield _both(tr("queries"), past, "queries", _plain)
    yield _both(tr("processes, mean of"), past, "ranks", _plain)


Form = Callable[[float], str]
Wording = Callable[[Values, str, str], str]
"""Takes the values, the side, and the first number as text."""


def _row(
    label: str, past: Sequence[Values], what: str, form: Form, wording: Wording | None = None, *, trend: bool = True
) -> Row:
    cells = []
    for side in SIDES:
        line = _line(past, side_names(side, what))
        text = DASH if not line or line[-1] is None else form(line[-1])
        if wording is not None and text != DASH:
            text = wording(past[-1], side, text)
        cells.append(Cell(text, _finite(line) if trend and text != DASH else ()))
    return Row(label, tuple(cells))


def _both(label: str, past: Sequence[Values], what: str, form: Form) -> Row:
    line = [values.get(f"{PREFIX}{what}") for values in past]
    last = line[-1]
    return Row(label, (Cell(DASH) if last is None else Cell(form(last), _finite(line)),))


def _finite(line: Sequence[float | None]) -> tuple[float, ...]:
    """Return what a trend can be seen in: a training that came apart reports nan and inf."""
    return tuple(one for one in line if one is not None and math.isfinite(one))


def _line(past: Sequence[Values], names: Sequence[str]) -> list[float | None]:
    return [_of(values, names) for values in past]


def _of(values: Values, names: Sequence[str]) -> float | None:
    return next((values[name] for name in names if name in values), None)


def _with_std(values: Values, side: str, text: str) -> str:
    std = _of(values, side_names(side, "weight_std"))
    return text if std is None else f"{text} ±{std:.3f}"


def _with_raw(values: Values, side: str, text: str) -> str:
    raw = _of(values, side_names(side, "map_raw_max"))
    return text if raw is None else f"{text} ({_plain(raw)})"


def _range(low: str, high: str) -> Wording:
    def worded(values: Values, side: str, text: str) -> str:
        most = _of(values, side_names(side, high))
        return text if most is None else f"{text}–{_plain(most)}"

    return worded


def _gain(values: Values, side: str) -> Cell:
    """Return the gain that was measured, marked where its bounds are known and it does not keep to them."""
    low, high = (values.get(f"{PREFIX}{side}_gain_{end}") for end in ("min", "max"))
    if low is None or high is None:
        return Cell(DASH)
    allowed = _allowed(values)
    active = values.get(f"{PREFIX}{side}_active_fraction", 1.0) > 0
    wrong = allowed is not None and active and not within(low, high, allowed)
    return Cell(f"{_plain(low)}–{_plain(high)}{' !' if wrong else ''}", wrong=wrong)


def _bounds(values: Values) -> Cell:
    allowed = _allowed(values)
    return Cell(DASH if allowed is None else f"{_plain(allowed.low)}–{_plain(allowed.high)}")


def _allowed(values: Values) -> Bounds | None:
    low, high = values.get(f"{PREFIX}gain_low"), values.get(f"{PREFIX}gain_high")
    return None if low is None or high is None else Bounds(low, high)


def _plain(value: float) -> str:
    """Return a number so that it seldom changes its width; nan and inf are said as such."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e5:
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.01 <= abs(value) < 10 else f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if abs(value) >= 0.001 or not value else f"{value:+.1e}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


# Trends

UP, DOWN, LEVEL = 1, -1, 0
_NOTICED = 0.01
"""The part of a value by which it has to change to be said to."""


def trend(past: Sequence[float]) -> int | None:
    """Return whether a number rises, falls, or neither, against BACK lines before; None before there are two."""
    if len(past) < 2:
        return None
    first, last = past[0], past[-1]
    if abs(last - first) <= _NOTICED * max(abs(first), abs(last)):
        return LEVEL
    return UP if last > first else DOWN


def sparkline(past: Sequence[float]) -> str:
    """Return a number's past as blocks of eight heights; what hardly moves stays level."""
    if len(past) < 2:
        return ""
    low, high = min(past), max(past)
    if high - low <= _NOTICED * max(abs(low), abs(high)):
        return "▄" * len(past)
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * (one - low) / (high - low)))] for one in past)
