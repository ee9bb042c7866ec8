"""Does what one arm gains over another depend on the data? Arms crossed with data sets, seeds in each cell.

The interaction is a difference of differences: (arm − reference) on one data
set minus (arm − reference) on another. Its interval is Welch's for a contrast
of four independent means, with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detui.engine.analysis.seeds import CONFIDENCE, FEWEST_SEEDS, NO_SPREAD, Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A weighted sum of the means of several groups."""

    value: float
    interval: Interval | None
    """At 95 %; None with fewer than two points in any group."""
    degrees: float | None
    """Satterthwaite's degrees of freedom of the interval; None without one, and where no group has any spread."""
    n: tuple[int, ...]
    """Points of each group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One arm on one data set, of one experiment or another."""

    name: str
    """What it is called where it comes from: `mnv4-crowded`, with its experiment where several are compared."""
    arm: str
    """The arm as the recipe names it, the same on every data set: `mnv4`."""
    data_set: str
    """What the data set goes by; two cells with one name are on the same data."""
    points: Mapping[int, float]
    """Seed → the metric, of finished runs."""
    unfinished: tuple[str, ...] = ()
    """Runs that are planned and did not get to their end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interaction:
    """Whether the difference between an arm and the reference arm differs between two data sets."""

    arm: str
    reference: str
    data_set: str
    """The data set whose difference the other one's is subtracted from."""
    against: str
    cells: tuple[Cell, Cell, Cell, Cell] | None
    """Arm and reference on `data_set`, arm and reference on `against`; None where one of the four is absent."""
    contrast: Contrast | None
    """(arm − reference on `data_set`) − (arm − reference on `against`); None where a cell has no points."""
    contains_zero: bool | None
    """What the interval says; None where nothing is concluded."""
    reason: str
    """Why nothing is concluded: "missing", "runs unfinished" or "too few seeds"; "" where something is."""

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Runs of the four cells that did not get to their end."""
        return tuple(name for cell in self.cells or () for name in cell.unfinished)


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossed:
    """Arms by data sets."""

    arms: tuple[str, ...]
    """The reference first."""
    data_sets: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    """Arm and data set → what was measured there; no entry where the arm has no run on the data."""
    interactions: tuple[Interaction, ...]
    """Of each further arm, the first data set against each further one."""


def contrast(groups: Sequence[Sequence[float]], weights: Sequence[float]) -> Contrast:
    """The sum of weight × mean over independent groups, with its 95 % interval.

    With L = Σ cᵢ·x̄ᵢ and vᵢ = cᵢ²·sᵢ²/nᵢ, the interval is L ± t·√(Σ vᵢ), t being the 97.5 % point of Student's t with
    ν = (Σ vᵢ)² / Σ (vᵢ²/(nᵢ − 1)) degrees of freedom: F. E. Satterthwaite, An approximate distribution of estimates of
    variance components, Biometrics Bulletin 2 (1946) 110–114; B. L. Welch, The generalization of "Student's" problem
    when several different population variances are involved, Biometrika 34 (1947) 28–35. For the weights 1 and −1 it
    is Welch's interval of two means. Raises ValueError for a group without points, or as many weights as not.
    """
    if len(groups) != len(weights) or not all(groups):
        raise ValueError("every group needs a weight and at least one point")
    value = math.fsum(weight * math.fsum(group) / len(group) for weight, group in zip(weights, groups, strict=True))
    n = tuple(map(len, groups))
    if min(n) < 2:
        return Contrast(value=value, interval=None, degrees=None, n=n)
    spreads = [statistics.variance(group) for group in groups]
    if max(spreads) < NO_SPREAD:
        value = value if abs(value) > math.sqrt(NO_SPREAD) else 0.0  # equal numbers, but for rounding
        return Contrast(value=value, interval=(value, value), degrees=None, n=n)
    from scipy.stats import t

    parts = [weight**2 * spread / size for weight, spread, size in zip(weights, spreads, n, strict=True)]
    degrees = sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, n, strict=True))
    half = float(t.ppf(0.5 + CONFIDENCE / 2, degrees)) * math.sqrt(sum(parts))
    return Contrast(value=value, interval=(value - half, value + half), degrees=degrees, n=n)


def cross(cells: Sequence[Cell]) -> Crossed:
    """Arms and data sets in the order in which they first appear; the first arm is the reference.

    The cells may be of one experiment or of several of one recipe. Raises ValueError where two cells are the same arm
    on the same data: whose seeds those are is for the caller to say.
    """
    found: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        key = (cell.arm, cell.data_set)
        if key in found:
            raise ValueError(f"{found[key].name} and {cell.name} are both {cell.arm} on {cell.data_set}")
        found[key] = cell
    arms = tuple(dict.fromkeys(cell.arm for cell in cells))
    data_sets = tuple(dict.fromkeys(cell.data_set for cell in cells))
    told = [_interaction(found, arm, arms[0], (data_sets[0], against)) for arm in arms[1:] for against in data_sets[1:]]
    return Crossed(arms=arms, data_sets=data_sets, cells=found, interactions=tuple(told))


def _interaction(
    found: Mapping[tuple[str, str], Cell], arm: str, reference: str, data_sets: tuple[str, str]
) -> Interaction:
    first, second = data_sets
    four = [found.get((who, where)) for where in data_sets for who in (arm, reference)]
    known = [cell for cell in four if cell is not None]
    cells = (known[0], known[1], known[2], known[3]) if len(known) == len(four) else None
    seen = None
    if cells and all(cell.points for cell in cells):
        seen = contrast([list(cell.points.values()) for cell in cells], (1, -1, -1, 1))
    unfinished = any(cell.unfinished for cell in known)
    reason = _undecided(seen, unfinished)
    interval = seen.interval if seen else None
    zero = interval[0] <= 0 <= interval[1] if interval and not reason else None
    return Interaction(arm=arm, reference=reference, data_set=first, against=second, cells=cells, contrast=seen,
                       contains_zero=zero, reason=reason)  # fmt: skip


def _undecided(seen: Contrast | None, unfinished: bool) -> str:
    if unfinished:
        return "runs unfinished"
    if seen is None:
        return "missing"
    return "too few seeds" if min(seen.n) < FEWEST_SEEDS or seen.interval is None else ""
