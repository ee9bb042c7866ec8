"""What stands beside the places where a person explains a result: evidence by arm, and lines of caution. No verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from detui.engine.analysis import compare
from detui.engine.analysis.seeds import FEWEST_SEEDS
from detui.engine.record.aqr import Column, change_columns, weight_columns
from detui.engine.record.aqr_settings import SENSORS, AqrSettings, measured_gain
from detui.engine.record.by_class import ByClass
from detui.engine.record.by_iteration import mean_of
from detui.engine.record.facts import RunFacts
from detui.engine.record.results import OF_FRAMES, Results
from detui.engine.record.text import Table, code, percent, plain, points

GRADIENT = "aqr/gradient_norm"
CLAMPED = tuple(f"aqr/{sensor}_clamped_fraction" for sensor in SENSORS)
_MEAN = {sensor: weight_columns(sensor)[0] for sensor in SENSORS}
_ALL, _ACTIVE, _SHARE = ({sensor: change_columns(sensor)[place] for sensor in SENSORS} for place in (1, 2, 3))


class AqrFindings:
    """Evidence and cautions, in one language."""

    def __init__(self, results: Results, settings: AqrSettings) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self.settings = settings
        self._classes = ByClass(results)

    def class_differences(self) -> Table:
        """Class × arm: the difference of the means to the reference, in percent points; empty before there are any."""
        found = {arm: dict(self._classes.gains(arm, self.results.main[0])) for arm in self.facts.compared}
        head = [self.words("class"), *map(code, found), self.words("source")]
        rows = []
        for name in self.facts.classes:
            if any(name in of for of in found.values()):
                cells = [points(of[name]) if name in of else "–" for of in found.values()]
                used = [one.source for arm in self.facts.arms
                        for one in self.facts.points(arm, f"{self.results.main[0]}/{name}").values()]  # fmt: skip
                mark = self.results.ledger.cite_all(used, self.words("said class"))
                rows.append([plain(name), *cells, mark])
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def evidence(self) -> Table:
        """A row an arm, of its finished runs: differences to the reference, and what AQR did at the last sample."""
        words = self.words
        metrics = self._metrics()
        names = [plain(name.split("/", 1)[1]) for name in metrics]
        head = [words("arm"), *(words("aqr difference", name) for name in names), words("aqr kept"),
                words("aqr ratio"), *(words(f"aqr {sensor} changed") for sensor in SENSORS),
                *(words(f"aqr measured {sensor}") for sensor in SENSORS), words("aqr gradient at ends"),
                words("n")]  # fmt: skip
        rows = [self._evidence(arm, metrics) for arm in self.facts.arms if self.facts.finished(arm)]
        told = [place for place in range(len(head)) if any(row[place] != "–" for row in rows)]
        kept = [[row[place] for place in told] for row in (head, *rows)]
        return Table(kept[0], kept[1:], frozenset(range(1, len(told))))

    def _metrics(self) -> Sequence[str]:
        """mAP and NDS; of imported runs those of their framework; none of runs that detui does not evaluate."""
        told = [str(name) for run in self.facts.runs if run.chosen for name in run.chosen.get("headline") or ()]
        if self.facts.imported:
            return list(dict.fromkeys(told))
        return OF_FRAMES if self.facts.frames else ()

    def _evidence(self, arm: str, metrics: Sequence[str]) -> list[str]:
        runs = self.facts.finished(arm)
        residual = self.settings.of(arm).get("residual_weight")
        off = self.settings.of(arm).get("weights") == "off"
        kept = "–" if off else f"{100 * residual:.4g}" if isinstance(residual, int | float) else self.words("unknown")
        ratios = [camera / lidar for run in runs if (camera := _last(run, _MEAN["camera"])) is not None
                  and (lidar := _last(run, _MEAN["lidar"]))]  # fmt: skip
        gains = [measured_gain(runs, sensor) for sensor in SENSORS]
        return [
            code(arm),
            *(self._difference(arm, metric) for metric in metrics),
            kept,
            mean_of(ratios, lambda value: f"{value:.3f}", len(runs)),
            *(self._changed(runs, sensor) for sensor in SENSORS),
            *(f"{gain.low:.2f}–{gain.high:.2f}" if gain else "–" for gain in gains),
            self._gradient(runs),
            str(len(runs)),
        ]

    def _difference(self, arm: str, metric: str) -> str:
        reference = self.facts.reference(arm)
        if arm == reference:
            return self.words("aqr reference")
        base, values = self.facts.values(reference, metric), self.facts.values(arm, metric)
        if not base or not values:
            return self.results.absent(metric, reference, arm)
        found = compare(base, values, self.facts.unfinished(reference, arm))
        interval = f" [{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else ""
        return f"{points(found.delta, 2 if self.facts.imported else 1)}{interval}"

    def _changed(self, runs: Sequence[RunFacts], sensor: str) -> str:
        """ "9.1 / 32.2": on all features and on the active ones; a dash for what was not told."""
        cells = []
        for column in (_ALL[sensor], _ACTIVE[sensor]):
            cells.append(mean_of(_at_last(runs, column), percent, len(runs)))
        return "–" if cells == ["–", "–"] else " / ".join(cells)

    @staticmethod
    def _gradient(runs: Sequence[RunFacts]) -> str:
        each = [run.statistics[GRADIENT].values for run in runs if GRADIENT in run.statistics]
        return f"{fmean(of[0] for of in each):.3g} → {fmean(of[-1] for of in each):.3g}" if each else "–"

    def cautions(self) -> Iterator[str]:
        """What must be kept in mind while the numbers are read, as far as these runs give reason for it."""
        words = self.words
        if violated := self.settings.violated():
            yield words("aqr out of bounds", "; ".join(violated))
        few = {arm: len(self.facts.finished(arm)) for arm in self.facts.arms}
        few = {arm: count for arm, count in few.items() if count < FEWEST_SEEDS}
        if few:
            yield words("aqr few seeds", ", ".join(f"{code(arm)} ({count})" for arm, count in few.items()))
        if background := list(self._background()):
            yield words("aqr background", "; ".join(background))
        elif any(_ALL[sensor].told(run) for run in self.facts.runs for sensor in SENSORS):
            yield words("aqr background untold")
        if never := [code(arm) for arm in self.facts.arms if self._never_amplified(arm)]:
            yield words("aqr never amplified", ", ".join(never))
        if unreached := [code(arm) for arm in self.facts.arms if self._never_clamped(arm)]:
            yield words("aqr never clamped", ", ".join(unreached))
        drawn = {arm: self.settings.of(arm).get("noised_drawn") for arm in self.facts.arms}
        if noised := [code(arm) for arm, on in drawn.items() if on and self.settings.of(arm).get("weights") != "off"]:
            yield words("aqr noised", ", ".join(noised))
        yield from self._unknown()

    def _unknown(self) -> Iterator[str]:
        """What is not known of how the arms of another program are set, of those that may have AQR at all."""
        if self.settings.complete:
            return
        arms = {arm: known for arm in self.facts.arms if (known := self.settings.of(arm)).get("weights") != "off"}
        if modeless := [code(arm) for arm, known in arms.items() if "mode" not in known]:
            yield self.words("aqr mode untold", ", ".join(modeless))
        if undrawn := [code(arm) for arm, known in arms.items() if "noised_drawn" not in known]:
            yield self.words("aqr drawn untold", ", ".join(undrawn))

    def _background(self) -> Iterator[str]:
        """An arm and sensor each: the changes counted on all features, on the active ones, and how many those are."""
        for arm in self.facts.arms:
            for sensor in SENSORS:
                each = [_at_last(self.facts.finished(arm), one[sensor]) for one in (_ALL, _ACTIVE, _SHARE)]
                if all(each):
                    told = [percent(fmean(of)) for of in each]
                    yield self.words("aqr counted", code(arm), self.words(f"aqr {sensor}"), *told)

    def _never_amplified(self, arm: str) -> bool:
        """Whether no sample of an arm with AQR has a gain above 1."""
        gains = [measured_gain(self.facts.of(arm), sensor) for sensor in SENSORS]
        return all(gains) and all(gain.high <= 1 for gain in gains if gain)

    def _never_clamped(self, arm: str) -> bool:
        """Whether no cell of a map of either sensor reached the clamp in any sample of an arm that reports it."""
        each = [run.statistics[name].values for run in self.facts.of(arm) for name in CLAMPED if name in run.statistics]
        return bool(each) and not any(map(any, each))


def _last(run: RunFacts, column: Column) -> float | None:
    """The last value that a run reported."""
    told = (run.statistics[name].values[-1] for name in column.names if name in run.statistics)
    return next(told, None)


def _at_last(runs: Sequence[RunFacts], column: Column) -> list[float]:
    return [value for run in runs if (value := _last(run, column)) is not None]
