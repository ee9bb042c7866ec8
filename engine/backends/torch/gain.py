"""By how much AQR scales a feature at least and at most. Nothing heavy here: pages and records compute it, too.

With the residual weight r, the clamp c and a map m between 0 and c, a feature f becomes

    convex      f·r + f·m·(1 − r)    its gain lies between r and r + c·(1 − r)
    additive    f·r + f·m            its gain lies between r and r + c

The first is what is usually written down, the second what the original code computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Mode = Literal["convex", "additive"]


class Bounds(NamedTuple):
    """The smallest and the largest gain; both are reached."""

    low: float
    high: float


def map_factor(residual_weight: float, mode: Mode) -> float:
    """What a map is multiplied by before it is added to the residual weight."""
    return 1 - residual_weight if mode == "convex" else 1.0


def gain_bounds(max_weight_clamp: float, residual_weight: float, mode: Mode) -> Bounds:
    """The tight bounds of the gain, by the formulas above: what a map of 0, and a map of the clamp, come to."""
    return Bounds(residual_weight, residual_weight + max_weight_clamp * map_factor(residual_weight, mode))


ROUNDING = 8
"""Units in the last place of a float32 that a measured gain may lie outside of its bounds."""
_UNIT = 2.0**-23


def within(low: float, high: float, bounds: Bounds) -> bool:
    """Whether gains measured from `low` to `high` keep to their bounds, but for rounding; NaN does not."""
    slack = ROUNDING * _UNIT * max(bounds.high, 1.0)
    return bounds.low - slack <= low and high <= bounds.high + slack


def configured_bounds(config: Mapping[str, Any]) -> Bounds | None:
    """The bounds of an arm's whole configuration of the backend `torch`; None where AQR is off, or there is none."""
    aqr = (config.get("model") or {}).get("aqr")
    if not aqr or aqr["weights"] == "off":
        return None
    return gain_bounds(aqr["max_weight_clamp"], aqr["residual_weight"], aqr["mode"])


@dataclass(frozen=True, slots=True)
class ArmGain:
    """What one arm's AQR can do to a feature."""

    arm: str
    weights: str
    """`learned`, `constant` or `off`; where it is off, or there is no AQR, all that follows is None."""
    clamp_from: float | None
    """Where the clamp begins, if it grows."""
    clamp: float | None
    residual: float | None
    mode: Mode | None
    low: float | None
    """The smallest gain."""
    high: float | None
    """The largest gain, with the clamp that is reached in the end."""
    same_as: str | None
    """The first arm before it with the same AQR, or else with the same clamp, residual weight and mode; or None."""
    equal: bool
    """Whether all of AQR is as in `same_as`, and not only what bounds the gain."""


def gain_table(arms: Mapping[str, Mapping[str, Any]]) -> list[ArmGain]:
    """One row for each arm of the backend `torch`, in order. `arms`: the whole configurations by the arms' names."""
    found: list[ArmGain] = []
    bounded: dict[tuple[Any, ...], str] = {}
    whole: list[tuple[Any, str]] = []
    for name, config in arms.items():
        aqr: Mapping[str, Any] = (config.get("model") or {}).get("aqr") or {}
        bounds = configured_bounds(config)
        if bounds is None:
            found.append(ArmGain(name, "off", None, None, None, None, None, None, None, False))
            continue
        settings = (aqr["clamp_from"], aqr["max_weight_clamp"], aqr["residual_weight"], aqr["mode"])
        twin = next((before for other, before in whole if other == aqr), None)
        same = twin or bounded.get(settings)
        found.append(ArmGain(name, aqr["weights"], *settings, *bounds, same, twin is not None))
        whole.append((aqr, name))
        bounded.setdefault(settings, name)
    return found


def gain_json(arms: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [asdict(row) for row in gain_table(arms)]
