"""The model in PyTorch gives the outputs and losses that transformers' implementation gave for the same weights."""

from __future__ import annotations

import numpy as np
import pytest
from parity_models import TINY, batch, varied
from parity_numbers import BOXES, LOGITS, LOSSES, numbers

from detui.engine.backends.parity.criterion import losses
from detui.engine.backends.parity.denoising import make_denoising
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks import open_framework

KINDS = {"class": "loss_vfl", "l1": "loss_bbox", "giou": "loss_giou"}
PLACES = {"layer 0": "_aux_0", "layer 1": "", "selected": "_aux_1", "denoised 0": "_dn_0", "denoised 1": "_dn_1"}


def test_outputs_and_losses():
    f = open_framework("torch")
    detector = Detector(f, TINY)
    detector.network.load(varied(TINY))
    images, targets = batch(2)
    with f.no_gradients():
        said = detector(f.tensor(images)).layers[-1]
        assert numbers(said.logits) == pytest.approx(LOGITS, rel=1e-5)
        assert numbers(said.boxes) == pytest.approx(BOXES, rel=1e-5)
        detector.train()
        noise = make_denoising(targets, TINY, TINY.queries, np.random.RandomState(1))
        loss = losses(f, detector(f.tensor(images), noise), targets, noise)
    assert len(loss.terms) == len(LOSSES) == 15
    for name, term in loss.terms.items():
        kind, _, place = name.partition("/")
        assert term.item() == pytest.approx(LOSSES[KINDS[kind] + PLACES[place]], rel=1e-5), name
    assert loss.total.item() == pytest.approx(sum(LOSSES.values()), rel=1e-5)
    assert sum(loss.by_kind(f).values()) == pytest.approx(loss.total.item(), rel=1e-5)


def test_a_batch_without_objects():
    from detui.engine.backends.parity.targets import Target

    f = open_framework("torch")
    detector = Detector(f, TINY)
    detector.network.load(varied(TINY))
    detector.train()
    images, _ = batch(2)
    nothing = [Target.of([], []), Target.of([], [])]
    loss = losses(f, detector(f.tensor(images)), nothing)
    assert list(loss.terms) == ["class/layer 0", "class/layer 1", "class/selected"]
    gradients = f.gradients(loss.total, detector.network.trainable())
    assert all(np.isfinite(f.array(gradient)).all() for gradient in gradients.values())
    assert not f.array(gradients["decoder.labels.weight"]).any(), "what is not used has a gradient of zeros"
