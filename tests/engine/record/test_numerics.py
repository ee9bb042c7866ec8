"""The record of what frameworks compute, from arrays that numpy made: equal ones, broken copies, unfinished arms."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from numerical import TINY, Numerical, case_of, cost, operators, step, stored, swapped

from detui.engine.backends import backend
from detui.engine.backends.base import CheckContext
from detui.engine.backends.numerics.schema import NumericsConfig
from detui.engine.backends.numerics.steps import drawn_case, read_case
from detui.engine.backends.parity.measure import store
from detui.engine.backends.parity.operators import compare
from detui.engine.record import fill, numerics_steps
from detui.engine.record.blocks import find
from detui.engine.record.facts import record_path
from detui.engine.record.gather import gather
from detui.engine.record.numerics import Numerics
from detui.engine.record.operator_table import OperatorTable
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

GOLDEN = Path(__file__).with_name("golden")
NORMS = sum(name.endswith(".running_var") for name in case_of(1).state)
WHY = "RuntimeError: Check failed ret(256) == 0(0) Run cmd failed: g++"


def results(trial: Numerical, language: str = "en") -> Results:
    return Results(gather(trial.path), Words(language), Ledger())


def test_a_case_is_drawn_the_same_each_time_and_again_from_what_is_stored() -> None:
    one = case_of(1)
    assert one.pairs is not None and (drawn_case(TINY, 64, 2, 2).selection != one.selection).any()
    again = read_case(stored(1, step(1)))
    assert again.size == TINY and (again.selection == one.selection).all() and (again.images == one.images).all()


def test_broken_copies_are_named_and_equal_ones_are_told_so(tmp_path: Path) -> None:
    made = {"equal": step(1), "biased": step(1, biased=True), "momentum": step(1, momentum=0.9),
            "layers": swapped(step(1))}  # fmt: skip
    trial = Numerical(tmp_path, "step", ["torch", *made])
    for arm, result in {"torch": step(1, noise=0), **made}.items():
        trial.steps(trial.measured(arm), result)
    assert Numerics(results(trial)).findings() == [
        "✅ `equal` takes the same step as `torch`, within all limits, in 1 round(s).",
        f"❌ `biased`: The running variance of backbone.stem.0.norm and {NORMS - 1} more is the biased one.",
        f"❌ `momentum`: The momentum of backbone.stem.0.norm and {NORMS - 1} more is 0.9, not 0.1.",
        "❌ `layers`: The outputs part at decoder.layers.0 (largest difference 1.4 of the largest number).",
        "❌ `layers`: The gradients of decoder.layers.0 and 1 more differ (cosine -0.007250, or in size).",
    ]
    assert Numerics(results(trial, "zh")).findings() == [
        "✅ `equal` 与 `torch` 的训练步在所有上限内相同（1 轮）。",
        f"❌ `biased`：`backbone.stem.0.norm` 等 {NORMS} 处的滑动方差是有偏的（为正确值的 0.97）。",
        f"❌ `momentum`：`backbone.stem.0.norm` 等 {NORMS} 处的动量为 0.9，而不是 0.1。",
        "❌ `layers`：输出自 `decoder.layers.0` 起不同（最大差为最大值的 1.4）。",
        "❌ `layers`：`decoder.layers.0` 等 2 处的梯度不同（余弦 -0.007250，或大小不同）。",
    ]


def test_an_arm_that_has_measured_nothing_has_no_rows(tmp_path: Path) -> None:
    trial = Numerical(tmp_path, "step")
    trial.steps(trial.measured("torch"), step(1), whole=0)
    trial.measured("jittor", ended=None, rounds=0)
    found = Numerics(results(trial))
    assert not found.steps() and not found.findings() and not found.terms()
    assert not (trial.path / numerics_steps.KEPT).exists()


def test_seeds_that_have_not_begun_make_no_other_model(tmp_path: Path) -> None:
    trial = Numerical(tmp_path, "step", seeds=(0, 1))
    trial.measured("torch")
    assert Numerics(results(trial)).model_verdict() == "", "one arm alone"
    trial.measured("jittor", ended=None)
    assert Numerics(results(trial)).model_verdict().startswith("✅ One model")


def test_steps_are_compared_once_as_long_as_their_files_are_the_same(tmp_path: Path, monkeypatch) -> None:
    """Losses alone, for the time that it takes."""
    trial = Numerical(tmp_path, "step")
    trial.steps(trial.measured("torch"), step(1), step(2), whole=0)
    folder = trial.measured("jittor")
    trial.steps(folder, step(1, noise=1e-3), step(2), whole=0)
    compared = []
    real = numerics_steps._compare
    monkeypatch.setattr(numerics_steps, "_compare", lambda one, two: (compared.append(two.name), real(one, two))[1])

    def told() -> list[str]:
        found = Numerics(results(trial))
        return [str(found.steps()), str(found.terms()), *found.findings()]

    first = told()
    assert compared == ["step-0001.npz", "step-0002.npz"] and told() == first and len(compared) == 2
    store(folder / "step-0001.npz", stored(1, step(1), whole=False))
    os.utime(folder / "step-0001.npz", ns=(1, 1))  # on a coarse clock it would have been written at the same moment
    assert told() != first and compared[2:] == ["step-0001.npz"]
    (trial.path / numerics_steps.KEPT).write_text('{"rules": "of another comparison", "rounds": {}}')
    again = told()
    assert len(compared) == 5
    (trial.path / numerics_steps.KEPT).write_text("torn")
    assert told() == again and len(compared) == 7


def test_operators_stand_side_by_side_and_the_wrong_and_the_broken_are_named(tmp_path: Path) -> None:
    trial = Numerical(tmp_path, "operators")
    trial.operators(trial.measured("torch"), operators())
    assert not OperatorTable(results(trial)).table() and not OperatorTable(results(trial)).verdict()
    wrong, broken = {"batch norm, training": "running variance"}, {"overlaps of boxes": WHY}
    trial.operators(trial.measured("jittor"), operators(1e-7, wrong, broken))
    found = OperatorTable(results(trial))
    rows = {row[0].removesuffix(" ⚠"): row for row in found.table().rows}
    assert [name for name, row in rows.items() if "✅" not in row[4]] == ["batch norm, training", "overlaps of boxes"]
    assert "running variance" in rows["batch norm, training"][3] and "❌" in rows["batch norm, training"][4]
    assert rows["overlaps of boxes"][2:5] == ["–", "–", "💥 does not run"]
    assert found.reasons() == [f"`jittor`, overlaps of boxes: `{WHY}`"]
    total = len(rows)
    assert found.verdict() == (
        f"`jittor` computes {total - 2} of {total} operators as `torch` does; it differs most in: "
        "batch norm, training (1.0e-02). In `jittor` these do not run: overlaps of boxes."
    )


def test_an_operator_that_the_reference_does_not_run_is_its_own_row(tmp_path: Path) -> None:
    trial = Numerical(tmp_path, "operators")
    trial.operators(trial.measured("torch"), operators(broken={"GELU": WHY}))
    trial.operators(trial.measured("jittor"), operators())
    found = OperatorTable(results(trial, "zh"))
    (row,) = [row for row in found.table().rows if "✅" not in row[4]]
    assert row[0] == "GELU" and row[4] == "💥 基准无法运行"
    assert found.verdict() == "`torch` 无法运行的算子：GELU。" and found.reasons() == [f"`torch`，GELU：`{WHY}`"]


def test_of_a_reference_of_nothing_but_zeros_the_difference_itself_is_told() -> None:
    one, two = operators(), operators()
    zeros = one["GELU"]["gradient of x"] * 0
    one["GELU"]["gradient of x"], two["GELU"]["gradient of x"] = zeros, zeros - 6.5
    (row,) = [row for row in compare(one, two) if not row.equal]
    assert row.relative == row.absolute == 6.5


def test_costs_are_set_against_the_first_arm_each_with_its_own_spread(tmp_path: Path) -> None:
    trial = Numerical(tmp_path, "cost")
    trial.costs(trial.measured("torch"), cost(1.0, spread=0.1), cost(1.0, spread=0.1))
    other = cost(2.4)
    for sides in other.values():
        sides["passes"] = [0.0214, 0.0215, 0.0216]
    trial.costs(trial.measured("jittor", rounds=1, ended="stopped"), other)
    found = Numerics(results(trial))
    one, two = found.cost_verdicts()
    assert one == ("`jittor` at 160 px: a step is slower by 2.4×, inference is equal within 20 %. "
                   "(runs unfinished: `jittor-s0`)")  # fmt: skip
    assert "320 px" in two
    rows = found.costs().rows
    assert rows[0][0] == "`torch`" and rows[1][0] == "`jittor` (runs unfinished: `jittor-s0`)"
    assert rows[0][2:6] == ["100 ms (± 0 %)", "–", "20.0 ms (± 10 %)", "–"] and rows[1][3] == "× 2.40"
    alone = Numerical(tmp_path / "alone", "cost")
    alone.costs(alone.measured("torch"), cost(1.0, spread=0.02))
    alone.costs(alone.measured("jittor"), other)
    assert "inference is slower by 1.1×." in Numerics(results(alone)).cost_verdicts()[0], "7 % apart, of 4 % at most"


@pytest.mark.parametrize(
    ("what", "blocks"),
    [("operators", {"operators"}), ("step", {"steps", "step-terms", "step-modules"}), ("cost", {"costs"})],
)
def test_a_record_has_the_sections_of_what_is_measured(tmp_path: Path, what: str, blocks: set[str]) -> None:
    trial = Numerical(tmp_path, what)
    trial.operators(trial.measured("torch"), operators())
    facts = gather(trial.path)
    found = [find(render(facts, language)) for language in ("en", "zh")]
    assert list(found[0]) == list(found[1])
    assert {"operators", "steps", "step-terms", "step-modules", "costs"} & set(found[0]) == blocks


def settled(text: str) -> str:
    """A record without what depends on the moment."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= \|)", "(moment)", text)


