"""The table of convergence: each finished run, the means of its arm, and reasons where there is no number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from crossed import Crossed

from detui.engine.record.convergence import ConvergenceTable, of_run
from detui.engine.record.facts import ExperimentFacts, Measured, RunFacts, Source
from detui.engine.record.gather import gather
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

CURVES = {0: {10: 0.1, 20: 0.3, 25: 0.34, 30: 0.36}, 1: {10: 0.2, 20: 0.3, 25: 0.40, 30: 0.38}}


@pytest.fixture(scope="module")
def facts(crossed: Crossed) -> ExperimentFacts:
    """One arm's runs with curves whose numbers are known; the third seed was stopped."""
    facts = gather(crossed.path)
    known = [curve(run, CURVES[run.seed]) for run in facts.of("l-crowded") if run.seed in CURVES]
    rest = [replace(run, state="stopped", epoch=20) for run in facts.of("l-crowded") if run.seed not in CURVES]
    return replace(facts, runs=(*known, *rest), info={**facts.info, "arms": facts.info["arms"][:1]})


def curve(run: RunFacts, points: dict[int, float | None]) -> RunFacts:
    lines = tuple({"epoch": epoch, "values": {"val/AP": value}, "attempt": 1} for epoch, value in points.items())
    return replace(run, evaluations=lines)


def rows(facts: ExperimentFacts, language: str = "en") -> list[list[str]]:
    return [list(row) for row in ConvergenceTable(Results(facts, Words(language), Ledger())).table().rows]


def test_a_row_a_run_and_the_mean_of_the_finished_seeds(facts: ExperimentFacts) -> None:
    first, second, third, mean = rows(facts)
    assert first[2:8] == ["36.0", "(10, 20]", "(20, 25]", "26.7 (10–30)", "2.0; std 1.4 (n = 2)",
                          "yes (+2.0 pp since epoch 25)"]  # fmt: skip
    assert second[2:8] == ["38.0", "≤ 10 (first evaluation)", "(20, 25]", "31.0 (10–30)", "2.0; std 1.4 (n = 2)",
                           "no (-2.0 pp since epoch 25; highest at 25)"]  # fmt: skip
    assert third[1].startswith("2 (unfinished") and set(third[2:8]) == {"unfinished"}
    assert mean[1] == "**mean ± std (n = 2); 2 of 3 seeds finished**"
    assert mean[2:8] == [
        "**37.0 ± 1.4**",
        "**≤ 15 ± 7.07**",
        "**≤ 25 ± 0**",
        "**28.9 ± 3.0**",
        "**2.0 ± 0.0**",
        "1 of 2",
    ]
    assert first[8:10] == ["3.2 s", "416 MiB (host)"] and mean[9] == "**416 MiB ± 0 MiB** (host)"
    assert all(row[-1].startswith("S") for row in (first, second, third, mean))


def test_memory_of_a_gpu_is_said_to_be_that(facts: ExperimentFacts) -> None:
    peak = Measured(3 * 2**30, Source("r", 1, None, "metrics.jsonl"))
    runs = tuple(replace(run, cost={**run.cost, "cost/gpu_memory": peak}) for run in facts.runs)
    told = rows(replace(facts, runs=runs))
    assert told[0][9] == "3.0 GiB (GPU)" and told[-1][9] == "**3.0 GiB ± 0 MiB** (GPU)"


def test_what_cannot_be_said_stands_with_its_reason_and_in_no_mean(facts: ExperimentFacts) -> None:
    one, zero = curve(facts.runs[0], {30: 0.2}), curve(facts.runs[1], {10: 0.0, 30: 0.0})
    first, second, _, mean = rows(replace(facts, runs=(one, zero, facts.runs[2])))
    assert first[2] == "20.0" and first[3] == first[5] == first[7] == "— (one evaluation only)"
    assert first[6] == "— (fewer than two evaluations in the last 10 epochs)"
    assert second[2:5] == ["0.0", "— (the final AP is 0)", "— (the final AP is 0)"]
    assert mean[3] == "–" and mean[5] == "**0.0** (n = 1)"
    nothing = rows(replace(facts, runs=(curve(facts.runs[0], {}),)))
    assert nothing[0][2] == "— (nothing evaluated)"
    waiting = rows(replace(facts, runs=(replace(curve(facts.runs[0], {}), waiting=("p.json",)),)))
    assert waiting[0][2] == "_(not measured yet)_"


def test_areas_over_different_epochs_have_no_mean(facts: ExperimentFacts) -> None:
    runs = (facts.runs[0], curve(facts.runs[1], {5: 0.2, 30: 0.4}))
    assert rows(replace(facts, runs=runs))[-1][5] == "— (over different epochs)"


def test_both_languages_have_the_same_numbers_and_say_the_rule(facts: ExperimentFacts) -> None:
    english, chinese = rows(facts), rows(facts, "zh")
    assert [len(row) for row in english] == [len(row) for row in chinese]
    assert "是（自第 25 轮起 +2.0 pp）" in chinese[0] and "36.0" in chinese[0]
    for language in ("en", "zh"):
        said = ConvergenceTable(Results(facts, Words(language), Ledger())).about()
        assert "(a, b]" in said and "10" in said


def test_a_real_run_ends_with_its_last_evaluation(crossed: Crossed) -> None:
    run = gather(crossed.path).of("mnv4-simple")[0]
    assert of_run(run).final == run.evaluations[-1]["values"]["val/AP"]
