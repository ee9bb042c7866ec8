"""Every operator of the runs' frameworks beside the reference's, from what their training halves stored.

A run stores attempts/N/measured/operators.npz (`parity.operators.measure`); the newest attempt that has one counts.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detui.engine.backends.parity.stored import OPERATORS
from detui.engine.record.facts import RunFacts, Source
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code
from detui.engine.record.words import Words

if TYPE_CHECKING:
    from detui.engine.backends.parity.frameworks.framework import Array
    from detui.engine.backends.parity.operators import Operator
    from detui.engine.backends.parity.operators import Results as Measured

NAMED = 3
"""Operators that a verdict names."""

log = logging.getLogger(__name__)


def measured_file(folder: Path, run: RunFacts, name: str) -> tuple[Path, Source] | None:
    """A file below an attempt, of the newest attempt that has it, and its source; `folder`: the experiment."""
    for attempt in sorted((one.number for one in run.attempts), reverse=True):
        inside = f"runs/{run.name}/attempts/{attempt}/{name}"
        if (folder / inside).is_file():
            return folder / inside, Source(run.name, attempt, None, inside)
    return None


@dataclass(frozen=True, slots=True)
class _Row:
    """One operator in one framework, beside the reference's."""

    forward: float
    worst: float
    """The largest relative difference of what is no output: gradients, running statistics."""
    where: str
    """Which of them that is; "" where there is none."""
    limit: float
    hard: bool
    """Whether it is a case that frameworks do differently."""
    reason: str = ""
    """Why it does not run."""
    here: bool = True
    """Whether it is this framework that does not run it, and not the reference's."""

    @property
    def equal(self) -> bool:
        return max(self.forward, self.worst) <= self.limit


