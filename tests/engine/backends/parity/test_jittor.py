"""Jittor against PyTorch: operators, a step and the next, and the step of the whole R50. Needs Jittor's environment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from parity_jittor import measured
from parity_models import TINY, varied

from detui.engine.backends.parity.differences import compare_steps
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.measure import answer, read_answer, read_operators, read_result, store_case
from detui.engine.backends.parity.operators import compare, measure
from detui.engine.backends.parity.sizes import SIZES
from detui.engine.backends.parity.stepping import following, forced, random_case, take_step

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("jittor_found")]


def unequal(tmp_path, *options):
    measured(tmp_path, "operators", "jittor", tmp_path / "operators.npz", *options)
    return [
        row
        for row in compare(measure(open_framework("torch")), read_operators(tmp_path / "operators.npz"))
        if not row.equal
    ]


def both(case, tmp_path):
    """A step of PyTorch's, and Jittor's with the same selection and assignment."""
    right = take_step(open_framework("torch"), case)
    store_case(tmp_path / "case.npz", forced(case, right))
    measured(tmp_path, "step", "jittor", tmp_path / "case.npz", tmp_path / "result.npz", "--parts")
    return right, read_result(tmp_path / "result.npz")


def test_every_operator_is_equal(tmp_path):
    assert unequal(tmp_path) == []


def test_what_stands_in_place_of_its_own_is_needed(tmp_path):
    """Jittor's own layers are not equal, each in the way that in_jittor.py says."""
    rows = {(row.operator, row.result) for row in unequal(tmp_path, "--shipped")}
    assert ("batch norm, training", "running variance") in rows
    assert ("layer norm, mean 10 and deviation 0.1", "output") in rows
    for operator in ("absolute value at 0", "bounds that are met"):
        assert (operator, "gradient of x") in rows
    for operator in ("maximum of equals", "minimum of equals"):
        assert (operator, "gradient of a") in rows


def test_a_step_and_the_next_are_equal(tmp_path):
    """The second from Jittor's weights and moments, read by PyTorch."""
    case = random_case(TINY, side=64, b=2)
    right, found = both(case, tmp_path)
    compared = compare_steps(case, right, found)
    assert compared.equal, [finding.text() for finding in compared.findings]
    assert int(found.optimiser["steps"]) == 1
    after = following(case, found)
    compared = compare_steps(after, *both(after, tmp_path))
    assert compared.equal, [finding.text() for finding in compared.findings]


def test_the_answers_are_equal(tmp_path):
    """When evaluating, with a first layer that answers and batch norms that stand still."""
    case = random_case(replace(TINY, evaluated_layer=1, bottleneck=True, frozen_norms=True), side=64, b=2)
    case = replace(case, state=varied(case.size))
    expected = answer(open_framework("torch"), case)
    store_case(tmp_path / "case.npz", case)
    measured(tmp_path, "answer", "jittor", tmp_path / "case.npz", tmp_path / "answer.npz")
    found = read_answer(tmp_path / "answer.npz")
    assert expected["logits"].std() > 0.1
    for name, value in expected.items():
        assert np.abs(found[name] - value).max() < 1e-5 * np.abs(value).max(), name


def test_the_step_of_r50_is_equal(tmp_path):
    """At 160 pixels: the loss within 1e-4, the gradients' cosine at least 0.9999 in each module."""
    case = random_case(SIZES["r50"], side=160)
    right, found = both(case, tmp_path)
    assert abs(found.total - right.total) / right.total <= 1e-4
    compared = compare_steps(case, right, found)
    assert min(row.cosine for row in compared.modules) >= 0.9999
    assert compared.equal, [finding.text() for finding in compared.findings]
