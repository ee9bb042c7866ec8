"""Measurements without training: what the models are, one step side by side, and what steps and passes cost."""

from __future__ import annotations

import logging
from statistics import median
from typing import Any

from detui.engine.errors import DetuiError
from detui.engine.record.facts import ExperimentFacts, RunFacts, Source
from detui.engine.record.numerics_steps import StepRound, compared_rounds
from detui.engine.record.operator_table import measured_file
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, count, plain, size
from detui.engine.run.files import read_json

EQUAL_SHARE = 0.05
"""How far a time may be from the reference's, and be called equal, at least; the spread of either widens it."""

TABLES = {"operators": 1, "step": 3, "cost": 1}
"""What may be measured, in the record's order, and how many tables it has."""

log = logging.getLogger(__name__)

SUMS = ("tensors", "weights")
"""Checksums that a run tells when it begins."""


class Numerics:
    """Tables of measurements, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self._steps: list[StepRound] | None = None

    @property
    def asked(self) -> frozenset[str]:
        """What any arm measures: "operators", "step", "cost"; all of them where the plan does not say."""
        configs = [arm.get("config") or {} for arm in self.facts.info["arms"]]
        return frozenset(one["measure"]["what"] for one in configs if "measure" in one) or frozenset(TABLES)

    def number(self, what: str, place: int = 0) -> int:
        """The number of a table: those of what is measured stand behind the table of the models, without a gap."""
        before = list(TABLES)[: list(TABLES).index(what)]
        return 2 + sum(TABLES[one] for one in before if one in self.asked) + place

    def models(self) -> Table:
        """A row an arm: parameters, tensors, and checksums of names with shapes and of the first weights."""
        words, rows = self.words, []
        for arm in self.facts.arms:
            run = next((run for run in self.facts.of(arm) if run.begin), None)
            if run is None:
                rows.append([code(arm), *[words("missing")] * 6, ""])
                continue
            model = run.begin.get("model") or {}
            mark = self.results.ledger.cite(run.logged(int(run.begin.get("attempt") or 1)), words("said models"))
            numbers = [count(model[name]) if name in model else "–" for name in ("parameters", "trained", "tensors")]
            told = run.begin.get("checksums") or {}
            sums = [code(told[name]) if name in told else "–" for name in SUMS]
            rows.append([code(arm), plain(run.begin.get("framework") or "–"), *numbers, *sums, mark])
        head = [words("arm"), words("framework used"), words("parameters all"), words("parameters trained"),
                words("tensors all"), words("names checksum"), words("weights checksum"), words("source")]  # fmt: skip
        return Table(head, rows, frozenset({2, 3, 4}))

    def model_verdict(self) -> str:
        """Whether the models are one; "" while fewer than two arms have begun."""
        begun = [run for run in self.facts.runs if run.begin]
        if len({run.arm for run in begun}) < 2:
            return ""
        seen = {(run.seed, *self._model(run)) for run in begun}
        return self.words("models equal" if len(seen) == len({run.seed for run in begun}) else "models differ")

    @staticmethod
    def _model(run: RunFacts) -> tuple[Any, ...]:
        """What must be equal in all runs of one seed."""
        model, told = run.begin.get("model") or {}, run.begin.get("checksums") or {}
        return (model.get("parameters"), model.get("tensors"), *(told.get(name) for name in SUMS))

    def published(self) -> str:
        """The published count beside the model's; "" where the size was changed, or nothing has begun."""
        from detui.engine.backends.parity.building import model_facts
        from detui.engine.backends.parity.sizes import SIZES

        model = next((run.begin["model"] for run in self.facts.runs if run.begin.get("model")), None)
        name = str((model or {}).get("name", "")).removeprefix("rt-detr-")
        if model is None or name not in SIZES:
            return ""
        official = model_facts(SIZES[name], {"size": name, "framework": ""})["parameters"]
        same = official == model.get("parameters")
        key = "published equal" if same else "published differs"
        return self.words(key, count(official), count(model.get("parameters") or 0))

    def rounds(self) -> list[StepRound]:
        """Every round of a step that both the reference and another arm have."""
        if self._steps is None:
            self._steps = compared_rounds(self.facts)
        return self._steps

    def steps(self) -> Table:
        """A row a round: the loss, the furthest term, the furthest module, and what was chosen freely."""
        words, rows = self.words, []
        head = [words("arm"), words("round"), words("step loss"), words("step term"), words("step gradient"),
                words("step weights"), words("step statistics"), words("free tokens"), words("free pairs"),
                words("source")]  # fmt: skip
        for one in self.rounds():
            found = one.found
            term = max(found.terms[1:], key=lambda row: row.relative)
            module = min(found.modules, key=lambda row: row.cosine, default=None)
            moved = max(found.modules, key=lambda row: row.step, default=None)
            statistic = max((max(row.mean, row.variance) for row in found.statistics), default=None)
            mark = self.results.ledger.cite_all(one.sources, words("said step"))
            rows.append([
                code(one.arm), str(one.number), _short(found.terms[0].relative),
                f"{_short(term.relative)} ({code(term.name)})",
                f"{_short(1 - module.cosine)} ({code(module.name)})" if module else "–",
                f"{_short(moved.step)} ({code(moved.name)})" if moved else "–",
                _short(statistic) if statistic is not None and one.whole else "–",
                f"{100 * one.tokens:.1f} %", f"{100 * one.pairs:.1f} %", mark,
            ])  # fmt: skip
        return Table(head, rows, frozenset(range(1, 9)))

    def modules(self) -> Table:
        """A row a module of the first whole round of each arm: cosine, norms, and the step of its weights."""
        words, rows = self.words, []
        for one in self._first_whole():
            mark = self.results.ledger.cite_all(one.sources, words("said step"))
            rows += [[code(one.arm), code(row.name), f"{row.cosine:.8f}", _short(row.size), _short(row.step), mark]
                     for row in one.found.modules]  # fmt: skip
        head = [words("arm"), words("module"), words("cosine"), words("gradient size"), words("step weights"),
                words("source")]  # fmt: skip
        return Table(head, rows, frozenset({2, 3, 4}))

    def terms(self) -> Table:
        """A row a loss term of the first round of each arm."""
        words, rows = self.words, []
        for one in self.rounds():
            if one.number == 1:
                mark = self.results.ledger.cite_all(one.sources, words("said step"))
                rows += [[code(one.arm), code(row.name), f"{row.reference:.7g}", f"{row.other:.7g}",
                          _short(row.relative), mark] for row in one.found.terms]  # fmt: skip
        head = [words("arm"), words("step term name"), words("in reference"), words("in arm"), words("relative apart"),
                words("source")]  # fmt: skip
        return Table(head, rows, frozenset({2, 3, 4}))

    def _first_whole(self) -> list[StepRound]:
        first: dict[str, StepRound] = {}
        for one in self.rounds():
            if one.whole:
                first.setdefault(one.arm, one)
        return list(first.values())

    def findings(self) -> list[str]:
        """What is not equal, once an arm, in words; or that everything is."""
        told = []
        for arm in self.facts.compared:
            rounds = [one for one in self.rounds() if one.arm == arm]
            if not rounds:
                continue
            texts = dict.fromkeys(self._said(finding) for one in rounds for finding in one.found.findings)
            if texts:
                told += ["❌ " + self.words("said of", code(arm), text) for text in texts]
            else:
                told.append("✅ " + self.words("step equal", code(arm), code(self.facts.reference(arm)), len(rounds)))
        return told

    def _said(self, finding: Any) -> str:
        if self.words.language == "en":
            return plain(finding.text())
        value = f"{finding.value:.6f}" if finding.kind == "gradient" else f"{finding.value:.2g}"
        # Chinese has a space behind what is no Chinese, and none behind what is.
        many, alone = f" 等 {finding.count} 处", "" if finding.kind == "selection" else " "
        where = code(finding.where) + (many if finding.count > 1 and finding.kind != "assignment" else alone)
        return self.words(f"finding {finding.kind}", where, value)

    def costs(self) -> Table:
        """A row an arm and side: medians over the rounds so far, spreads, and the ratios to the reference."""
        words, rows = self.words, []
        for side in sides_of(self.facts):
            for arm in self.facts.arms:
                found, sources = cost_of(self.facts, arm, side)
                if not found:
                    rows.append([self._arm(arm), f"{side}", *[words("missing")] * 6, ""])
                    continue
                base, _ = cost_of(self.facts, self.facts.reference(arm), side)
                own = arm == self.facts.reference(arm)
                ratios = ["–" if own or not base else f"× {found[n] / base[n]:.2f}" for n in TIMES]
                mark = self.results.ledger.cite_all(sources, words("said cost"))
                times = [f"{_ms(found[n])} (± {50 * found[SPREADS[n]]:.0f} %)" for n in TIMES]
                first = found["first_step_seconds"]
                rows.append([
                    self._arm(arm), f"{side}", times[0], ratios[0], times[1], ratios[1],
                    f"{first:.2f} s" if first is not None else "–", size(found["memory"]), mark,
                ])  # fmt: skip
        head = [words("arm"), words("side"), words("step median"), words("step ratio"), words("pass median"),
                words("pass ratio"), words("first step"), words("memory growth"), words("source")]  # fmt: skip
        return Table(head, rows, frozenset(range(1, 8)))

    def _arm(self, arm: str) -> str:
        """An arm; with the mark of one whose runs did not get to their end, for its numbers may yet change."""
        open_runs = self.facts.unfinished(arm)
        named = ", ".join(map(code, open_runs))
        return f"{code(arm)} ({self.words('runs unfinished', named)})" if open_runs else code(arm)

    def cost_verdicts(self) -> list[str]:
        """For each arm and side whether a step and a pass are slower, faster or equal within the spread."""
        told = []
        for arm in self.facts.compared:
            for side in sides_of(self.facts):
                found, _ = cost_of(self.facts, arm, side)
                base, _ = cost_of(self.facts, self.facts.reference(arm), side)
                if found and base:
                    said = []
                    for name in TIMES:
                        within = max(EQUAL_SHARE, found[SPREADS[name]], base[SPREADS[name]])
                        said.append(self._faster(found[name] / base[name], within))
                    open_runs = self.facts.unfinished(self.facts.reference(arm), arm)
                    named = ", ".join(map(code, open_runs))
                    mark = f" ({self.words('runs unfinished', named)})" if open_runs else ""
                    told.append(self.words("cost verdict", code(arm), side, *said) + mark)
        return told

    def _faster(self, ratio: float, within: float) -> str:
        if abs(ratio - 1) <= within:
            return self.words("cost equal", f"{100 * within:.0f}")
        return self.words("cost slower", f"{ratio:.1f}") if ratio > 1 else self.words("cost faster", f"{1 / ratio:.1f}")


