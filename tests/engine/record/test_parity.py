"""The record of two frameworks that train one model: equality, the document's rows, drift, cost, verdicts by rule."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from paired import Paired

from detui.engine.record.blocks import find
from detui.engine.record.facts import ExperimentFacts, Measured, Source
from detui.engine.record.figures import draw
from detui.engine.record.gather import gather
from detui.engine.record.parity import Parity
from detui.engine.record.parity_steps import Steps, floor_of, judged_arms, window_of
from detui.engine.record.parity_verdicts import accuracy, cost, equality, first_loss, later_losses, noise
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words


def trained(folder: Path, *, evaluate: bool = False, **more) -> ExperimentFacts:
    """All runs, to their end."""
    trial = Paired(folder, **more)
    for name in trial.runs:
        trial.train(name, evaluate=evaluate)
    return gather(trial.path)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFacts:
    """One seed, trained and evaluated; for tests that only read it."""
    return trained(tmp_path_factory.mktemp("paired"), seeds=(0,), evaluate=True)


def tables(facts: ExperimentFacts, language: str = "en") -> Parity:
    return Parity(Results(facts, Words(language), Ledger()))


def scored(facts: ExperimentFacts, **values: tuple[float, ...]) -> ExperimentFacts:
    """The same with AP by arm and seed (`torch_jitter` for `torch-jitter`)."""
    runs = []
    for arm, of in values.items():
        (run,) = facts.of(arm.replace("_", "-"))
        for seed, value in enumerate(of):
            chosen = {"epoch": 30, "attempt": 1, "step": 180, "values": {"val/AP": value}}
            runs.append(replace(run, name=f"{run.arm}-s{seed}", seed=seed, chosen=chosen, evaluations=(chosen,)))
    info = {**facts.info, "runs": [run.name for run in runs]}
    return replace(facts, runs=tuple(runs), info=info)


def test_roles_follow_the_configuration(facts: ExperimentFacts) -> None:
    assert floor_of(facts) == "torch-jitter" and judged_arms(facts) == ["jittor"]
    assert [window_of(step) for step in (1, 2, 10, 11, 10_001)] == [
        (1, 1), (2, 10), (2, 10), (11, 100), (10_001, None)]  # fmt: skip


def test_the_same_model_is_told_by_checksums_and_the_moved_arm_by_those_before(
    tmp_path: Path, facts: ExperimentFacts
) -> None:
    assert equality(facts, "jittor").key == "model equal" == equality(facts, "torch-jitter").key
    rows = {row[0]: row for row in tables(facts).equality().rows}
    assert rows["parameters"][1:5] == ["42,891,372"] * 3 + ["✅ equal"]
    assert rows["of them frozen"][1] == "28,512" and rows["published parameters of this size"][4] == "✅ equal"
    assert rows["first weights (checksum)"][4] == "✅ equal; `torch-jitter` was moved on purpose"
    other = trained(tmp_path, seeds=(0,), weights="f")
    assert equality(other, "jittor").values == (["first weights"],)
    rows = {row[0]: row for row in tables(other).equality().rows}
    assert rows["first weights (checksum)"][4].startswith("❌ not equal")


def test_first_and_later_losses_are_judged_by_the_noise(tmp_path: Path, facts: ExperimentFacts) -> None:
    assert first_loss(facts, "jittor").key == "first step equal"
    assert later_losses(facts, "jittor").key == "losses within"
    other = trained(tmp_path, seeds=(0,), first=2e-4, factor=3.0)
    said = later_losses(other, "jittor")
    assert first_loss(other, "jittor").key == "first step differs" and said.key == "losses beyond"
    assert said.values[1] == pytest.approx(3.0)
    row = next(row for row in tables(other).drift().rows if row[0] == "1" and "`jittor`" in row[1])
    assert row[2] == "2.0e-04"


def test_accuracy_follows_interval_noise_and_seeds(facts: ExperimentFacts) -> None:
    noisy = {"torch": (0.40, 0.42, 0.41), "torch_jitter": (0.41, 0.43, 0.405)}
    same = scored(facts, **noisy, jittor=(0.405, 0.425, 0.41))
    assert noise(same, "val/AP") == pytest.approx(0.03)
    assert accuracy(same, "jittor", "val/AP").key == "accuracy noise"
    worse = scored(facts, **noisy, jittor=(0.30, 0.31, 0.30))
    assert accuracy(worse, "jittor", "val/AP").key == "accuracy differs"
    assert "differs by -10.7 points" in tables(worse).said(accuracy(worse, "jittor", "val/AP"))
    wide = scored(facts, **noisy, jittor=(0.30, 0.45, 0.33))
    assert accuracy(wide, "jittor", "val/AP").key == "accuracy undecided"
    few = scored(facts, **{name: of[:2] for name, of in noisy.items()}, jittor=(0.40, 0.42))
    assert accuracy(few, "jittor", "val/AP").key == "cannot be told seeds"
    planned = {**same.info, "runs": [*same.info["runs"], "jittor-s3"]}
    assert accuracy(replace(same, info=planned), "jittor", "val/AP").key == "cannot be told unfinished"


def test_cost_is_a_ratio_and_needs_one_device(facts: ExperimentFacts) -> None:
    assert cost(facts, "jittor", "training").key == "slower"
    assert cost(facts, "jittor", "training").values == (pytest.approx(2.0), 1)
    assert cost(facts, "jittor", "step").values[0] == pytest.approx(0.59 / 0.30), "without the steps that compile"
    assert cost(facts, "jittor", "memory").key == "same memory"
    assert cost(facts, "jittor", "inference").key == "cannot be told cost"
    timed = replace(facts, runs=tuple(
        replace(run, cost={**run.cost, "model/latency": Measured(0.1 if run.arm == "torch" else 0.05,
                                                                 Source(run.name, 1, None, "speed.jsonl"))})
        for run in facts.runs))  # fmt: skip
    assert tables(timed).said(cost(timed, "jittor", "inference")) == "faster by 2.00× (1 runs)"
    moved = [replace(run, attempts=tuple(replace(one, device_model="Other") for one in run.attempts))
             if run.arm == "jittor" else run for run in facts.runs]  # fmt: skip
    assert cost(replace(facts, runs=tuple(moved)), "jittor", "training").key == "cannot be told devices"
    assert Steps({}, {}).step_seconds() is None


def test_the_documents_rows_stand_beside_its_claims(facts: ExperimentFacts) -> None:
    rows = {(row[0], row[1]): row for row in tables(facts).document().rows}
    time = rows["training time", "`jittor`"]
    assert time[4:7] == ["+100.0 %", "1", "claimed: 422.7 s against 191.4 s (+120.8 %)"]
    assert rows["first loss (mean of epoch 1)", "`jittor`"][6] == "claimed: 6.2949 against 2.7684 (+127.4 %)"
    assert rows["parameters", "`jittor`"][2:5] == ["42,891,372", "42,891,372", "0.0 %"]
    assert rows["loss of the first step", "`jittor`"][4] == "+0.00020 %"
    assert rows["training time", "`torch-jitter`"][6] == "–", "the document knows no noise floor"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_languages_have_the_same_blocks(facts: ExperimentFacts, language: str) -> None:
    pictures = draw(facts, {}, photographs=False)
    assert {"parity", "losses", "ap"} <= {picture.name for picture in pictures}
    text = render(facts, language, pictures)
    assert list(find(text)) == list(find(render(facts, "en", pictures)))
    number = r"^\*\*Table (\d+)" if language == "en" else r"^\*\*表 (\d+)"
    assert re.findall(number, text, re.MULTILINE) == [str(place) for place in range(1, 12)]
    verdicts = find(text)["verdicts"]
    assert ("the same model" if language == "en" else "同一模型") in verdicts


def test_it_reads_sensibly_while_arms_are_unfinished_and_quick_runs_are_no_result(tmp_path: Path) -> None:
    trial = Paired(tmp_path, seeds=(0,), profile="quick")
    for language, said in (("en", "not both have begun"), ("zh", "双方尚未都开始")):
        assert said in find(render(gather(trial.path), language))["verdicts"]
    trial.train("torch-s0", evaluate=False)
    trial.train("jittor-s0", 3, ended=None, evaluate=False)
    blocks = find(render(gather(trial.path), "en"))
    assert "runs are unfinished" in blocks["verdicts"] and "there is no noise floor yet" in blocks["verdicts"]
    assert "quick run: not a result" in blocks["verdicts"] and "quick run: not a result" in blocks["document"]