@pytest.mark.slow
def test_the_record_is_the_one_that_was_read(tmp_path: Path) -> None:
    """Everything at once: a biased variance, a wrong and a broken operator, and what it costs."""
    trial = Numerical(tmp_path)
    for arm, changes, times in (("torch", {"noise": 0.0}, 1.0), ("jittor", {"biased": True}, 2.4)):
        folder, second = trial.measured(arm), arm == "jittor"
        trial.steps(folder, step(1, **changes), step(2, **changes))
        trial.costs(folder, cost(times), cost(times))
        wrong, broken = {"layer norm": "output"}, {"overlaps of boxes": WHY}
        trial.operators(folder, operators(1e-7, wrong, broken) if second else operators())
    fill(trial.path)
    found = {}
    for language in ("en", "zh"):
        found[language] = settled(record_path(trial.path, language).read_text(encoding="utf-8"))
        golden = GOLDEN / f"numerics.{language}.md"
        if os.environ.get("DETUI_GOLDEN") == "write":
            golden.write_text(found[language], encoding="utf-8")
        assert found[language] == golden.read_text(encoding="utf-8"), (
            "look at what changed; DETUI_GOLDEN=write makes it the new one"
        )
    assert re.findall(r"^\*\*Table (\d+)\.", found["en"], re.MULTILINE) == ["1", "2", "3", "4", "5", "6"]
    before = {path: path.read_bytes() for path in trial.path.glob("*.*")}
    fill(trial.path)
    assert {path: path.read_bytes() for path in trial.path.glob("*.*")} == before


def test_a_plan_says_what_would_be_of_no_effect() -> None:
    plan = backend("numerics")
    assert plan.epochs_key() == ("measure", "rounds") and not plan.needs_data
    config = NumericsConfig.model_validate({"model": {"framework": "jittor", "weights": "x.npz"}}).model_dump()
    context = CheckContext(arm="jittor", config=config, device="cpu", train_images=None)
    assert [one.where for one in plan.check(context)] == ["model.framework", "model.weights"]