SPREADS = {"step_seconds": "step_spread", "inference_seconds": "inference_spread"}
"""A time, and p90 - p10 of it as a share of its median."""
TIMES = tuple(SPREADS)


def sides_of(facts: ExperimentFacts) -> list[int]:
    """The sides whose cost any run measured, ascending."""
    found = {int(side) for run in facts.runs for _, sides in _cost_files(facts, run) for side in sides}
    return sorted(found)


def cost_of(facts: ExperimentFacts, arm: str, side: int) -> tuple[dict[str, Any], list[Source]]:
    """Medians over an arm's steps, passes and first steps of all rounds (first step: of round 1), and their files."""
    steps, passes, first, memory, sources = [], [], [], [], []
    for run in facts.of(arm):
        for source, sides in _cost_files(facts, run):
            if (one := sides.get(str(side))) is None:
                continue
            steps += one["steps"]
            passes += one["passes"]
            memory.append(one["memory"])
            sources.append(source)
            if source.file.endswith("-0001.json"):
                first.append(one["first_step"])
    if not steps:
        return {}, []
    return {
        "step_seconds": median(steps), "step_spread": _spread(steps),
        "inference_seconds": median(passes), "inference_spread": _spread(passes),
        "first_step_seconds": median(first) if first else None, "memory": float(max(memory)),
    }, sources  # fmt: skip


def _spread(times: list[float]) -> float:
    import numpy as np  # late: `detui ls` comes by

    low, high = np.percentile(times, [10, 90])
    return float(high - low) / median(times)


def _cost_files(facts: ExperimentFacts, run: RunFacts) -> list[tuple[Source, dict[str, Any]]]:
    found = []
    for number in range(1, run.epoch + 1):
        place = measured_file(facts.path, run, f"measured/cost-{number:04}.json")
        if place is None:
            continue
        try:
            found.append((place[1], read_json(place[0])["sides"]))
        except (DetuiError, KeyError) as error:
            log.warning("%s is left out: %s", place[0], error)
    return found


def _short(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"
