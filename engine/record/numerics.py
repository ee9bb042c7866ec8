"""Measurements without training: what the models are, one step side by side, and what steps and passes cost."""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.errors import DetuiError
from detui.engine.record.facts import ExperimentFacts, RunFacts, Source
from detui.engine.record.operator_table import measured_file
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, count, plain, size
from detui.engine.run.files import read_json

if TYPE_CHECKING:
    from detui.engine.backends.parity.differences import StepDifference

EQUAL_SHARE = 0.05
"""How far a time may be from the reference's, and be called equal, at least; the spread of steps widens it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepRound:
    """A round of an arm beside the reference's."""

    arm: str
    number: int
    whole: bool
    """Whether gradients and weights were stored, too."""
    found: StepDifference
    tokens: float
    """Share of the freely selected tokens that are the reference's, too."""
    pairs: float
    """Share of the free pairs that are."""
    sources: tuple[Source, ...]


class Numerics:
    """Tables of measurements, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self._steps: list[StepRound] | None = None

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
            sums = [
                code(str(model[name])[:12]) if name in model else "–" for name in ("names_sha256", "weights_sha256")
            ]
            rows.append([code(arm), plain(run.begin.get("framework") or "–"), *numbers, *sums, mark])
        head = [words("arm"), words("framework used"), words("parameters all"), words("parameters trained"),
                words("tensors all"), words("names checksum"), words("weights checksum"), words("source")]  # fmt: skip
        return Table(head, rows, frozenset({2, 3, 4}))

    def model_verdict(self) -> str:
        """Whether the models are one; "" while fewer than two arms have begun."""
        told = [run.begin.get("model") or {} for run in self.facts.runs if run.begin]
        keys = ("parameters", "tensors", "names_sha256", "weights_sha256")
        seen = {tuple(model.get(key) for key in keys) for model in told}
        if len({run.arm for run in self.facts.runs if run.begin}) < 2:
            return ""
        return self.words(
            "models equal" if len(seen) == len({run.seed for run in self.facts.runs}) else "models differ"
        )

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
            self._steps = self._compared_steps()
        return self._steps

    def _compared_steps(self) -> list[StepRound]:
        found: list[StepRound] = []
        for arm in self.facts.compared:
            reference = {run.seed: run for run in self.facts.of(self.facts.reference(arm))}
            for run in (run for run in self.facts.of(arm) if run.seed in reference):
                for number in range(1, run.total_epochs + 1):
                    name = f"measured/step-{number:04}.npz"
                    sides = [measured_file(self.facts.path, one, name) for one in (reference[run.seed], run)]
                    if None not in sides:
                        found += self._round(arm, number, [side for side in sides if side is not None])
        return found

    def _round(self, arm: str, number: int, sides: list[tuple[Path, Source]]) -> list[StepRound]:
        try:
            found, tokens, pairs, whole = _compare(*(path for path, _ in sides))
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            log.warning("round %s of %s is left out: %s", number, arm, error)
            return []
        return [StepRound(arm, number, whole, found, tokens, pairs, tuple(source for _, source in sides))]

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
                told += [f"❌ {code(arm)}: {text}" for text in texts]
            else:
                told.append("✅ " + self.words("step equal", code(arm), code(self.facts.reference(arm)), len(rounds)))
        return told

    def _said(self, finding: Any) -> str:
        if self.words.language == "en":
            return plain(finding.text())
        value = f"{finding.value:.6f}" if finding.kind == "gradient" else f"{finding.value:.2g}"
        where = code(finding.where) + (f" 等 {finding.count} 处" if finding.count > 1 else "")
        return self.words(f"finding {finding.kind}", where, value)

    def costs(self) -> Table:
        """A row an arm and side: medians over the rounds, spread, and the ratio to the reference."""
        words, rows = self.words, []
        for side in sides_of(self.facts):
            for arm in self.facts.arms:
                found, sources = cost_of(self.facts, arm, side)
                if not found:
                    rows.append([code(arm), f"{side}", *[words("missing")] * 6, ""])
                    continue
                base, _ = cost_of(self.facts, self.facts.reference(arm), side)
                own = arm == self.facts.reference(arm)
                ratios = ["–" if own or not base else f"× {found[n] / base[n]:.2f}" for n in TIMES]
                mark = self.results.ledger.cite_all(sources, words("said cost"))
                rows.append([
                    code(arm), f"{side}", f"{_ms(found['step_seconds'])} (± {50 * found['step_spread']:.0f} %)",
                    ratios[0], _ms(found["inference_seconds"]), ratios[1], f"{found['first_step_seconds']:.2f} s",
                    size(found["memory"]), mark,
                ])  # fmt: skip
        head = [words("arm"), words("side"), words("step median"), words("step ratio"), words("pass median"),
                words("pass ratio"), words("first step"), words("memory growth"), words("source")]  # fmt: skip
        return Table(head, rows, frozenset(range(1, 8)))

    def cost_verdicts(self) -> list[str]:
        """For each arm and side whether a step and a pass are slower, faster or equal within the spread."""
        told = []
        for arm in self.facts.compared:
            for side in sides_of(self.facts):
                found, _ = cost_of(self.facts, arm, side)
                base, _ = cost_of(self.facts, self.facts.reference(arm), side)
                if found and base:
                    within = max(EQUAL_SHARE, found["step_spread"], base["step_spread"])
                    said = [self._faster(found[name] / base[name], within) for name in TIMES]
                    told.append(self.words("cost verdict", code(arm), side, *said))
        return told

    def _faster(self, ratio: float, within: float) -> str:
        if abs(ratio - 1) <= within:
            return self.words("cost equal", f"{100 * within:.0f}")
        return self.words("cost slower", f"{ratio:.1f}") if ratio > 1 else self.words("cost faster", f"{1 / ratio:.1f}")


TIMES = ("step_seconds", "inference_seconds")


def sides_of(facts: ExperimentFacts) -> list[int]:
    """The sides whose cost any run measured, ascending."""
    found = {int(side) for run in facts.runs for _, sides in _cost_files(facts, run) for side in sides}
    return sorted(found)


def cost_of(facts: ExperimentFacts, arm: str, side: int) -> tuple[dict[str, float], list[Source]]:
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
    middle = median(steps)
    low, high = np.percentile(steps, [10, 90])
    return {
        "step_seconds": middle, "step_spread": float(high - low) / middle, "inference_seconds": median(passes),
        "first_step_seconds": median(first) if first else float("nan"), "memory": float(max(memory)),
    }, sources  # fmt: skip


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


def _compare(reference: Path, other: Path) -> tuple[StepDifference, float, float, bool]:
    """Two stored rounds: their difference, the shares of free tokens and pairs that agree, and whether all is there."""
    from detui.engine.backends.numerics.steps import read_case, read_result
    from detui.engine.backends.parity.differences import compare_steps

    both = []
    for path in (reference, other):
        with np.load(path, allow_pickle=False) as stored:
            both.append({name: stored[name] for name in stored.files})
    if str(both[0]["case"]) != str(both[1]["case"]):
        raise ValueError("the two rounds are of different cases")
    (one, free), (two, other_free) = (read_result(arrays) for arrays in both)
    case = read_case(both[0])
    whole = bool(one.gradients and two.gradients)
    if not whole:  # what was not stored has not moved
        from dataclasses import replace

        case = replace(case, state={})
        one, two = (replace(side, gradients={}, parts={}, state={}) for side in (one, two))
    pairs = [(place, image) for place in free.pairs for image in range(len(free.pairs[place]))]
    same = sum(len(_set(free, at) & _set(other_free, at)) for at in pairs)
    total = sum(len(_set(free, at)) for at in pairs)
    tokens = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(free.selection, other_free.selection, strict=True)]
    found = compare_steps(case, one, two)
    return found, sum(tokens) / max(free.selection.size, 1), same / max(total, 1), whole


def _set(result: Any, at: tuple[str, int]) -> set[tuple[int, int]]:
    queries, objects = result.pairs[at[0]][at[1]]
    return set(zip(queries.tolist(), objects.tolist(), strict=True))


def _short(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"