class OperatorTable:
    """Operators of each arm beside those of the first arm that stored any."""

    def __init__(self, results: Results) -> None:
        self.results, self.words = results, results.words
        self._read: tuple[str, list[Source], dict[str, dict[str, _Row]]] | None = None

    def table(self) -> Table:
        """A row an operator: its limit, and for each arm the largest difference forward and otherwise.

        Empty while fewer than two arms stored any.
        """
        words = self.words
        _, sources, arms = self._compared()
        head = [words("operator"), words("operator limit")]
        for arm in arms:
            head += [words("operator forward", code(arm)), words("operator gradient", code(arm)),
                     words("operator verdict", code(arm))]  # fmt: skip
        names = list(dict.fromkeys(name for rows in arms.values() for name in rows))
        rows = [self._row(name, [found.get(name) for found in arms.values()]) for name in names]
        mark = self.results.ledger.cite_all(sources, words("said operators")) if rows else ""
        numbers = frozenset({1, *(column for n in range(len(arms)) for column in (2 + 3 * n, 3 + 3 * n))})
        return Table([*head, words("source")], [[*row, mark] for row in rows], numbers)

    def verdict(self) -> str:
        """For each arm in a sentence how many operators are equal, and which are the furthest from it; "" without."""
        words = self.words
        reference, _, arms = self._compared()
        told = []
        for arm, rows in arms.items():
            apart = sorted((name for name, row in rows.items() if not row.equal), key=lambda name: -_size(rows[name]))
            broken = [name for name in apart if rows[name].reason]
            apart = [name for name in apart if not rows[name].reason]
            equal = len(rows) - len(apart) - len(broken)
            if apart:
                named = words("between operators").join(
                    f"{_name(name, words)} ({_number(_size(rows[name]))})" for name in apart[:NAMED]
                )
                told.append(words("operators differ", code(arm), code(reference), equal, len(rows), named))
            elif rows and not broken:
                told.append(words("operators equal", code(arm), code(reference), len(rows)))
            for of, key in ((True, arm), (False, reference)):
                if named := words("between operators").join(
                    _name(name, words) for name in broken if rows[name].here is of
                ):
                    told.append(words("operators broken", code(key), named))
        return words("between sentences").join(told)

    def reasons(self) -> list[str]:
        """Why operators do not run: arm, operator and the first line of the reason."""
        words = self.words
        reference, _, arms = self._compared()
        told = []
        for arm, rows in arms.items():
            for name, row in rows.items():
                if row.reason:
                    where = words("operator of", code(arm if row.here else reference), _name(name, words))
                    told.append(words("said of", where, code(row.reason)))
        return list(dict.fromkeys(told))

    def apart(self, arm: str) -> list[str]:
        """The operators of an arm that are not within their limits."""
        return [name for name, row in self._compared()[2].get(arm, {}).items() if not row.equal]

    def _row(self, name: str, found: list[_Row | None]) -> list[str]:
        known = next(row for row in found if row is not None)
        label = _name(name, self.words) + (f" {self.words('operator hard')}" if known.hard else "")
        cells = [label, f"{known.limit:.0e}"]
        for row in found:
            if row is None:
                cells += ["–", "–", self.words("missing")]
                continue
            if row.reason:
                cells += ["–", "–", self.words("operator broken" if row.here else "operator broken reference")]
                continue
            worst = f"{_number(row.worst)} ({_result(row.where, self.words)})" if row.where else "–"
            said = self.words("operator equal" if row.equal else "operator apart")
            cells += [_number(row.forward), worst, said]
        return cells

    def _compared(self) -> tuple[str, list[Source], dict[str, dict[str, _Row]]]:
        if self._read is None:
            self._read = self._compare()
        return self._read

    def _compare(self) -> tuple[str, list[Source], dict[str, dict[str, _Row]]]:
        from detui.engine.backends.parity.operators import FAILED, table

        stored: dict[str, tuple[Measured, Source]] = {}
        for arm in self.results.facts.arms:
            found = next(self._stored(arm), None)
            if found is not None:
                stored[arm] = found
        if len(stored) < 2:
            return "", [], {}
        reference, *others = stored
        known = {one.name: one for one in table()}
        arms: dict[str, dict[str, _Row]] = {}
        for arm in others:
            rows = {}
            for name, operator in known.items():
                one, two = stored[reference][0].get(name), stored[arm][0].get(name)
                if one is None or two is None:
                    continue  # measured by another version
                if FAILED in one or FAILED in two:
                    rows[name] = _broken(one, two, operator)
                    continue
                if one.keys() != two.keys():
                    continue
                rows[name] = _compared(one, two, operator)
            arms[arm] = rows
        return reference, [source for _, source in stored.values()], arms

    def _stored(self, arm: str) -> Iterator[tuple[Measured, Source]]:
        from detui.engine.backends.parity.measure import read_operators

        facts = self.results.facts
        for run in facts.of(arm):
            place = measured_file(facts.path, run, OPERATORS)
            if place is None:
                continue
            try:
                yield read_operators(place[0]), place[1]
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
                log.warning("%s is left out: %s", place[0], error)


def _broken(one: dict[str, Array], two: dict[str, Array], operator: Operator) -> _Row:
    from detui.engine.backends.parity.operators import FAILED

    here = FAILED in two
    why, apart = str((two if here else one)[FAILED]), float("inf")
    return _Row(apart, apart, FAILED, operator.limit, operator.worst, reason=why, here=here)


def _compared(one: dict[str, Array], two: dict[str, Array], operator: Operator) -> _Row:
    from detui.engine.backends.parity.operators import compare

    name = operator.name
    rows = compare({name: one}, {name: two}, [operator])
    forward = max(row.relative for row in rows if row.result == "output")
    rest = [row for row in rows if row.result != "output"]
    worst = max(rest, key=lambda row: row.relative, default=None)
    first = rows[0]
    return _Row(forward, worst.relative if worst else 0.0, worst.result if worst else "", first.limit, first.worst)


def _name(name: str, words: Words) -> str:
    return words.known(f"operator {name}").removeprefix("operator ")


def _result(name: str, words: Words) -> str:
    """ "gradient of x" in the record's language."""
    front, _, of = name.partition("gradient of ")
    return (
        words("operator gradient of", of) if not front and of else words.known(f"result {name}").removeprefix("result ")
    )


def _size(row: _Row) -> float:
    return max(row.forward, row.worst)


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
