"""The record of what frameworks compute, from stored arrays: equal ones, a broken copy, unfinished arms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detui.engine.backends import backend
from detui.engine.backends.base import CheckContext
from detui.engine.backends.numerics.schema import NumericsConfig
from detui.engine.backends.numerics.steps import drawn_case, measure_step, read_case
from detui.engine.backends.parity.measure import store
from detui.engine.backends.parity.operators import flat, measure
from detui.engine.backends.parity.sizes import Size
from detui.engine.record.facts import AttemptFacts, ExperimentFacts, RunFacts
from detui.engine.record.numerics import Numerics
from detui.engine.record.operator_table import OperatorTable
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

TINY = Size(
    (1, 1, 1, 1), widths=(8, 4, 8, 12), stem=8, channels=16, feed_forward=16, heads=2, points=2, decoder_layers=2,
    queries=20, denoising=6, classes=3, fusion_blocks=3,
)  # fmt: skip


def biased():
    """PyTorch with the biased running variance, as Jittor's own batch norm has it."""
    from detui.engine.backends.parity.frameworks.in_torch import Torch

    class Biased(Torch):
        def batch_norm(self, x, weight, bias, mean, variance, *, training, momentum, eps):
            before = variance.clone()
            found = super().batch_norm(x, weight, bias, mean, variance, training=training, momentum=momentum, eps=eps)
            if training:
                n, kept = x.shape[0] * x.shape[2] * x.shape[3], before * (1 - momentum)
                variance.data.copy_(kept + (variance - kept) * (n - 1) / n)
            return found

    return Biased()


def run(arm: str, epochs: int = 2) -> RunFacts:
    attempt = AttemptFacts(number=1, resumed_from_epoch=None, seconds=1.0, ended="finished", stage=0, device=(),
                           device_model="CPU", begin={})  # fmt: skip
    return RunFacts(
        name=f"{arm}-s0", arm=arm, seed=0, state="finished", terminal=True, reason=None, epoch=epochs,
        total_epochs=2, began=None, begin={}, attempts=(attempt,), alarms=(), evaluations=(), chosen=None, waiting=(),
        cost={}, speed=None, timed=None, trained={}, stage_starts=(), losses={}, framework={}, statistics={},
    )  # fmt: skip


def results(path: Path, language: str = "en") -> Results:
    info = {"id": "x", "recipe": "parity/step", "arms": [{"name": "torch"}, {"name": "jittor"}], "seeds": [0],
            "runs": ["torch-s0", "jittor-s0"], "checkpoint_rule": {"rule": "last"}, "profile": "full"}  # fmt: skip
    facts = ExperimentFacts(path=path, info=info, runs=(run("torch"), run("jittor")))
    return Results(facts, Words(language), Ledger())


def measured(path: Path, arm: str) -> Path:
    folder = path / "runs" / f"{arm}-s0" / "attempts" / "1" / "measured"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def store_steps(path: Path, arm: str, framework) -> None:
    for number in (1, 2):
        case = drawn_case(TINY, 64, 2, number)
        told = {"side": 64, "batch": 2, "seed": number}
        arrays = measure_step(framework, case, told, whole=number == 1)
        store(measured(path, arm) / f"step-{number:04}.npz", arrays)


def test_a_case_is_drawn_the_same_each_time_and_again_from_what_is_stored() -> None:
    one, two = drawn_case(TINY, 64, 2, 3), drawn_case(TINY, 64, 2, 3)
    assert (one.selection == two.selection).all() and one.pairs is not None
    assert (drawn_case(TINY, 64, 2, 4).selection != one.selection).any()
    from dataclasses import asdict

    import numpy as np

    stored = {"case": np.array(json.dumps({"side": 64, "batch": 2, "seed": 3, "size": asdict(TINY)}))}
    again = read_case(stored)
    assert again.size == TINY and (again.selection == one.selection).all() and (again.images == one.images).all()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_broken_copy_is_named_and_equal_ones_are_told_so(tmp_path: Path, language: str) -> None:
    pytest.importorskip("torch")
    from detui.engine.backends.parity.frameworks.in_torch import Torch

    store_steps(tmp_path, "torch", Torch())
    empty = Numerics(results(tmp_path, language))
    assert not empty.steps() and not empty.findings() and not empty.terms(), "the other arm has measured nothing"
    store_steps(tmp_path, "jittor", Torch())
    (line,) = Numerics(results(tmp_path, language)).findings()
    assert line.startswith("✅")
    store_steps(tmp_path, "jittor", biased())
    found = Numerics(results(tmp_path, language))
    (line,) = found.findings()
    assert line.startswith("❌") and ("biased" in line or "有偏" in line)
    assert len(found.steps().rows) == 2 and found.modules() and found.terms()
    assert found.steps().rows[1][4] == "–", "no gradients were stored of the second round"


def test_operators_stand_side_by_side_and_the_wrong_one_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from detui.engine.backends.parity.frameworks.in_torch import Torch

    store(measured(tmp_path, "torch") / "operators.npz", flat(measure(Torch())))
    assert not OperatorTable(results(tmp_path)).table() and not OperatorTable(results(tmp_path)).verdict()
    store(measured(tmp_path, "jittor") / "operators.npz", flat(measure(biased())))
    table = OperatorTable(results(tmp_path))
    assert "batch norm, training" in table.verdict()
    wrong = [row[0] for row in table.table().rows if "❌" in row[4]]
    assert wrong and all(name.startswith("batch norm") for name in wrong)
    assert "running variance" in next(row[3] for row in table.table().rows if "❌" in row[4])


def test_costs_are_set_against_the_first_arm(tmp_path: Path) -> None:
    for arm, times in (("torch", 1.0), ("jittor", 2.4)):
        one = {"first_step": 9 * times, "steps": [times] * 3, "passes": [0.1] * 3, "memory": 2**30}
        text = json.dumps({"schema": 1, "sides": {"320": one}})
        (measured(tmp_path, arm) / "cost-0001.json").write_text(text, encoding="utf-8")
    found = Numerics(results(tmp_path))
    (line,) = found.cost_verdicts()
    assert "320 px" in line and "slower by 2.4×" in line and "equal within 5 %" in line
    assert found.costs().rows[1][3] == "× 2.40"


def test_a_plan_says_what_would_be_of_no_effect() -> None:
    plan = backend("numerics")
    assert plan.epochs_key() == ("measure", "rounds") and not plan.needs_data
    config = NumericsConfig.model_validate({"model": {"framework": "jittor", "weights": "x.npz"}}).model_dump()
    context = CheckContext(arm="jittor", config=config, device="cpu", train_images=None)
    assert [one.where for one in plan.check(context)] == ["model.framework", "model.weights"]
