"""Arms by data sets in a record, and from several experiments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from crossed import Crossed

from detui.engine.analysis.interaction import cross
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.gather import gather
from detui.engine.record.interaction import InteractionTable, cells_of, statement
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words


@pytest.fixture(scope="module")
def facts(crossed: Crossed) -> ExperimentFacts:
    return gather(crossed.path)


def told(facts: ExperimentFacts, language: str = "en") -> InteractionTable:
    return InteractionTable(Results(facts, Words(language), Ledger()))


def mean(facts: ExperimentFacts, arm: str) -> float:
    values = facts.values(arm, "val/AP").values()
    return 100 * sum(values) / len(values)


def test_the_table_holds_means_differences_and_the_interaction(facts: ExperimentFacts) -> None:
    table = told(facts).table()
    boxes = facts.data_of("l-crowded")["splits"]["val"]["boxes"]
    assert table.head[1] == f"`crowded` (objects an image: train 20.5, val {boxes / 6:.1f})"
    assert (
        table.head[2].startswith("`simple` (objects an image: train 5.0")
        and table.head[3] == "`crowded` − `simple` (pp)"
    )
    assert [row[0] for row in table.rows] == ["`l`", "`mnv4`", "`mnv4` − `l` (pp)"]
    assert table.rows[0][1].startswith(f"{mean(facts, 'l-crowded'):.1f} ± ") and table.rows[0][1].endswith("(n = 3)")
    delta = [mean(facts, f"mnv4-{data}") - mean(facts, f"l-{data}") for data in ("crowded", "simple")]
    for cell, value in zip(table.rows[2][1:4], (*delta, delta[0] - delta[1]), strict=True):
        assert cell.strip("*").startswith(f"{value:+.1f} [")
    assert "inconclusive" not in table.rows[2][3] and all(row[-1].startswith("S") for row in table.rows)
    assert len(table.rows[2][-1].split(", ")) == 12


def test_the_statement_says_what_the_interval_says_and_no_more(facts: ExperimentFacts) -> None:
    (line,) = told(facts).statements()
    assert line.startswith("(`mnv4` − `l` on `crowded`) − (`mnv4` − `l` on `simple`): -")
    assert "n = 3 / 3 / 3 / 3" in line and line.endswith("the interval excludes 0")
    (chinese,) = told(facts, "zh").statements()
    assert chinese.endswith("区间不含 0") and "`crowded`" in chinese


def test_an_unfinished_seed_leaves_it_inconclusive_with_the_numbers_shown(facts: ExperimentFacts) -> None:
    runs = tuple(replace(run, state="stopped") if run.name == "l-simple-s2" else run for run in facts.runs)
    partial = told(replace(facts, runs=runs))
    (line,) = partial.statements()
    assert "n = 3 / 3 / 3 / 2" in line and "inconclusive (runs unfinished: `l-simple-s2`)" in line
    table = partial.table()
    assert table.rows[0][2].endswith("(n = 2; 2 of 3 seeds finished)") and "inconclusive" in table.rows[2][3]


def test_before_anything_ran_there_are_placeholders(facts: ExperimentFacts) -> None:
    nothing = told(replace(facts, runs=()))
    assert nothing.table().rows[2][1:4] == ["_(not measured yet)_"] * 3
    assert nothing.statements()[0].endswith(": _(not measured yet)_")


def test_one_data_set_or_one_arm_has_no_table(facts: ExperimentFacts, finished) -> None:
    for arms in (["l-crowded", "mnv4-crowded"], ["l-crowded", "l-simple"]):
        info = {**facts.info, "arms": [arm for arm in facts.info["arms"] if arm["name"] in arms]}
        assert not told(replace(facts, info=info)).table() and told(replace(facts, info=info)).statements() == []
    assert not told(gather(finished.path)).table()


def test_two_experiments_of_one_data_set_each_give_the_same(facts: ExperimentFacts) -> None:
    halves = []
    for data in ("crowded", "simple"):
        info = {**facts.info, "arms": [arm for arm in facts.info["arms"] if arm["data_set"] == data]}
        halves += cells_of(replace(facts, info=info))
    crossed = cross(halves)
    assert crossed.cells["l", "simple"].name == "l-simple"
    assert [statement(one, Words("en")) for one in crossed.interactions] == told(facts).statements()


def test_nothing_is_subtracted_of_one_arm_across_data(facts: ExperimentFacts) -> None:
    assert [row[3] for row in told(facts).table().rows[:2]] == ["–", "–"]


def test_a_finished_seed_without_the_metric_is_still_a_finished_one(facts: ExperimentFacts) -> None:
    def changed(run: RunFacts) -> RunFacts:
        if run.name == "l-simple-s2":
            return replace(run, state="stopped")
        return replace(run, chosen=None) if run.name == "l-simple-s1" else run

    table = told(replace(facts, runs=tuple(map(changed, facts.runs)))).table()
    assert table.rows[0][2].endswith("(n = 1; 2 of 3 seeds finished)")
