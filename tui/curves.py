"""The curves of several runs, read in a thread as they grow: one line a run, or the mean of an arm's seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from textual.message import Message

from detui.engine.errors import DetuiError
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, RunFollower
from detui.tui.axis import end_of, of_epochs, of_steps, steps_per_epoch
from detui.tui.glance import Glance, glance
from detui.tui.widgets.palette import run_colours
from detui.tui.widgets.series import Series

Floats = NDArray[np.float64]
LOSS = "train/loss"
"""The whole loss: as the worker measured it, else its terms added."""
ACCURACY = "train/acc"
"""How many of its proposals MMDetection's box head classified rightly, of 100: beside losses it would dwarf them."""
AP_METRICS = ("val/AP", "val/mask_AP", "val/AP50", "val/mask_AP50", "val/AP75", "val/mask_AP75", "val/AP_small",
              "val/AP_medium", "val/AP_large", "val/mask_AP_small", "val/mask_AP_medium", "val/mask_AP_large",
              "val/mAP", "val/NDS")  # fmt: skip
"""What our evaluator measures of boxes and, beside it, of masks, in the order in which it is shown."""
_PATIENCE = 0.2
"""Seconds of reading after which what there is is shown: a long run comes in several parts, the first at once."""
_SHARE = 3
"""How much longer reading may take than making the curves took: they are made anew of all there is each time."""


@dataclass(frozen=True, slots=True)
class Member:
    """One run of the comparison, and how it is told from the others."""

    run: RunDir
    name: str
    """With its experiment where several are compared."""
    arm: str
    """Likewise."""
    letter: str
    colour: int

    @property
    def ref(self) -> str:
        """What commands call the run."""
        return f"{self.run.experiment_dir.name}/{self.run.name}"


def members(runs: Sequence[RunDir]) -> list[Member]:
    """Return the runs with letters and colours that they keep. One whose spec cannot be read is its own arm."""
    refs = [f"{run.experiment_dir.name}/{run.name}" for run in runs]
    several = len({run.experiment_dir for run in runs}) > 1
    colours = run_colours(refs)
    found = []
    for place, (run, ref) in enumerate(zip(runs, refs, strict=True)):
        prefix = f"{run.experiment_dir.name}/" if several else ""
        letter = ascii_lowercase[place % len(ascii_lowercase)]
        found.append(Member(run, f"{prefix}{run.name}", f"{prefix}{_arm(run)}", letter, colours[ref]))
    return found


def _arm(run: RunDir) -> str:
    try:
        return run.spec().arm
    except (DetuiError, OSError):
        return run.name


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants to see."""

    members: tuple[Member, ...]
    metric: str = LOSS
    axis: str = "step"
    """One of `detui.tui.axis.AXES`."""
    by_arm: bool = False
    """The mean of each arm's seeds instead of a line for each run."""


@dataclass(frozen=True, slots=True)
class Curves:
    """One reading."""

    wish: Wish
    """As it could be fulfilled: a metric that no run has is another one, an axis that a run lacks is steps."""
    metrics: tuple[str, ...]
    """What the runs measured, in the order in which a key goes through it."""
    glances: Mapping[str, Glance]
    """By ref."""
    latest: Mapping[str, float]
    """Last value of the metric, by ref."""
    series: tuple[Series, ...] | None
    """The lines; None where nothing changed since the last reading with the same wish."""
    x_most: float | None
    """Where the x axis will end, if that is known."""
    behind: bool
    """Whether there is more to be read at once."""


class CurvesRead(Message):
    """The runs of a comparison were read."""

    def __init__(self, curves: Curves) -> None:
        super().__init__()
        self.curves = curves
        self.more = curves.behind


class CurveReader:
    """Follows several runs."""

    def __init__(self) -> None:
        self._followers: dict[str, RunFollower] = {}
        self._last: Wish | None = None
        self._patience = 0.0  # a part of each run first, and a picture

    def read(self, wish: Wish) -> Curves:
        """Read what is new, and return what is wished. Raises FormatError where a newer detui wrote a run."""
        changed, behind = self._poll(wish.members)
        histories = {member.ref: self._followers[member.ref].history for member in wish.members}
        metrics = _metrics(list(histories.values()))
        wanted = replace(wish, metric=wish.metric if wish.metric in metrics or not metrics else metrics[0])
        wanted = replace(wanted, axis=_axis(list(histories.values()), wanted))
        anything = changed or wanted != self._last
        self._last = wanted
        began = time.monotonic()
        points = (
            {ref: curve(history, wanted.metric, wanted.axis) for ref, history in histories.items()} if anything else {}
        )
        ends = [end_of(history, wanted.axis) for history in histories.values()]
        series = _series(wanted, points) if anything else None
        self._patience = max(_PATIENCE, _SHARE * (time.monotonic() - began))
        return Curves(
            wish=wanted,
            metrics=metrics,
            glances={member.ref: glance(member.run, {}) for member in wish.members},
            latest={ref: float(y[-1]) for ref, (_, y) in points.items() if len(y)},
            series=series,
            x_most=max((end for end in ends if end is not None), default=None) if None not in ends else None,
            behind=behind,
        )

    def _poll(self, chosen: Sequence[Member]) -> tuple[bool, bool]:
        """Read parts of the runs until the time is up. Returns whether there was anything, and if there is more."""
        changed, until = False, time.monotonic() + self._patience
        waiting = [one for one in chosen if self._follow(one)]
        while waiting:
            changed = True
            if time.monotonic() > until:
                break
            waiting = [one for one in waiting if self._follow(one)]
        return changed, bool(waiting)

    def _follow(self, member: Member) -> bool:
        follower = self._followers.setdefault(member.ref, RunFollower(member.run))
        try:
            return follower.poll()
        except (DetuiError, OSError):
            return False  # its line in the list says what is the matter; the others are shown


