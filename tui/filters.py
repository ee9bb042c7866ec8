"""The filter of the list of runs: plain words and `field:value`, all of which must fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detui.tui.glance import FRAMES_METRIC, METRIC, Glance
from detui.tui.output import percent

Fits = Callable[[Glance, Mapping[str, Any]], bool]


def _percent(run: Glance, metric: str) -> float | None:
    return 100 * run.metric if run.measures == metric and run.metric is not None else None


_NUMBERS: dict[str, Callable[[Glance], float | None]] = {
    "epoch": lambda run: float(run.epoch),
    "loss": lambda run: run.loss,
    "ap": lambda run: _percent(run, METRIC),
    "nds": lambda run: _percent(run, FRAMES_METRIC),
}
"""Fields that can be compared: `ap:>30` (in percent), `loss:<0.5`."""
_TEXTS: dict[str, Callable[[Glance, Mapping[str, Any]], str]] = {
    "state": lambda run, about: run.word,
    "arm": lambda run, about: run.name.rpartition("-s")[0],
    "seed": lambda run, about: run.name.rpartition("-s")[2],
    "run": lambda run, about: run.name,
    "experiment": lambda run, about: run.experiment,
    "recipe": lambda run, about: run.recipe,
    "profile": lambda run, about: run.profile,
    "device": lambda run, about: " ".join(run.now.devices) if run.now else "",
    "name": lambda run, about: str(about.get("name") or ""),
    "tag": lambda run, about: " ".join(map(str, about.get("tags") or ())),
    "note": lambda run, about: " ".join(run.notes),
}
FIELDS = (*_TEXTS, *_NUMBERS)
"""What may stand before the colon."""


def parse(query: str) -> Fits:
    """Return what decides whether a run fits. Words and texts are looked for anywhere, in any case of letters.

    Raises ValueError, in words for a person, where a field is unknown or a number is none.
    """
    parts = [_part(word) for word in query.lower().split()]
    return lambda run, about: all(part(run, about) for part in parts)


def _part(word: str) -> Fits:
    field, colon, value = word.partition(":")
    if not colon:
        return lambda run, about: any(word in text(run, about).lower() for text in _TEXTS.values())
    if field in _NUMBERS:
        return _number(field, value)
    if field not in _TEXTS:
        raise ValueError(f"{field}: {', '.join(FIELDS)}")
    if field == "seed":  # 1 is not 10
        return lambda run, about: not value or _TEXTS[field](run, about) == value
    return lambda run, about: value in _TEXTS[field](run, about).lower()


def _number(field: str, value: str) -> Fits:
    sign, text = (value[0], value[1:]) if value[:1] in ("<", ">") else ("", value)
    if not text:
        return lambda run, about: True  # still being typed
    try:
        wanted = float(text)
    except ValueError:
        raise ValueError(f"{field}:{value}: >{percent(0.3)}") from None

    def fits(run: Glance, about: Mapping[str, Any]) -> bool:
        found = _NUMBERS[field](run)
        if found is None:
            return False
        return found < wanted if sign == "<" else found > wanted if sign == ">" else found == wanted

    return fits
