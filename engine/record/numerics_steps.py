"""Steps that were stored, side by side. What was found is kept in `steps.json`: to compare R50's takes 8 s and 2 GB."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.errors import DetuiError
from detui.engine.record.facts import ExperimentFacts, Source
from detui.engine.record.operator_table import measured_file
from detui.engine.run.files import read_json_if_there, write_whole

if TYPE_CHECKING:
    from detui.engine.backends.parity.differences import StepDifference

KEPT = "steps.json"
"""Comparisons by what they are of, in the experiment's folder; may be deleted."""

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


def compared_rounds(facts: ExperimentFacts) -> list[StepRound]:
    """Every round that both an arm and its reference have; compared once, as long as the two files stay what they are.

    A file that cannot be read is left out and logged.
    """
    places = list(_places(facts))
    if not places:
        return []
    kept = _Kept(facts.path)
    found: list[StepRound] = []
    for arm, number, one, two in places:
        try:
            difference, tokens, pairs, whole = kept.compared(one[0], two[0])
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            log.warning("round %s of %s is left out: %s", number, arm, error)
            continue
        found.append(StepRound(arm, number, whole, difference, tokens, pairs, (one[1], two[1])))
    kept.save()
    return found


_File = tuple[Path, Source]


def _places(facts: ExperimentFacts) -> Iterator[tuple[str, int, _File, _File]]:
    """Arm, round, and the files of the reference and of the arm."""
    for arm in facts.compared:
        reference = {run.seed: run for run in facts.of(facts.reference(arm))}
        for run in (run for run in facts.of(arm) if run.seed in reference):
            for number in range(1, run.total_epochs + 1):
                name = f"measured/step-{number:04}.npz"
                one, two = (measured_file(facts.path, side, name) for side in (reference[run.seed], run))
                if one is not None and two is not None:
                    yield arm, number, one, two


Compared = tuple["StepDifference", float, float, bool]
"""A difference, the shares of free tokens and pairs that agree, and whether gradients and weights were stored."""


class _Kept:
    """What was compared before, by place, size and time of the two files, and by the rules of the comparison."""

    def __init__(self, folder: Path) -> None:
        self._path, self._folder, self._rules = folder / KEPT, folder, _rules()
        try:
            before: Mapping[str, Any] = read_json_if_there(self._path) or {}
        except DetuiError as error:
            log.warning("%s is made anew: %s", self._path, error)
            before = {}
        self._saved = dict(before.get("rounds") or {}) if before.get("rules") == self._rules else {}
        self._used: dict[str, Any] = {}

    def compared(self, reference: Path, other: Path) -> Compared:
        key = " ".join(map(self._mark, (reference, other)))
        try:
            found = _unpacked(self._saved[key])
        except (KeyError, TypeError, ValueError):
            found = _compare(reference, other)
            self._saved[key] = _packed(found)
        self._used[key] = self._saved[key]
        return found

    def save(self) -> None:
        """Write it where anything is new; a folder that cannot be written to costs time and no more."""
        text = json.dumps({"schema": 1, "rules": self._rules, "rounds": self._used}) + "\n"
        try:
            if self._used and (not self._path.exists() or self._path.read_text(encoding="utf-8") != text):
                write_whole(self._path, text.encode())
        except (OSError, DetuiError) as error:
            log.warning("%s is not kept: %s", self._path, error)

    def _mark(self, path: Path) -> str:
        stat = path.stat()
        return f"{path.relative_to(self._folder)}:{stat.st_size}:{stat.st_mtime_ns}"


def _rules() -> str:
    """A hash of the modules that compare: with others, all is compared anew."""
    from detui.engine.backends.numerics import steps
    from detui.engine.backends.parity import differences

    texts = b"".join(Path(str(module.__file__)).read_bytes() for module in (differences, steps))
    return hashlib.sha256(texts).hexdigest()[:12]


def _packed(found: Compared) -> dict[str, Any]:
    difference, tokens, pairs, whole = found
    return {"difference": asdict(difference), "tokens": tokens, "pairs": pairs, "whole": whole}


def _unpacked(kept: Mapping[str, Any]) -> Compared:
    from detui.engine.backends.parity import differences as d

    held = kept["difference"]
    kinds = {"parts": d.PartRow, "terms": d.TermRow, "modules": d.ModuleRow, "statistics": d.StatisticRow,
             "findings": d.Finding}  # fmt: skip
    difference = d.StepDifference(**{name: [kind(**row) for row in held[name]] for name, kind in kinds.items()})
    return difference, float(kept["tokens"]), float(kept["pairs"]), bool(kept["whole"])


def _compare(reference: Path, other: Path) -> Compared:
    import numpy as np  # late: `detui ls` comes by

    from detui.engine.backends.numerics.steps import read_case, read_result
    from detui.engine.backends.parity.differences import compare_steps
    from detui.engine.backends.parity.sizes import Size
    from detui.engine.backends.parity.stepping import StepCase

    both = []
    for path in (reference, other):
        with np.load(path, allow_pickle=False) as stored:
            both.append({name: stored[name] for name in stored.files})
    if str(both[0]["case"]) != str(both[1]["case"]):
        raise ValueError("the two rounds are of different cases")
    (one, free), (two, other_free) = (read_result(arrays) for arrays in both)
    whole = bool(one.gradients and two.gradients)
    if whole:
        case = read_case(both[0])
    else:  # what was not stored has not moved
        case = StepCase(Size((1, 1, 1, 1)), np.zeros(0, np.float32), (), None, {})
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
