"""Whole stretches of `step` lines turned into columns at once: a run of a million steps is read in seconds.

A writer spells all its step lines alike, but for the numbers. The first such
line of a block of text gives a form: the text that stays, and places for
scalars. One regular expression takes the scalars out of all lines of that
form, and json reads each column of them in one call. What has another form is
given back as text, for the reader that takes a line at a time.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from detui.engine.run.files import number
from detui.engine.run.steps import StepBlock

_BLOCK = 128 << 10
"""Bytes taken at once: no call into C, which keeps other threads waiting, takes longer than about a millisecond."""
_SHORT = 4 << 10
"""Bytes below which lines are read one by one: a run that is followed brings a few at a time."""
_ODD = 4
"""A form is of use where at most one line in so many has another."""
_SCALAR = re.compile(rb'(?<=[: ])(?:-?\d[-+.\deE]*|null|"NaN"|"-?Infinity")(?=[,} ])')
_TOKEN = rb'([-+.0-9eE"nulNaIfity]*)'
"""Holds every number, `null` and the words for what is not finite, but neither `true` nor `false`. It holds nothing
that separates values or escapes: tokens with commas between them are as many JSON values, or none."""
_KEYS = {"kind", "t", "step", "epoch", "stage", "values"}
_MARKED = ("t", "step", "epoch")
_TRIED = 8
"""Lines of a block that are looked at for a form."""


class BlockReader:
    """Splits the text of a line file into step lines as columns, and text that has to be read line by line."""

    def __init__(self) -> None:
        self._form: _Form | None = None

    def parts(self, content: bytes) -> Iterator[StepBlock | bytes]:
        """Yield the parts of `content`, which are whole lines, in order."""
        if len(content) < _SHORT:
            yield content
            return
        start = 0
        while start < len(content):
            end = content.find(b"\n", start + _BLOCK) + 1 or len(content)
            yield from self._block(content[start:end])
            start = end

    def _block(self, block: bytes) -> list[StepBlock | bytes]:
        found = None if self._form is None else self._form.parts(block)
        if found is None and (form := _learnt(block, self._form)) is not None:
            self._form = form
            found = form.parts(block)
        return [block] if found is None else found


class _Form:
    """How step lines are spelt: what stands around their scalars, and what each scalar is."""

    def __init__(self, around: list[bytes], places: list[tuple[bool, str]], stage: Any) -> None:
        self.around = around
        self._places = places
        self._stage = stage
        line = _TOKEN.join(re.escape(text) for text in around)
        self._lines = re.compile(rb"(?:" + line + rb"|(.*\n))")

    def parts(self, block: bytes) -> list[StepBlock | bytes] | None:
        """Return the parts of a block; None where the form is not that of most of its lines."""
        *columns, others = zip(*self._lines.findall(block), strict=True)  # one match a line: one begins where one ends
        odd = [row for row, text in enumerate(others) if text] if any(others) else []
        if len(odd) * _ODD > len(others):
            return None
        found: list[StepBlock | bytes] = []
        start = 0
        try:
            for row in (*odd, len(others)):
                if row > start:
                    found.append(self._steps([column[start:row] for column in columns]))
                if row < len(others):
                    found.append(others[row])
                start = row + 1
        except (ValueError, TypeError, OverflowError):  # no JSON, or a step that is no whole number
            return [block]
        return found

    def _steps(self, columns: Sequence[tuple[bytes, ...]]) -> StepBlock:
        """Return lines as columns. Raises ValueError, TypeError or OverflowError where not all of them can be."""
        lines = len(columns[0])
        found: dict[str, list[Any]] = {}
        values: dict[str, Sequence[float | None]] = {}
        for (measured, name), tokens in zip(self._places, columns, strict=True):
            read = _read(tokens)
            if measured:
                values[name] = _numbers(read)
            else:
                found[name] = read
        zeros = [0] * lines
        return StepBlock(
            step=array("q", found["step"]),
            epoch=_whole(found.get("epoch", zeros)),
            t=_seconds(found.get("t", zeros)),
            stage=self._stage,
            values=values,
        )


def _read(tokens: tuple[bytes, ...]) -> list[Any]:
    """Return what json reads from tokens. Raises ValueError where one of them is not a JSON value."""
    first = tokens[0]
    if tokens.count(first) == len(tokens):  # a learning rate, an epoch: often the same for long
        return [json.loads(first)] * len(tokens)
    found: list[Any] = json.loads(b"[" + b",".join(tokens) + b"]")
    if len(found) != len(tokens):  # a comma went into a text that one token opened and another closed
        raise ValueError(first)
    return found


def _numbers(found: list[Any]) -> Sequence[float | None]:
    try:
        return array("d", found)
    except TypeError:  # null, or a word
        return [number(value) for value in found]


def _whole(found: list[Any]) -> array[int]:
    try:
        return array("q", found)
    except TypeError:
        return array("q", [value if isinstance(value, int) else 0 for value in found])


def _seconds(found: list[Any]) -> array[float]:
    t = _numbers(found)
    return t if isinstance(t, array) else array("d", [0.0 if value is None else value for value in t])


def _learnt(block: bytes, known: _Form | None) -> _Form | None:
    """Return the form of the first step line of a block, unless that is the known one."""
    for line in block.split(b"\n", _TRIED)[:_TRIED]:
        around = _SCALAR.split(line + b"\n")
        places = _places(around)
        if places is not None:
            return None if known is not None and known.around == around else _Form(around, *places)
    return None


def _places(around: list[bytes]) -> tuple[list[tuple[bool, str]], Any] | None:
    """Return what stands where a line was split: if it is a measured value, and its name; and the stage.

    None where this is no step line, or where it was split at other places than its scalars.
    """
    found = [_marked(around, salt) for salt in (0, 1)]  # twice: a number of the line's own is not taken for a mark
    return found[0] if found[0] == found[1] else None


def _marked(around: list[bytes], salt: int) -> tuple[list[tuple[bool, str]], Any] | None:
    marks = [2 * place + salt for place in range(len(around) - 1)]
    text = b"".join(part for pair in zip(around, (b"%d" % mark for mark in marks), strict=False) for part in pair)
    try:
        line = json.loads(text + around[-1])
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("kind") != "step" or not line.keys() <= _KEYS:
        return None
    values = line.get("values")
    if not isinstance(values, dict) or "step" not in line:
        return None
    leaves: list[tuple[tuple[bool, str], Any]] = []
    for name, value in line.items():
        if name == "values":
            leaves += (((True, key), item) for key, item in values.items() if number(item) is not None)
        elif name in _MARKED:
            leaves.append(((False, name), value))
    if [value for _, value in leaves] != marks or number(line.get("stage")) is not None:
        return None
    return [place for place, _ in leaves], line.get("stage")
