"""Deliberately broken copies are found, and named, by the operators or by the step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from parity_models import TINY

from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.differences import compare_steps, module_of
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.frameworks.in_torch import Torch
from detui.engine.backends.parity.measure import read_case, read_result, store_case
from detui.engine.backends.parity.operators import FAILED, compare, flat, measure, reason, table, unflat
from detui.engine.backends.parity.stepping import flat_result, forced, perturbed, random_case, step_of, take_step


class BiasedVariance(Torch):
    """Remembers the biased variance of a batch, as Jittor's own batch norm does."""

    def batch_norm(self, x, weight, bias, mean, variance, *, training, momentum, eps):
        before = variance.clone()
        found = super().batch_norm(x, weight, bias, mean, variance, training=training, momentum=momentum, eps=eps)
        if training:
            n = x.shape[0] * x.shape[2] * x.shape[3]
            variance.data.copy_(before * (1 - momentum) + (variance - before * (1 - momentum)) * (n - 1) / n)
        return found


class OtherMomentum(Torch):
    """Counts the momentum from the other end."""

    def batch_norm(self, *arguments, momentum, **named):
        return super().batch_norm(*arguments, momentum=1 - momentum, **named)


class TiesToOne(Torch):
    """All of a tied gradient to the first."""

    def maximum(self, a, b):
        import torch

        return torch.where(a >= b, a, b)


class NotRunning(Torch):
    """Says of GELU what Jittor says of a kernel that does not compile."""

    def gelu(self, x):
        raise RuntimeError(
            "Wrong inputs arguments, Please refer to examples(help(jt.numpy)).\n\nFailed reason:\x1b[38;5;1m[f 1127 "
            "06:49:01.954181 68 parallel_compiler.cc:331] Error happend during compilation:\n [Error] source file\n"
            "Reason: \x1b[38;5;1m[f 1127 06:49:00.745633 92:C1 log.cc:608] Check failed ret(256) == 0(0) Run cmd "
            "failed: " + "python asm_tuner.py " * 50 + "\x1b[m\nand more"
        )


class Decaying(Torch):
    """Decays everything."""

    def optimiser(self, weights, groups):
        return super().optimiser(weights, [replace(group, decay=0.5) for group in groups])


@pytest.fixture(scope="module")
def case():
    return random_case(TINY, side=64, b=2)


@pytest.fixture(scope="module")
def right(case):
    return take_step(open_framework("torch"), case)


def findings(case, right, other):
    return {finding.kind: finding for finding in compare_steps(case, right, other).findings}


def test_the_same_step_twice_is_equal(case, right, tmp_path):
    """Through files, as between two processes, with the selection and the assignment of the first."""
    store_case(tmp_path / "case.npz", forced(case, right))
    np.savez(tmp_path / "result.npz", **flat_result(right))
    again = take_step(open_framework("torch"), read_case(tmp_path / "case.npz"))
    found = compare_steps(case, read_result(tmp_path / "result.npz"), again)
    assert found.equal, [finding.text() for finding in found.findings]
    assert found.parts[0].name == "backbone.stem" and found.parts[-1].name == "decoder.boxes.1"
    assert {row.name for row in found.modules} == {module_of(name) for name in right.gradients}
    assert min(row.cosine for row in found.modules) > 1 - 1e-9
    assert all(np.abs(value).max() > 0 for value in right.gradients.values()), (
        "a weight without gradient proves nothing"
    )


def test_the_noise_of_a_framework_against_itself(case, right):
    """What differs by rounding alone is far within the limits, and is there."""
    moved = replace(forced(case, right), state=perturbed(case.state))
    found = take_step(open_framework("torch"), moved)
    compared = compare_steps(case, right, found)
    assert {finding.kind for finding in compared.findings} <= {"step"}  # the weights moved from elsewhere
    assert 0 < max(row.relative for row in compared.terms) < 1e-5
    assert not np.array_equal(moved.state["encoder.aifi.norm1.weight"], case.state["encoder.aifi.norm1.weight"])
    assert moved.state["encoder.inputs.0.norm.running_var"] is case.state["encoder.inputs.0.norm.running_var"]


