"""The record of two frameworks that train one model: equality, the document's rows, drift, cost, verdicts by rule."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from paired import EPOCHS, Paired

from detui.engine.record import parity_verdicts
from detui.engine.record.blocks import find
from detui.engine.record.facts import ExperimentFacts, Measured, Source
from detui.engine.record.figures import draw
from detui.engine.record.gather import gather
from detui.engine.record.parity import Parity
from detui.engine.record.parity_figures import inputs
from detui.engine.record.parity_steps import SECONDS, Drifted, Steps, floor_of, judged_arms, window_of
from detui.engine.record.parity_verdicts import accuracy, cost, cost_of, equality, first_loss, later_losses, noise
from detui.engine.record.render import Picture, render
from detui.engine.record.results import Results
from detui.engine.record.setup import Setup
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
    assert [window_of(step) for step in (1, 2, 10, 11, 100, 101, 1000, 1001, 10_000, 10_001)] == [
        (1, 1), (2, 10), (2, 10), (11, 100), (11, 100), (101, 1000), (101, 1000), (1001, 10_000), (1001, 10_000),
        (10_001, None)]  # fmt: skip


def timed(*seconds: float) -> Steps:
    """Steps that take so long, in equal parts."""
    return Steps({}, {name: {step: one / 3 for step, one in enumerate(seconds, start=1)} for name in SECONDS})


def test_times_leave_the_first_tenth_out_and_long_steps_of_it_are_compiling() -> None:
    usual = [1.0, 2.0, 3.0] * 6  # and two before them
    steps = timed(10.0, 5.0, *usual)
    assert steps.step_seconds() == pytest.approx(2.0) and sum(steps.split().values()) == pytest.approx(2.0)
    assert steps.compiling_seconds() == pytest.approx(8.0 + 3.0)
    assert timed(10.0, 2.0, 50.0, *usual).compiling_seconds() == pytest.approx(8.0), "a long step later on is none"
    assert timed(3.9, 2.0, *usual).compiling_seconds() == 0, "up to twice the median it is a step"
    assert timed(4.1, 2.0, *usual).compiling_seconds() == pytest.approx(2.1)
    few = timed(9.0, 1.0, 1.0)
    assert (few.step_seconds(), few.compiling_seconds()) == pytest.approx((1.0, 8.0)), "one step at least is left out"
    assert sum(few.split().values()) == pytest.approx(1.0)
    one = timed(9.0)
    assert one.step_seconds() is None and one.compiling_seconds() is None and one.split() == {}


def test_the_same_model_is_told_by_checksums_and_the_moved_arm_by_those_before(
    tmp_path: Path, facts: ExperimentFacts
) -> None:
    assert equality(facts, "jittor").key == "model equal" == equality(facts, "torch-jitter").key
    rows = {row[0]: row for row in tables(facts).equality().rows}
    assert rows["parameters"][1:5] == ["42,891,372"] * 3 + ["✅ equal"]
    assert rows["of them frozen"][1] == "28,512" and rows["published parameters of this size"][4] == "✅ equal"
    assert rows["stored beside them in the published model of this size"][1:5] == ["128,000"] * 3 + ["✅ equal"]
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
    same = scored(facts, torch=(0.405, 0.415, 0.41), torch_jitter=(0.41, 0.42, 0.405), jittor=(0.405, 0.416, 0.41))
    assert noise(same, "val/AP") == pytest.approx(0.015)
    assert accuracy(same, "jittor", "val/AP").key == "accuracy noise"
    apart = scored(facts, torch=(0.409, 0.411, 0.41), torch_jitter=(0.41,) * 3, jittor=(0.408, 0.418, 0.413))
    assert accuracy(apart, "jittor", "val/AP").key == "accuracy undecided", "3 tenths are more than the noise of 2"
    worse = scored(facts, **noisy, jittor=(0.30, 0.31, 0.30))
    assert accuracy(worse, "jittor", "val/AP").key == "accuracy differs"
    assert "differs by -10.7 points" in tables(worse).said(accuracy(worse, "jittor", "val/AP"))
    wide = scored(facts, **noisy, jittor=(0.30, 0.45, 0.33))
    assert accuracy(wide, "jittor", "val/AP").key == "accuracy undecided"
    few = scored(facts, **{name: of[:2] for name, of in noisy.items()}, jittor=(0.40, 0.42))
    assert accuracy(few, "jittor", "val/AP").key == "cannot be told seeds"
    planned = {**same.info, "runs": [*same.info["runs"], "jittor-s3"]}
    assert accuracy(replace(same, info=planned), "jittor", "val/AP").key == "cannot be told unfinished"


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [  # half of the interval is 2.267 standard deviations
        (0.40, 0.0087, "accuracy noise"),
        (0.40, 0.0090, "cannot be told width"),
        (0.05, 0.0043, "accuracy noise"),
        (0.05, 0.0046, "cannot be told width"),
        (0.0, 0.0, "cannot be told nothing"),
    ],
)
def test_an_interval_says_something_where_it_is_narrow(facts: ExperimentFacts, mean, std, said) -> None:
    of = (mean - std, mean, mean + std)
    wide = scored(facts, torch=of, torch_jitter=of, jittor=of)
    found = accuracy(wide, "jittor", "val/AP")
    assert found.key == said
    text = tables(wide).said(found)
    if said == "cannot be told width":
        seen, low, high, half, _ = found.values
        assert seen > half > 0 and low == pytest.approx(-half) and high == pytest.approx(half)
        assert f"differences below {100 * seen:.1f} points would not be seen" in text
        assert f"小于 {100 * seen:.1f} 个百分点" in tables(wide, "zh").said(found)
    assert text.startswith("✅" if said == "accuracy noise" else "⚠️")


@pytest.mark.parametrize(("apart", "said"), [(0.9e-4, "first step equal"), (-1.1e-4, "first step differs")])
def test_the_first_step_may_differ_by_1e_4(facts: ExperimentFacts, monkeypatch, apart: float, said: str) -> None:
    monkeypatch.setattr(parity_verdicts, "drifts", lambda *_: {0: {1: 0.0}, 1: {1: apart, 2: 1.0}})
    assert first_loss(facts, "jittor").key == said


@pytest.mark.parametrize(
    ("ours", "floor", "said"),
    [
        (1.9e-3, 1e-3, "losses within"),
        (2.1e-3, 1e-3, "losses beyond"),
        (0.9e-4, 1e-6, "losses within"),
        (1.1e-4, 1e-6, "losses beyond"),
    ],
)
def test_later_losses_may_drift_twice_as_far_or_1e_4(facts, monkeypatch, ours, floor, said) -> None:
    def windows(_: ExperimentFacts, arm: str) -> dict:
        typical = ours if arm == "jittor" else floor
        return {(1, 1): Drifted(1.0, 1.0, 1.0, 3), (2, 10): Drifted(typical, 1.0, 0.0, 3)}

    monkeypatch.setattr(parity_verdicts, "windows", windows)
    assert later_losses(facts, "jittor").key == said


@pytest.mark.parametrize(("factor", "said"), [(1.04, "as fast"), (1.06, "slower"), (0.96, "as fast"), (0.94, "faster")])
def test_costs_within_5_percent_are_the_same(facts: ExperimentFacts, factor: float, said: str) -> None:
    def costed(run):
        value = Measured(factor if run.arm == "jittor" else 1.0, Source(run.name, 1, None, "metrics.jsonl"))
        return replace(run, cost={**run.cost, "cost/training_seconds": value})

    assert cost(replace(facts, runs=tuple(map(costed, facts.runs))), "jittor", "training").key == said


def test_packages_of_declared_environments_are_no_confounders(facts: ExperimentFacts) -> None:
    setup = Setup(facts, Words("en"))
    assert setup.confounders() == []
    assert setup.notes()[-1] == "packages differ, as the environments do: numpy 2.4.6 (detui) / 1.26.4 (jittor)."
    assert Setup(facts, Words("zh")).notes()[-1].startswith("软件包因环境不同而不同：numpy")
    undeclared = replace(facts, info={**facts.info, "varies": ["model.framework", "train.jitter"]})
    assert any("package.numpy" in text for text in Setup(undeclared, Words("en")).confounders())


def test_what_is_not_under_test_and_what_is_of_another_length_say_so(facts: ExperimentFacts) -> None:
    rows = {(row[0], row[1]): row for row in tables(facts).document().rows}
    last, first = "last loss (mean of the last epoch)", "first loss (mean of epoch 1)"
    assert rows[last, "`jittor`"][6].endswith(f"; of epoch 50, where these runs have {EPOCHS}")
    assert "of epoch" not in rows[first, "`jittor`"][6]
    for language, floor, quick in (("en", "the noise floor, not what is under test", "another model than the"),
                                   ("zh", "噪声基线，并非被检验的对象", "此处的模型与文档中的不同")):  # fmt: skip
        text = render(facts, language)
        lines = [line for line in text.splitlines() if line.startswith("- ") and "`torch-jitter`" in line]
        assert any(floor in line for line in lines), text[:1500]
        assert "convergence" in find(text)
        assert quick not in text and quick in render(replace(facts, info={**facts.info, "profile": "quick"}), language)


def test_what_compiling_takes_stands_alone(facts: ExperimentFacts) -> None:
    rows = {(row[0], row[1]): row for row in tables(facts).document().rows}
    (run,) = facts.of("jittor")
    compiling = cost_of(facts, run, "compiling")
    assert compiling == pytest.approx(99 * 0.59, abs=0.1), "the first step takes 100 times as long"
    assert rows["of it long first steps: compiling, warming up", "`jittor`"][2:5] == ["30 s", "58 s", "–"]
    assert cost_of(facts, run, "training bare") == pytest.approx(120 - compiling)
    verdicts = {row[0]: row[2] for row in tables(facts).verdicts().rows}
    assert verdicts["What does the training cost, compiling included?"] == "slower by 2.00× (runs: 1)"
    assert "compiling left out" in " ".join(verdicts)


def test_cost_is_a_ratio_and_needs_one_device(facts: ExperimentFacts) -> None:
    assert cost(facts, "jittor", "training").key == "slower"
    assert cost(facts, "jittor", "training").values == (pytest.approx(2.0), 1)
    assert cost(facts, "jittor", "step").values[0] == pytest.approx(0.59 / 0.30), "without the steps that compile"
    assert cost(facts, "jittor", "memory").key == "same memory"
    untold = cost(facts, "jittor", "inference")
    assert untold.values == ([f"{facts.info['id']}/{arm}-s0" for arm in ("torch", "jittor")],)
    assert f"`detui speed {facts.info['id']}/jittor-s0`" in tables(facts).said(untold), "the next step"
    timed = replace(facts, runs=tuple(
        replace(run, cost={**run.cost, "model/latency": Measured(0.1 if run.arm == "torch" else 0.05,
                                                                 Source(run.name, 1, None, "speed.jsonl"))})
        for run in facts.runs))  # fmt: skip
    assert tables(timed).said(cost(timed, "jittor", "inference")) == "faster by 2.00× (runs: 1)"
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


def test_the_claims_have_words_and_the_digits_of_the_document(facts: ExperimentFacts) -> None:
    for language, time, loss in (("en", "training time", "training loss"), ("zh", "训练时间", "训练损失")):
        rows = Results(facts, Words(language), Ledger()).claims().rows
        assert [row[0] for row in rows[:4]] == [time, time, loss, loss]
        assert [(row[2], row[3]) for row in rows[:4]] == [
            ("–", "422.7 s"), ("–", "191.4 s"), ("1", "6.2949"), ("1", "2.7684")]  # fmt: skip


def test_without_the_other_framework_there_is_nothing_to_judge(facts: ExperimentFacts) -> None:
    """As `--arm torch --arm torch-jitter` leaves it out."""
    info = {
        **facts.info,
        "arms": [arm for arm in facts.info["arms"] if arm["name"] != "jittor"],
        "runs": [name for name in facts.info["runs"] if not name.startswith("jittor")],
    }
    left = replace(facts, info=info, runs=tuple(run for run in facts.runs if run.arm != "jittor"))
    blocks = find(render(left, "en"))
    assert "there is nothing to judge" in blocks["verdicts"] and "`jittor`" not in blocks["equality"]
    assert "`torch-jitter`" in blocks["drift"] and "`torch-jitter`" in blocks["speed"]
    assert "computes in another framework" in Words("en")("nobody judged") and not tables(left, "zh").verdicts()


@pytest.mark.slow  # matplotlib
def test_the_figures_are_drawn(facts: ExperimentFacts) -> None:
    assert {"parity", "losses", "ap"} <= {picture.name for picture in draw(facts, {}, photographs=False)}


def test_figures_are_made_of_both_sides_and_the_band_of_the_noise(facts: ExperimentFacts) -> None:
    found = inputs(facts)
    assert set(found["steps"]) == {"torch", "torch-jitter", "jittor"} and set(found["apart"]) == {
        "torch-jitter", "jittor"}  # fmt: skip
    places, low, high = found["bands"][0]
    assert len(places) == 180 and all(one <= two for one, two in zip(low, high, strict=True))


def test_both_languages_have_the_same_blocks(facts: ExperimentFacts) -> None:
    pictures = [Picture(name, f"figures/{name}.png") for name in ("parity", "losses", "ap")]
    texts = {language: render(facts, language, pictures) for language in ("en", "zh")}
    assert list(find(texts["en"])) == list(find(texts["zh"]))
    for language, number, said in (("en", r"^\*\*Table (\d+)", "the same model"), ("zh", r"^\*\*表 (\d+)", "同一模型")):
        numbers = re.findall(number, texts[language], re.MULTILINE)
        assert numbers == [str(place) for place in range(1, 13)]
        assert said in find(texts[language])["verdicts"]


def test_it_reads_sensibly_while_arms_are_unfinished_and_quick_runs_are_no_result(tmp_path: Path) -> None:
    trial = Paired(tmp_path, seeds=(0,), profile="quick")
    for language, said in (("en", "not both have begun"), ("zh", "双方尚未都开始")):
        assert said in find(render(gather(trial.path), language))["verdicts"]
    trial.train("torch-s0", evaluate=False)
    trial.train("jittor-s0", 3, ended=None, evaluate=False)
    blocks = find(render(gather(trial.path), "en"))
    assert "runs are unfinished" in blocks["verdicts"] and "there is no noise floor yet" in blocks["verdicts"]
    assert "quick run: not a result" in blocks["verdicts"] and "quick run: not a result" in blocks["document"]
