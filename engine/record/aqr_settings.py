"""How AQR was configured in each arm, and by how much it may scale a feature, beside by how much it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.backends.torch.gain import Bounds, Mode, configured_bounds, gain_bounds
from detui.engine.record.by_iteration import Group, at_step, groups, sources
from detui.engine.record.facts import RunFacts
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, plain

OWN = "torch"
"""The backend whose configurations are complete: of another, what is not stated is not known."""
SENSORS = ("lidar", "camera")
SLACK = 1e-5
"""Relative: a gain is measured as a quotient of rounded numbers."""
_STATED = ("weights", "mode", "kernel", "sigma", "noised_drawn")
"""Names that say enough only within a section of AQR."""
_MODES: tuple[Mode, ...] = ("convex", "additive")


@dataclass(frozen=True, slots=True)
class Violation:
    """A measured gain outside of its bounds."""

    sensor: str
    iteration: int
    measured: Bounds
    allowed: Bounds
    samples: tuple[int, int]
    """In how many of the run's samples it was so of this sensor, and of how many."""


def settings_of(config: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """What is known of AQR's settings in an arm's configuration, by their names in `model.aqr`.

    Of another backend those fields alone whose names or places leave no doubt.
    """
    if backend == OWN:
        return dict((config.get("model") or {}).get("aqr") or {})
    found: dict[str, Any] = {}
    for field, value in flatten(config).items():
        *place, name = field.split(".")
        within = any(part.startswith(("aqr", "modulator", "renderer")) for part in place)
        certain = name in ("max_weight_clamp", "residual_weight")
        if value is not None and (certain or (within and name in _STATED)):
            found[name] = value
    if found.get("mode") not in _MODES:
        found.pop("mode", None)
    return found


def bounds_by_mode(known: Mapping[str, Any]) -> dict[Mode, Bounds]:
    """The bounds of the gain for the mode of these settings, for both where it is not known; {} where too little is."""
    clamp, residual = known.get("max_weight_clamp"), known.get("residual_weight")
    if not isinstance(clamp, int | float) or not isinstance(residual, int | float) or known.get("weights") == "off":
        return {}
    modes = [mode for mode in _MODES if known.get("mode") in (None, mode)]
    return {mode: gain_bounds(clamp, residual, mode) for mode in modes}


def violations(run: RunFacts, configured: Bounds | None) -> Iterator[Violation]:
    """For each sensor the first sample outside of the bounds: those told with the sample, or the configured ones."""
    for sensor in SENSORS:
        outside = list(_outside(run, sensor, configured))
        if outside:
            samples = len(outside), len(run.statistics[f"aqr/{sensor}_gain_min"].steps)
            yield Violation(sensor, *outside[0], samples)


def _outside(run: RunFacts, sensor: str, configured: Bounds | None) -> Iterator[tuple[int, Bounds, Bounds]]:
    lows = run.statistics.get(f"aqr/{sensor}_gain_min")
    for step, low in zip(lows.steps, lows.values, strict=True) if lows else ():
        high, least, most, active = (
            at_step(run, f"aqr/{name}", step)
            for name in (f"{sensor}_gain_max", "gain_low", "gain_high", f"{sensor}_active_fraction")
        )
        allowed = configured if least is None or most is None else Bounds(least, most)
        if high is None or allowed is None or active == 0:  # features that are all zero have no gain
            continue
        slack = SLACK * max(allowed.high, 1.0)
        if low < allowed.low - slack or high > allowed.high + slack:
            yield step, Bounds(low, high), allowed


class AqrSettings:
    """The tables of configurations and of gains, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def _config(self, arm: str) -> Mapping[str, Any]:
        return next((one.get("config") or {} for one in self.facts.info["arms"] if one["name"] == arm), {})

    def of(self, arm: str) -> dict[str, Any]:
        """What is known of AQR's settings in an arm."""
        return settings_of(self._config(arm), str(self.facts.info.get("backend")))

    @property
    def complete(self) -> bool:
        """Whether the settings of every arm are known whole."""
        return self.facts.info.get("backend") == OWN

    def table(self) -> Table:
        """A row an arm: its settings, and the bounds of the gain that follow from them."""
        words = self.words
        head = [words("arm"), words("aqr weights"), words("aqr clamp"), words("aqr residual"), words("aqr mode"),
                words("aqr kernel"), words("aqr further"), words("aqr bounds")]  # fmt: skip
        return Table(head, [self._row(arm) for arm in self.facts.arms], frozenset({2, 3}))

    def _row(self, arm: str) -> list[str]:
        known, words = self.of(arm), self.words
        if known.get("weights") == "off":
            return [code(arm), words("aqr off"), *repeat("–", 5), words("aqr unscaled")]
        cells = [self._weights(known), self._clamp(known), self._number(known, "residual_weight"),
                 self._word(known, "mode"), self._kernel(known), self._further(known)]  # fmt: skip
        return [code(arm), *cells, self.bounds(arm)]

    def _word(self, known: Mapping[str, Any], name: str) -> str:
        return plain(self.words.known(f"aqr {known[name]}").removeprefix("aqr ")) if name in known else self._unknown

    def _number(self, known: Mapping[str, Any], name: str) -> str:
        value = known.get(name)
        return _short(value) if isinstance(value, int | float) else self._unknown

    @property
    def _unknown(self) -> str:
        return self.words("unknown")

    def _weights(self, known: Mapping[str, Any]) -> str:
        text = self._word(known, "weights")
        if "lidar" not in known or "camera" not in known:
            return text
        start = "aqr starting" if known["weights"] == "learned" else "aqr being"
        return self.words(start, text, _short(known["lidar"]), _short(known["camera"]))

    def _clamp(self, known: Mapping[str, Any]) -> str:
        last, first = self._number(known, "max_weight_clamp"), known.get("clamp_from")
        return last if first is None else f"{_short(first)} → {last}"

    def _kernel(self, known: Mapping[str, Any]) -> str:
        text = self._word(known, "kernel")
        return f"{text}, σ {_short(known['sigma'])}" if "sigma" in known else text

    def _further(self, known: Mapping[str, Any]) -> str:
        words, told = self.words, []
        if known.get("noised_drawn"):
            told.append(words("aqr noised drawn"))
        if balance := known.get("balance"):
            told.append(words("aqr balance", _short(balance["ratio"]), _short(balance["strength"])))
        if known.get("saturate", "hard") != "hard":
            told.append(code(known["saturate"]))
        return ", ".join(told) or ("–" if self.complete else self._unknown)

    def bounds(self, arm: str) -> str:
        """ "0.60–1.60"; both modes' where the mode is not known; that it is not known where too little is."""
        known = self.of(arm)
        if known.get("weights") == "off":
            return self.words("aqr unscaled")
        found = bounds_by_mode(known)
        if "mode" in known:
            return ", ".join(map(_range, found.values())) or self._unknown
        told = "; ".join(f"{self.words(f'aqr {mode}')} {_range(of)}" for mode, of in found.items())
        return self.words("aqr mode unknown", told) if told else self._unknown

    def gains(self) -> Table:
        """A row for an arm's finished runs and for each unfinished one: bounds, and the measured ends of all samples.

        Empty where no training told of gains.
        """
        words = self.words
        head = [words("run"), words("aqr bounds"), words("aqr measured lidar"), words("aqr measured camera"),
                words("aqr samples"), words("aqr within"), words("source")]  # fmt: skip
        rows = [self._gain_row(group) for group in groups(self.facts, words, _measured)]
        return Table(head, rows, frozenset({4}))

    def _gain_row(self, group: Group) -> list[str]:
        ends = [measured_gain(group.runs, sensor) for sensor in SENSORS]
        cells = [_measured_range(one) if one else "–" for one in ends]
        samples = sum(len(run.statistics["aqr/lidar_gain_min"].steps) for run in group.runs)
        mark = self.results.ledger.cite_all(sources(self.facts, group.runs), self.words("said aqr"))
        return [group.title, self.bounds(group.arm), *cells, str(samples), self._within(group), mark]

    def _within(self, group: Group) -> str:
        configured = self._configured(group.arm)
        if configured is None and not all("aqr/gain_high" in run.statistics for run in group.runs):
            return self._unknown
        told = "; ".join(line for run in group.runs for line in self._violations(run))
        return self.words("aqr outside", told) if told else self.words("aqr inside")

    def _configured(self, arm: str) -> Bounds | None:
        return configured_bounds(self._config(arm)) if self.complete else None

    def _violations(self, run: RunFacts) -> Iterator[str]:
        for one in violations(run, self._configured(run.arm)):
            measured, allowed = _measured_range(one.measured), _range(one.allowed)
            sensor = self.words(f"aqr {one.sensor}")
            yield self.words("aqr violated", code(run.name), sensor, measured, one.iteration, allowed, *one.samples)

    def violated(self) -> list[str]:
        """A line for each run and sensor whose gain was out of its bounds."""
        return [line for run in self.facts.runs for line in self._violations(run)]


def measured_gain(runs: Sequence[RunFacts], sensor: str) -> Bounds | None:
    """The smallest and the largest gain over all samples of these runs; None where none was told."""
    low, high = (
        [value for run in runs if (of := run.statistics.get(f"aqr/{sensor}_gain_{end}")) for value in of.values]
        for end in ("min", "max")
    )
    return Bounds(min(low), max(high)) if low and high else None


def _measured(run: RunFacts) -> bool:
    return "aqr/lidar_gain_min" in run.statistics


def _range(bounds: Bounds) -> str:
    return f"{_gain(bounds.low)}–{_gain(bounds.high)}"


def _measured_range(bounds: Bounds) -> str:
    return f"{bounds.low:.3f}–{bounds.high:.3f}"


def _gain(value: float) -> str:
    """Two digits, more where they are needed: 1.60, 1.384."""
    text = f"{value:.3f}"
    return text[:-1] if text.endswith("0") else text


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else plain(value)