def _metrics(histories: Sequence[History]) -> tuple[str, ...]:
    """Return what the runs measured: whole loss, its terms, our metrics without those of classes, learning rates."""
    steps = list(dict.fromkeys(name for history in histories for name in history.names()))
    # A name without any value: nothing of that size among the images.
    epochs = list(dict.fromkeys(n for one in histories for n in one.epoch_names() if one.epoch_series(n)[0]))
    losses = [name for name in steps if name.startswith("train/")]
    terms = [name for name in losses if name != LOSS]
    ours = [name for name in epochs if name.startswith("val/") and name.count("/") == 1]
    known = [
        *([LOSS] if losses else []),
        *(terms if len(losses) > 1 else []),
        *[name for name in AP_METRICS if name in ours],
        *[name for name in ours if name not in AP_METRICS],
        *[name for name in steps if name.startswith("lr/")],
    ]
    return tuple(known)


def _axis(histories: Sequence[History], wish: Wish) -> str:
    """Return the wished axis, or one that all runs have: not all say how many steps an epoch takes."""
    each = [steps_per_epoch(history) for history in histories if history.begin]
    if None not in each:
        return wish.axis
    if wish.metric.startswith("val/"):
        return "epoch"
    return "step" if wish.axis == "epoch" else wish.axis


def curve(history: History, metric: str, axis: str) -> tuple[Floats, Floats]:
    """Return where on an axis a metric was measured and its values, both (n,)."""
    if metric.startswith("val/"):
        epochs, values = history.epoch_series(metric)
        return of_epochs(history, np.asarray(epochs, dtype=np.float64), axis), np.asarray(values, dtype=np.float64)
    steps, y = _whole_loss(history) if metric == LOSS else of_name(history, metric)
    return of_steps(history, steps, axis), y


def of_name(history: History, name: str, each: int = 1) -> tuple[Floats, Floats]:
    """Return the steps at which something was measured, and its values, both (n,). `each`: one of so many of them."""
    rows, values = history.steps.column(name)
    steps, _ = history.steps.clock()
    # Copies: an array that numpy looks into cannot grow. They take a hundredth of the time that lists would.
    if len(rows) == len(steps):
        where = np.array(steps[::each], dtype=np.float64)
    else:
        where = np.array(steps, dtype=np.float64)[np.array(rows[::each], dtype=np.int64)]
    return where, np.array(values[::each], dtype=np.float64)


def _whole_loss(history: History) -> tuple[Floats, Floats]:
    names = history.names()
    if LOSS in names:
        return of_name(history, LOSS)
    terms = [of_name(history, name) for name in names if name.startswith("train/loss_")]
    if not terms:
        return np.empty(0), np.empty(0)
    steps, total = terms[0]
    for other, values in terms[1:]:
        if not np.array_equal(steps, other):  # a sum without one of the terms would be a jump that nobody trained
            steps, mine, theirs = np.intersect1d(steps, other, assume_unique=True, return_indices=True)
            total, values = total[mine], values[theirs]
        total = total + values
    return steps, total


def _series(wish: Wish, points: Mapping[str, tuple[Floats, Floats]]) -> tuple[Series, ...]:
    if not wish.by_arm:
        return tuple(Series(one.name, *points[one.ref], colour=one.colour, letter=one.letter) for one in wish.members)
    found = []
    for arm in arms(wish.members):
        curves = [points[ref] for ref in arm.refs if len(points[ref][0])]
        x, mean, spread, count = mean_of(curves)
        found.append(
            Series(f"{arm.name} n={_counted(count)}", x, mean, mean - spread, mean + spread, arm.colour, arm.letter)
        )
    return tuple(found)


def _counted(count: Floats) -> str:
    """Return how many seeds a mean is of: "3", or "1-3" where some have got further than others."""
    least, most = (count.min(), count.max()) if len(count) else (0, 0)
    return f"{most:.0f}" if least == most else f"{least:.0f}-{most:.0f}"


@dataclass(frozen=True, slots=True)
class Arm:
    """The runs of one arm, and how their mean is told from others."""

    name: str
    refs: tuple[str, ...]
    letter: str
    colour: int


def arms(chosen: Sequence[Member]) -> list[Arm]:
    """Return the arms of some runs in order, each with the letter and colour of its place."""
    names = list(dict.fromkeys(member.arm for member in chosen))
    refs = {name: tuple(one.ref for one in chosen if one.arm == name) for name in names}
    return [Arm(name, refs[name], ascii_lowercase[place % 26], place) for place, name in enumerate(names)]


def mean_of(curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, mean, standard deviation (ddof=1) and number of curves that have reached x, each (n,).

    Curves measured at other x are interpolated. Where a curve is not finite the mean is not: a seed that diverged must
    not vanish from it. One curve alone has no deviation: NaN.
    """
    longest = max((x for x, _ in curves), key=len, default=np.empty(0))
    aligned = all(np.array_equal(x, longest[: len(x)]) for x, _ in curves)
    grid = longest if aligned else np.unique(np.concatenate([x for x, _ in curves]))
    count, total = np.zeros(len(grid)), np.zeros(len(grid))
    parts = []
    for x, y in curves:
        first, last = np.searchsorted(grid, x[0]), int(np.searchsorted(grid, x[-1], side="right"))
        values = y if aligned else np.interp(grid[first:last], x, y)
        parts.append((slice(first, last), values))
        count[first:last] += 1
        total[first:last] += values
    with np.errstate(invalid="ignore", divide="ignore"):  # infinite values, and places that no curve has reached
        mean, squares = total / count, np.zeros(len(grid))
        for where, values in parts:
            squares[where] += (values - mean[where]) ** 2
        spread = np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
    return grid, mean, spread, count
