"""What goals and decision rules make of the numbers, in the record that a person hands in."""

from __future__ import annotations

import json

import pytest

from detui.engine.analysis import compare
from detui.engine.errors import RecipeError
from detui.engine.evaluate import evaluate
from detui.engine.recipe.load import load_recipe
from detui.engine.record import fill
from detui.engine.record.facts import record_path
from detui.engine.record.gather import gather

STEPS = [
    {"at_least": 0.02, "title": {"en": "reached", "zh": "达到预期"}, "next": {"en": "go on", "zh": "继续优化"}},
    {"at_least": 0.01, "title": {"en": "partly", "zh": "部分达到"}, "next": {"en": "other weights", "zh": "调整权重"}},
    {"at_least": None, "title": {"en": "not reached", "zh": "未达到"}, "next": {"en": "look why", "zh": "分析原因"}},
]


def decision(**changes) -> list[dict]:
    return [{"metric": "val/AP", "arm": "no-mosaic", "against": "baseline", "steps": STEPS, **changes}]


def section(trial, name: str, language: str = "en") -> str:
    text = record_path(trial.path, language).read_text()
    return text.split(f"<!-- detui:begin {name} -->")[1].split(f"<!-- detui:end {name} -->")[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_step_that_the_difference_reaches_is_ticked(make_trial, language: str) -> None:
    trial = make_trial(profile="full", seeds=(0, 1, 2), decisions=decision())
    trial.train_all()
    fill(trial.path)
    facts = gather(trial.path)
    delta = compare(facts.values("baseline", "val/AP"), facts.values("no-mosaic", "val/AP")).delta
    expected = 0 if delta >= 0.02 else 1 if delta >= 0.01 else 2
    lines = [line for line in section(trial, "decisions", language).splitlines() if line.startswith("- [")]
    assert [line[3] for line in lines] == ["x" if index == expected else " " for index in range(3)], lines
    assert (
        STEPS[expected]["title"][language] in lines[expected] and STEPS[expected]["next"][language] in lines[expected]
    )
    assert f"{100 * delta:+.1f} pp" in section(trial, "decisions", language)


def test_nothing_is_decided_below_three_seeds_or_while_a_run_is_open(make_trial) -> None:
    trial = make_trial(decisions=decision())
    trial.train_all()
    fill(trial.path)
    text = section(trial, "decisions")
    assert "- [x]" not in text and "nothing is decided: fewer than 3 seeds a side" in text


def test_an_open_run_decides_nothing(make_trial) -> None:
    trial = make_trial(profile="full", seeds=(0, 1, 2), decisions=decision())
    for name in list(trial.runs)[:-1]:
        trial.train(name)
    fill(trial.path)
    text = section(trial, "decisions")
    assert "- [x]" not in text and "runs unfinished: `no-mosaic-s2`" in text


def test_goals_tick_the_conclusions(finished) -> None:
    text = section(finished, "conclusions")
    facts = gather(finished.path)
    met = sum(facts.values("no-mosaic", "val/AP50").values()) / 2 >= 0.42
    assert f"- [{'x' if met else ' '}] useful: AP50 ≥ 42.0 %" in text
    assert "- [ ] mosaic matters" in text and "fewer than 3 seeds" in text


def test_the_final_table_holds_reference_result_change_and_goal(finished) -> None:
    facts, text = gather(finished.path), section(finished, "final")
    means = [sum(facts.values(arm, "val/AP50").values()) / 2 for arm in facts.arms]
    row = next(line for line in text.splitlines() if line.startswith("| AP50 (%)"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:5] == [f"{100 * means[0]:.1f}", f"{100 * means[1]:.1f}", f"{100 * (means[1] - means[0]):+.1f} pp"]
    assert "useful" in cells[5] and "met" in cells[6]
    parameters = next(line for line in text.splitlines() if line.startswith("| parameters"))
    assert "2,602,288 | 2,602,288 | +0.0 %" in parameters


def test_precision_and_recall_stand_with_their_confidence(finished) -> None:
    text = section(finished, "operating")
    run = gather(finished.path).runs[0]
    truth = json.loads((finished.path.parent / "prepared" / "val.json").read_text())
    found = finished.path / "runs" / run.name / "attempts/1" / run.chosen["predictions"]
    values = evaluate(truth, json.loads(found.read_text())).values
    row = next(line for line in text.splitlines() if line.startswith("| `baseline` | 0 |"))
    for name, form in (("precision", "{:.1f}"), ("recall", "{:.1f}"), ("F1", "{:.1f}")):
        assert f"| {form.format(100 * values[name])} |" in row
    assert f"| {values['F1_confidence']:.3f} |" in row


def test_what_so_few_seeds_would_not_show_is_said(make_trial) -> None:
    trial = make_trial(profile="full", seeds=(0, 1, 2))
    trial.train_all()
    fill(trial.path)
    facts = gather(trial.path)
    seen = compare(facts.values("baseline", "val/AP"), facts.values("no-mosaic", "val/AP")).detectable
    assert f"AP {100 * seen:.1f}" in section(trial, "delta") and "power 80 %" in section(trial, "delta")
    assert "功效 80 %" in section(trial, "delta", "zh")


def test_confounders_in_what_was_built_are_in_the_record(make_trial) -> None:
    trial = make_trial()
    for name in trial.runs:
        other = {"packages": {"Python": "3.11.7", "torch": "2.12.0", "ultralytics": "8.4.190"}}
        trial.train(name, begin=other if name.startswith("no-mosaic") else {})
    fill(trial.path)
    text = section(trial, "differs")
    assert (
        "Confounders" in text and "package.torch differs between the arms (baseline: 2.13.0, no-mosaic: 2.12.0)" in text
    )


RECIPE = """\
schema: 1
title: t
question: q
backend: command
base: {{command: ["true"], epochs: 1}}
arms: {{a: {{}}, b: {{}}}}
decisions:
  - metric: val/AP
    arm: {arm}
    against: a
    steps: {steps}
"""


@pytest.mark.parametrize(
    ("arm", "steps", "says"),
    [
        ("c", "[{at_least: 0.1, title: x}, {title: y}]", "no arm 'c'"),
        ("b", "[{at_least: 0.1, title: x}]", "2 items"),
        ("b", "[{title: x}, {title: y}]", "every step but the last has at_least"),
        ("b", "[{at_least: 0.1, title: x}, {at_least: 0.0, title: y}]", "the last has none"),
        ("b", "[{at_least: 0.1, title: x}, {at_least: 0.2, title: y}, {title: z}]", "the bounds of the steps fall"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path, arm: str, steps: str, says: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.format(arm=arm, steps=steps))
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(str(path))
    assert "r.yaml:8" in str(caught.value) or "r.yaml:9" in str(caught.value) or "r.yaml:11" in str(caught.value)


def test_the_test_images_say_how_much_they_matter_and_are_asked_once(finished, monkeypatch) -> None:
    from detui.engine.record import over_images

    text = section(finished, "images")
    row = next(line for line in text.splitlines() if "| AP |" in line)
    assert "`no-mosaic-s0` − `baseline-s0`" in row and row.rstrip().endswith("| 10 |")
    kept = json.loads((finished.path / "record.json").read_text())["images"]["no-mosaic"]
    delta = next(one for one in kept["deltas"] if one["metric"] == "AP")
    assert f"[{100 * delta['interval'][0]:+.1f}, {100 * delta['interval'][1]:+.1f}]" in row
    monkeypatch.setattr(over_images, "compare_runs", lambda *_: pytest.fail("the predictions are the same"))
    before = (finished.path / "record.json").read_bytes()
    fill(finished.path)
    assert (finished.path / "record.json").read_bytes() == before


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ("{metric: model/parameters, arm: b, unchanged: true}", "against belongs to"),
        ("{metric: val/AP, arm: b, against: a, unchanged: true}", "only model/parameters"),
        ("{metric: model/gflops, arm: b, against: c, unchanged: true}", "no arm 'c'"),
        ("{metric: model/gflops, arm: b, against: a, unchanged: yes}", "True"),
    ],
)
def test_an_unchanged_goal_that_makes_no_sense_names_its_line(tmp_path, goal: str, says: str) -> None:
    path = tmp_path / "r.yaml"
    good = RECIPE[: RECIPE.index("decisions:")].format() + "goals:\n  - "
    path.write_text(good + "{metric: model/gflops, arm: b, against: a, unchanged: true}\n")
    assert load_recipe(str(path)).file.goals[0].unchanged
    path.write_text(f"{good}{goal}\n")
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(str(path))
    assert "r.yaml:8" in str(caught.value)
