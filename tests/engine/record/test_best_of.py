"""The best arm of each group: chosen by the mean over seeds, then set against the others' best."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from detui.engine.record.best_of import BestOf, best_arm, groups_of
from detui.engine.record.blocks import find
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.gather import gather
from detui.engine.record.latex import tables
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

BY = "model.framework"
GRID = {
    "torch": (0.40, 0.42, 0.41),
    "torch-rate": (0.50, 0.44, 0.47),
    "jittor": (0.30, 0.70, 0.32),
    "jittor-rate": (0.45, 0.47, 0.46),
}
"""The highest value of all is of `jittor`, whose mean is lower than that of `jittor-rate`."""


@pytest.fixture(scope="module")
def whole(finished) -> ExperimentFacts:
    return gather(finished.path)


def scored(facts: ExperimentFacts, grid=GRID, **record) -> ExperimentFacts:
    """Arms of two frameworks with these values of AP, a seed each."""
    (run, *_), runs = facts.runs, []
    for arm, values in grid.items():
        for seed, value in enumerate(values):
            chosen = {"epoch": 30, "attempt": 1, "step": 180, "values": {"val/AP": value, "val/AP50": 1 - value}}
            runs.append(replace(run, name=f"{arm}-s{seed}", arm=arm, seed=seed, chosen=chosen, evaluations=(chosen,)))
    arms = [{"name": arm, "title": {"en": arm}, "sources": {}, "config": {"model": {"framework": arm.split("-")[0]}}}
            for arm in grid]  # fmt: skip
    record = {"template": "default", "languages": ["en", "zh"], "best_of": {"by": BY, "metric": "val/AP"}} | record
    info = {**facts.info, "arms": arms, "runs": [one.name for one in runs], "seeds": [0, 1, 2], "goals": [],
            "claims": [], "record": record}  # fmt: skip
    return replace(facts, runs=tuple(runs), info=info)


def told(facts: ExperimentFacts, language: str = "en") -> BestOf:
    return BestOf(Results(facts, Words(language), Ledger()))


def test_the_highest_mean_is_the_best_and_not_the_highest_value(whole: ExperimentFacts) -> None:
    torch, jittor = groups_of(scored(whole), BY, "val/AP")
    assert (torch.value, torch.arms, torch.best) == ("torch", ("torch", "torch-rate"), "torch-rate")
    assert (jittor.value, jittor.best, jittor.lacking) == ("jittor", "jittor-rate", ())
    assert best_arm({"b": {0: 0.3, 1: 0.5}, "a": {0: 0.4, 1: 0.4}}) == "b", "the first one on a tie"
    assert best_arm({"a": {}, "b": {0: 0.0}}) == "b" and best_arm({"a": {}}) is None


def test_the_metric_of_the_recipe_chooses(whole: ExperimentFacts) -> None:
    other = told(scored(whole, best_of={"by": BY, "metric": "val/AP50"})).table()
    assert [row[2] for row in other.rows] == ["`torch`", "`jittor`"] and other.head[3] == "AP50 (%)"


def test_the_two_best_are_compared_with_an_interval(whole: ExperimentFacts) -> None:
    table = told(scored(whole)).table()
    assert table.head[0] == "`model.framework`"
    assert table.rows[0][:8] == ["`torch`", "2", "`torch-rate`", "47.0 ± 3.0", "3", "–", "–", "–"]
    row = table.rows[1]
    assert row[:6] == ["`jittor`", "2", "`jittor-rate`", "46.0 ± 1.0", "3", "-1.0"]
    assert row[6] == "[-7.6, +5.6]", "-1.0 ± 3.64 · 1.83: 2.44 degrees of freedom, (3.0² + 1.0²) / 3"
    assert row[7] == "⚠️ inconclusive (the interval includes 0)"
    assert len(row[8].split(", ")) == 6, "the choice rests on every arm of the group"


def test_apart_is_told_as_such(whole: ExperimentFacts) -> None:
    grid = {**GRID, "torch-rate": (0.60, 0.61, 0.62)}
    assert told(scored(whole, grid)).table().rows[1][7] == "lower (the interval excludes 0)"


def test_one_open_run_of_any_tried_arm_leaves_it_open(whole: ExperimentFacts) -> None:
    facts = scored(whole)
    runs = tuple(replace(run, state="stopped") if run.name == "jittor-s1" else run for run in facts.runs)
    table = told(replace(facts, runs=runs)).table()
    assert table.rows[0][2] == "`torch-rate`" and table.rows[1][2] == "`jittor-rate` (so far)"
    assert table.rows[1][7] == "⚠️ inconclusive (runs unfinished: `jittor-s1`)"
    nothing = told(replace(facts, runs=()))
    assert nothing.table().rows[1][2:8] == [
        "_(not measured yet)_", "_(not measured yet)_", "0", *["_(not measured yet)_"] * 3]  # fmt: skip
    assert nothing.lines() == []


def test_few_seeds_conclude_nothing(whole: ExperimentFacts) -> None:
    table = told(scored(whole, {arm: values[:1] for arm, values in GRID.items()})).table()
    assert table.rows[1][3:8] == ["45.0", "1", "-5.0", "–",
                                  "⚠️ inconclusive (fewer than 3 seeds a side)"]  # fmt: skip


def test_more_tries_on_one_side_are_told(whole: ExperimentFacts) -> None:
    facts = scored(whole, {arm: values for arm, values in GRID.items() if arm != "torch"})
    assert "the side with more is flattered more" in find(render(facts, "en"))["best"]
    assert "尝试较多的一方" in find(render(facts, "zh"))["best"]
    assert "the side with more" not in find(render(scored(whole), "en"))["best"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_says_what_it_is_and_is_not(whole: ExperimentFacts, language: str) -> None:
    facts = scored(whole)
    text = render(facts, language)
    said = find(text)["best"]
    for part in (
        ("The same pictures choose and judge", "another question") if language == "en"
        else ("选择与评判使用相同的图像", "另一个问题")
    ):  # fmt: skip
        assert part in said
    (line,) = told(facts, language).lines()
    assert line in find(text)["title"] and "`jittor-rate`" in line and "-1.0" in line
    number = r"\*\*Table (\d+)" if language == "en" else r"\*\*表 (\d+)"
    found = re.findall(number, text)
    assert found == [str(place) for place in range(1, len(found) + 1)], "one after the other"
    assert "Welch" in tables(facts, language) and "jittor-rate" in tables(facts, language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_other_recipes_have_no_such_part(whole: ExperimentFacts, language: str) -> None:
    facts = scored(whole, best_of=None)
    text = render(facts, language)
    assert "best" not in find(text) and "Best of each" not in text and "各组最佳" not in text
    assert not told(facts).table() and told(facts).lines() == []
