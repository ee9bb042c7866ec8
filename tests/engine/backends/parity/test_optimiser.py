"""AdamW with clipping, by hand and by PyTorch; its state continues in a new process; and who is reached by a loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from parity_models import TINY, batch, varied

from detui.engine.backends.parity.decoder import logit
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.differences import compare_steps
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.frameworks.framework import Group
from detui.engine.backends.parity.stepping import following, random_case, take_step


def test_two_steps_by_hand():
    f = open_framework("torch")
    start = {"a": np.array([1.0, -2.0], np.float32), "b": np.array([0.5], np.float32)}
    weights = {name: f.weight(value, trainable=True) for name, value in start.items()}
    groups = [Group(("a",), rate=0.1, decay=0.2), Group(("b",), rate=0.01, decay=0.0)]
    optimiser = f.optimiser(weights, groups)
    known = {name: value.astype(float) for name, value in start.items()}
    first, second = dict.fromkeys(start, 0.0), dict.fromkeys(start, 0.0)
    for n, scale in ((1, 1.0), (2, 0.5)):
        gradients = {"a": np.array([3.0, 0.0]) * n, "b": np.array([4.0])}
        norm = np.sqrt(sum((g * g).sum() for g in gradients.values()))
        said = optimiser.step({name: f.tensor(g) for name, g in gradients.items()}, clip=0.1, scale=scale)
        assert said.item() == pytest.approx(norm)
        for group in groups:
            for name in group.names:
                g = gradients[name] * 0.1 / (norm + 1e-6)
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.999 * second[name] + 0.001 * g * g
                size = np.sqrt(second[name] / (1 - 0.999**n)) + 1e-8
                known[name] *= 1 - group.rate * scale * group.decay
                known[name] -= group.rate * scale * first[name] / (1 - 0.9**n) / size
    for name, value in known.items():
        assert f.array(weights[name]) == pytest.approx(value, rel=1e-5)


def test_a_small_gradient_is_not_clipped():
    f = open_framework("torch")
    weights = {"a": f.weight(np.zeros(1), trainable=True)}
    optimiser = f.optimiser(weights, [Group(("a",), 0.1, 0.0)])
    assert optimiser.step({"a": f.tensor(np.full(1, 0.01))}, clip=0.1).item() == pytest.approx(0.01)
    assert optimiser.state()["first/a"][0] == pytest.approx(0.001)


def test_its_state_continues_where_it_was():
    """Three steps in one optimiser, and the third in another that read the state after two."""
    case = random_case(TINY, side=64)
    f = open_framework("torch")
    second = take_step(f, following(case, take_step(f, case)))
    assert int(second.optimiser["steps"]) == 2
    third = take_step(f, following(case, second))
    assert compare_steps(case, third, take_step(f, following(case, second))).equal
    fresh = take_step(f, replace(following(case, second), optimiser=None))
    assert [finding.kind for finding in compare_steps(case, third, fresh).findings] == ["step"]
    with pytest.raises(KeyError, match=r"first/.*weight"):
        take_step(f, replace(following(case, second), optimiser={"steps": np.array(2)}))


@pytest.mark.parametrize("twice", [True, False])
def test_looking_forward_twice(twice):
    """The box loss of the second layer reaches the first layer's head, and there alone."""
    f = open_framework("torch")
    detector = Detector(f, TINY, look_forward_twice=twice)
    detector.network.load(varied(TINY))
    detector.train()
    images, _ = batch(2)
    last = detector(f.tensor(images)).layers[-1].boxes
    found = f.gradients(logit(f, last).sum(), detector.network.trainable())
    assert bool(f.array(found["decoder.boxes.0.2.bias"]).any()) == twice
    assert f.array(found["decoder.boxes.1.2.bias"]).any()
    assert not f.array(found["decoder.selection.boxes.2.bias"]).any()
    assert not f.array(found["decoder.classes.0.bias"]).any()
