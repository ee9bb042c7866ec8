"""Does a cell that holds something say what the runs say?"""

from __future__ import annotations

import re

from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.foreign import vocabulary as v
from detui.engine.record.foreign.labels import key
from detui.engine.record.foreign.numbers import Form, agrees, is_percent, parse, scaled_form
from detui.engine.record.foreign.values import Value
from detui.engine.record.text import plain

_WHOLE = re.compile(r"\d[\d,]*(?!\.?\d)")
_DONE = re.compile(r"已完成|完成|finished|done|completed", re.IGNORECASE)
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_TOKEN = re.compile(r"[a-z]*\d[\w.]*|[a-z]{3,}|[\u3400-\u9fff]+")
_COMPARED = ("fact/gpu", "fact/cpu", "fact/os", "fact/dataset", "fact/model", "fact/optimizer")


def corrected(text: str, value: Value, facts: ExperimentFacts) -> str | None:
    """What should stand in the place of `text`; None where it agrees with `value`, or cannot be compared with it."""
    if value.quantity == "fact/state":
        return _state(text, value, facts)
    if value.quantity == "fact/commit":
        found = _COMMIT.search(text.lower())
        return plain(value.text) if found and not _either(found[0], value.text.split()[0]) else None
    if value.quantity.startswith("fact/package/") or value.quantity == "fact/cuda":
        version, ours = _VERSION.search(text), _VERSION.search(value.text)
        return plain(value.text) if version and ours and not _either(version[0], ours[0]) else None
    if value.quantity in _COMPARED:
        return _words(text, value, facts)
    if value.kind == "whole":
        return _whole(text, value)
    return _number(text, value)


def _number(text: str, value: Value) -> str | None:
    """A measured number that is typed otherwise, in the unit and with the decimals that it is typed in."""
    written = parse(text)
    if written is None or written.about or value.kind == "text":
        return None
    if value.kind == "ratio":
        form: Form | None = Form(100.0 if is_percent(written) else 1.0, written.decimals, written.unit)
    elif value.kind in ("count", "flops", "seconds", "bytes", "latency"):
        form = scaled_form(value.kind, [[written]], "", "") if written.unit or value.kind == "count" else None
    else:
        form = Form(1.0, written.decimals, written.unit)
    if form is None or agrees(written, form, value.number):
        return None
    return form.write(value.number)


def _whole(text: str, value: Value) -> str | None:
    """The first whole number; all that are equal to it are corrected ("640×640")."""
    found = _WHOLE.search(text)
    if found is None or int(found[0].replace(",", "")) == round(value.number):
        return None
    right = f"{value.number:,.0f}" if "," in found[0] else f"{value.number:.0f}"
    return re.sub(rf"(?<![\d.]){re.escape(found[0])}(?![\d.])", right, text)


def _state(text: str, value: Value, facts: ExperimentFacts) -> str | None:
    over = all(run.terminal for run in facts.runs)
    wrong = v.STILL_TRAINING if over else _DONE
    if over and _DONE.search(text) and not all(run.finished for run in facts.runs):
        wrong = _DONE
    return wrong.sub(lambda _: value.text, text, count=1) if wrong.search(text) else None


def _words(text: str, value: Value, facts: ExperimentFacts) -> str | None:
    """Names agree when they have a word in common: one with a digit in it, where both have such words."""
    ours = value.text
    if value.quantity == "fact/dataset":
        ours += f" {facts.data_of(value.arm).get('name', '')}"
    one, two = (set(_TOKEN.findall(key(each))) for each in (text, ours))
    if not one or any(_either(a, b) for a in one for b in two if _digits(a) == _digits(b) or not _comparable(one, two)):
        return None
    return plain(value.text)


def _comparable(one: set[str], two: set[str]) -> bool:
    return any(map(_digits, one)) and any(map(_digits, two))


def _digits(token: str) -> bool:
    return any(sign.isdigit() for sign in token)


def _either(one: str, two: str) -> bool:
    """Whether one begins with the other."""
    return one.startswith(two) or two.startswith(one)