def test_a_biased_running_variance(case, right):
    found = findings(case, right, take_step(BiasedVariance(), case))
    assert list(found) == ["biased variance"]
    assert found["biased variance"].where == "backbone.stem.0.norm"
    assert "is the biased one" in found["biased variance"].text()
    rows = [row for row in compare(measure(Torch()), measure(BiasedVariance())) if not row.equal]
    assert {row.operator.partition(",")[0] for row in rows} == {"batch norm"}
    assert {row.result for row in rows} == {"running variance"}


def test_another_momentum(case, right):
    found = findings(case, right, take_step(OtherMomentum(), case))
    assert list(found) == ["momentum"]
    assert found["momentum"].value == pytest.approx(0.9, rel=1e-3)
    rows = [row for row in compare(measure(Torch()), measure(OtherMomentum())) if not row.equal]
    assert {row.result for row in rows} == {"running mean", "running variance"}


def test_swapped_decoder_layers(case, right):
    detector = Detector(open_framework("torch"), TINY)
    detector._decoder._layers.reverse()
    found = findings(case, right, step_of(detector, forced(case, right)))
    assert found["part"].where == "decoder.layers.0"
    assert found["loss"].count > 1 and "gradient" in found


def test_a_gradient_that_goes_elsewhere_at_a_tie():
    rows = [row for row in compare(measure(Torch()), measure(TiesToOne())) if not row.equal]
    assert {(row.operator, row.result) for row in rows} >= {
        ("maximum of equals", "gradient of a"), ("maximum of equals", "gradient of b"),
    }  # fmt: skip
    assert all(row.worst for row in rows)


def test_an_operator_that_does_not_run_is_a_row_and_the_others_are_measured():
    one, two = measure(Torch()), measure(NotRunning())
    (row,) = [row for row in compare(one, two) if not row.equal]
    assert (row.operator, row.result, row.relative) == ("GELU", FAILED, float("inf"))
    assert compare(two, one) == compare(one, two), "and so it is where the reference does not run it"
    why = str(unflat(flat(two))["GELU"][FAILED])
    assert why.startswith("RuntimeError: Check failed ret(256) == 0(0) Run cmd failed: python asm_tuner.py ")
    assert len(why) == 200
    assert reason(ValueError("")) == "ValueError" and reason(KeyError("x\ny")) == "KeyError: 'x\\ny'"


def test_weights_that_decay(case, right):
    assert list(findings(case, right, take_step(Decaying(), case))) == ["step"]


def test_another_selection_and_assignment(case, right):
    tokens = right.selection.copy()
    tokens[0, 0] = (tokens[0].max() + 1) % 84
    pairs = {place: [(queries[::-1].copy(), objects) for queries, objects in p] for place, p in right.pairs.items()}
    other = take_step(open_framework("torch"), replace(case, selection=tokens, pairs=pairs))
    found = findings(case, right, other)
    assert found["selection"].value == pytest.approx(1 / 40)
    assert found["assignment"].where == "layer 0" and found["assignment"].count == 3


def test_the_table_is_whole():
    """Each operation of the interface that computes is in it, and is measured."""
    import inspect

    used = set()

    class Noted(Torch):
        def __getattribute__(self, name):
            used.add(name)
            return super().__getattribute__(name)

    found = measure(Noted())
    operations = {n for n, _ in inspect.getmembers(Torch, inspect.isfunction) if not n.startswith("_")}
    assert operations - used <= {"version", "shipped", "assign", "no_gradients", "optimiser", "synchronise"}
    assert all(row.relative == 0 for row in compare(found, unflat(flat(measure(Torch())))))
    assert len({operator.name for operator in table()}) == len(found)
