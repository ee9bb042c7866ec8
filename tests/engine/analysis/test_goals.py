"""Goals and their verdicts."""

from __future__ import annotations

import pytest

from detui.engine.analysis import judge_goal
from detui.engine.recipe.schema import Goal

RESULTS = {
    "baseline": {"val/AP50": {0: 0.40, 1: 0.42, 2: 0.41}, "val/AP": {0: 0.2}},
    "weighted": {"val/AP50": {0: 0.50, 1: 0.52, 2: 0.51}, "val/AP": {0: 0.9}},
}
AGAINST = {"metric": "val/AP50", "arm": "weighted", "against": "baseline"}


@pytest.mark.parametrize(
    ("goal", "word", "measured"),
    [
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.41}, "met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.42}, "not met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_most": 0.42}, "met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_most": 0.40}, "not met", 0.41),
        ({**AGAINST, "delta_at_least": 0.05}, "met", 0.10),
        ({**AGAINST, "delta_at_least": 0.20}, "not met", 0.10),
        ({**AGAINST, "delta_at_least": 0.10}, "inconclusive", 0.10),
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.40, "at_most": 0.42}, "met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.41, "at_most": 0.42}, "met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.40, "at_most": 0.41}, "met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.42, "at_most": 0.44}, "not met", 0.41),
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.36, "at_most": 0.40}, "not met", 0.41),
        ({"metric": "val/AP50", "at_least": 0.40, "at_most": 0.45}, "not met", 0.51),
        ({"metric": "val/AP50", "arm": None, "at_least": 0.45}, "not met", 0.41),
        ({"metric": "val/AP50", "at_least": 0.40}, "met", 0.41),
    ],
)
def test_verdicts(goal, word, measured):
    verdict = judge_goal(goal, RESULTS)
    assert verdict.word == word and verdict.measured == pytest.approx(measured)


@pytest.mark.parametrize(
    ("goal", "names"),
    [
        ({"metric": "val/AP50", "arm": "baseline", "at_least": 0.41}, ("baseline-s1",)),
        ({"metric": "val/AP50", "arm": "baseline", "at_most": 0.9}, ("baseline-s1",)),
        ({"metric": "val/AP50", "at_least": 0.1}, ("baseline-s1",)),
        ({**AGAINST, "delta_at_least": 0.05}, ("baseline-s1",)),
    ],
)
def test_an_unfinished_run_leaves_every_kind_of_goal_open(goal, names):
    verdict = judge_goal(goal, RESULTS, {"baseline": ["baseline-s1"], "weighted": []})
    assert (verdict.word, verdict.reason, verdict.unfinished) == ("inconclusive", "runs unfinished", names)


def test_a_goal_is_not_held_up_by_runs_that_it_is_not_about():
    goal = {"metric": "val/AP50", "arm": "weighted", "at_least": 0.1}
    assert judge_goal(goal, RESULTS, {"baseline": ["baseline-s1"]}).word == "met"


def test_a_delta_of_single_seeds_is_inconclusive_however_large():
    verdict = judge_goal({**AGAINST, "metric": "val/AP", "delta_at_least": 0.1}, RESULTS)
    assert (verdict.word, verdict.reason, verdict.n) == ("inconclusive", "too few seeds", (1, 1))
    assert verdict.measured == pytest.approx(0.7)


def test_a_goal_at_an_iteration_is_about_that_one():
    results = {"a": {"aqr/clamp": {0: 2.0}, "aqr/clamp@50": {0: 1.0, 1: 1.2}}}
    goal = {"metric": "aqr/clamp", "arm": "a", "iteration": 50, "at_most": 1.5}
    assert judge_goal(goal, results).n == (2,) and judge_goal(goal, results).word == "met"
    assert judge_goal({**goal, "iteration": 51}, results).word == "not measured"


def test_the_number_of_seeds_stands_beside_an_absolute_verdict():
    assert judge_goal({"metric": "val/AP", "arm": "weighted", "at_least": 0.5}, RESULTS).n == (1,)


@pytest.mark.parametrize(
    "goal",
    [
        {"metric": "val/AP_small", "arm": "baseline", "at_least": 0.1},
        {"metric": "val/AP", "arm": "absent", "at_least": 0.1},
        {"metric": "val/AP_small", "arm": "weighted", "against": "baseline", "delta_at_least": 0.1},
    ],
)
def test_what_nobody_measured_is_not_judged(goal):
    assert judge_goal(goal, RESULTS).word == "not measured"


def test_a_goal_for_every_arm_waits_for_every_arm():
    results = {"baseline": RESULTS["baseline"], "weighted": {}}
    assert judge_goal({"metric": "val/AP50", "at_least": 0.1}, results).word == "not measured"


UNCHANGED = {"metric": "model/parameters", "arm": "weighted", "against": "baseline", "unchanged": True}


@pytest.mark.parametrize(
    ("reference", "arm", "word", "measured"),
    [
        ({0: 2602288.0}, {0: 2602288.0}, "met", 0.0),
        ({0: 6.458, 1: 6.458}, {0: 6.458, 1: 6.458 * (1 + 1e-12)}, "met", 0.0),
        ({0: 2602288.0, 1: 2602288.0}, {0: 2602288.0, 1: 2602432.0}, "not met", 72.0),
        ({0: 2602288.0, 1: 2602432.0}, {0: 2602288.0, 1: 2602432.0}, "not met", 0.0),
        ({0: 2602288.0}, {}, "not measured", None),
        ({}, {0: 2602288.0}, "not measured", None),
    ],
)
def test_unchanged_is_equal_for_all_seeds_of_both_arms(reference, arm, word, measured):
    results = {"baseline": {"model/parameters": reference}, "weighted": {"model/parameters": arm}}
    verdict = judge_goal(UNCHANGED, results)
    assert verdict.word == word and verdict.measured == (None if measured is None else pytest.approx(measured))
    assert verdict.interval is None


def test_what_must_be_unchanged_waits_for_unfinished_runs():
    results = {arm: {"model/parameters": {0: 1.0}} for arm in ("baseline", "weighted")}
    verdict = judge_goal(UNCHANGED, results, {"weighted": ["weighted-s1"]})
    assert (verdict.word, verdict.reason) == ("inconclusive", "runs unfinished")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"at_least": 1.0}, "exactly one of"),
        ({"unchanged": False}, "True"),
        ({"against": None}, "against belongs to"),
        ({"arm": None}, "both arm and against"),
        ({"against": "weighted"}, "never differ"),
        ({"metric": "val/AP50"}, "only model/parameters, model/gflops, model/gmacs"),
    ],
)
def test_an_unchanged_goal_that_makes_no_sense_is_refused(changes, says):
    assert Goal.model_validate(UNCHANGED).unchanged
    with pytest.raises(ValueError, match=says):
        Goal.model_validate({**UNCHANGED, **changes})
