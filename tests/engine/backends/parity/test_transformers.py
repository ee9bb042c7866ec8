"""The model in PyTorch against another's implementation of it: transformers' RTDetrForObjectDetection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from parity_models import TINY, batch, built_by_transformers, in_transformers, varied
from parity_numbers import BOXES, LOGITS, LOSSES, numbers

from detui.engine.backends.parity.criterion import losses
from detui.engine.backends.parity.denoising import Denoising, denoising_pairs, group_count, make_denoising
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.published import translate
from detui.engine.backends.parity.sizes import CONSTANTS, PARAMETERS, SIZES

pytestmark = pytest.mark.slow  # importing transformers takes longer than all of it

SMALL = {
    "basic": TINY,
    "bottleneck": replace(TINY, bottleneck=True, stem=4, widths=(2, 2, 4, 4), frozen_norms=True, frozen_stem=True),
    "narrow fusion": replace(TINY, expansion=0.5, depths=(1, 2, 1, 1)),
}


@pytest.mark.parametrize("name", list(SIZES))
def test_counts_are_those_of_transformers(name):
    """Nothing is allocated: on torch's device meta a tensor is its shape."""
    import torch

    with torch.device("meta"):
        theirs = built_by_transformers(SIZES[name])
    assert sum(one.numel() for one in theirs.parameters()) == PARAMETERS[name]
    buffers = [value for value in theirs.buffers() if value.dtype.is_floating_point]  # counters of batches are whole
    assert sum(value.numel() for value in buffers) == CONSTANTS[name]


def both(size, twice=False):
    """transformers' model and ours with the same weights."""
    state = varied(size)
    ours = Detector(open_framework("torch"), size, look_forward_twice=twice)
    ours.network.load(state)
    return in_transformers(size, state), ours


def labels_of(targets):
    import torch

    return [{"class_labels": torch.tensor(t.labels), "boxes": torch.tensor(t.boxes)} for t in targets]


def with_noise(theirs, size, targets, seed):
    """Their denoising queries, which a generator of torch's makes, as ours."""
    import torch
    from transformers.models.rt_detr.modeling_rt_detr import get_contrastive_denoising_training_group

    torch.manual_seed(seed)
    labels, boxes, mask, meta = get_contrastive_denoising_training_group(
        labels_of(targets), size.classes, size.queries, lambda labels: labels, size.denoising
    )
    most = max(len(target) for target in targets)
    groups = group_count(size, most)
    assert groups == meta["dn_num_group"]
    pairs = denoising_pairs(targets, groups, most)
    for (queries, _), known in zip(pairs, meta["dn_positive_idx"], strict=True):
        assert queries.tolist() == known.tolist()
    hidden = np.where(np.isinf(mask.numpy()), np.float32(-1e9), np.float32(0))[None, None]
    torch.manual_seed(seed)
    return Denoising(labels.numpy().astype(np.int64), boxes.numpy(), hidden, pairs, groups)


@pytest.mark.parametrize("kind", list(SMALL))
def test_says_what_theirs_says(kind):
    import torch

    theirs, ours = both(SMALL[kind])
    images, _ = batch(2)
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(images))
        found = ours(torch.tensor(images))
    assert expected.logits.std() > 0.1, "all the same would prove nothing"
    assert (found.layers[-1].logits - expected.logits).abs().max() < 1e-5
    assert (found.layers[-1].boxes - expected.pred_boxes).abs().max() < 1e-5


@pytest.mark.parametrize("kind", list(SMALL))
@pytest.mark.parametrize("b", [1, 3])
def test_trains_as_theirs_does(kind, b):
    """Losses one by one, with their noise, and the gradients with them."""
    import torch

    size = SMALL[kind]
    theirs, ours = both(size, twice=False)
    images, targets = batch(b)
    noise = with_noise(theirs, size, targets, seed=5)
    expected = theirs.train()(torch.tensor(images), labels=labels_of(targets))
    ours.train()
    f = open_framework("torch")
    found = losses(f, ours(torch.tensor(images), noise), targets, noise)
    assert found.total.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    names = {"class": "loss_vfl", "l1": "loss_bbox", "giou": "loss_giou"}
    last = size.decoder_layers - 1
    places = {f"layer {n}": f"_aux_{n}" for n in range(last)} | {f"layer {last}": "", "selected": f"_aux_{last}"}
    places |= {f"denoised {n}": f"_dn_{n}" for n in range(last + 1)}
    assert len(found.terms) == len(expected.loss_dict) == 3 * len(places)
    for place, end in places.items():
        for kind_, name in names.items():
            value, known = found.terms[f"{kind_}/{place}"].item(), expected.loss_dict[name + end].item()
            assert value == pytest.approx(known, rel=1e-5, abs=1e-6), (kind_, place)
    state = translate({name: value.detach().numpy() for name, value in theirs.state_dict().items()}).tensors
    for name, value in ours.network.state().items():  # running statistics after the step
        np.testing.assert_allclose(value, state[name], rtol=1e-4, atol=1e-6, err_msg=name)
    if b == 1:
        return  # torch's defect: see test_batch_of_one.py
    expected.loss.backward()
    gradients = f.gradients(found.total, ours.network.trainable())
    known = translate(
        {n: (p.grad if p.grad is not None else torch.zeros_like(p)).numpy() for n, p in theirs.named_parameters()}
    ).tensors
    for name, gradient in gradients.items():
        scale = np.abs(known[name]).max() + 1e-3
        assert np.abs(gradient.numpy() - known[name]).max() / scale < 1e-3, name


def test_a_change_is_noticed():
    """What the comparison is worth: two decoder layers in the wrong order."""
    import torch

    theirs, ours = both(TINY)
    images, _ = batch(2)
    ours._decoder._layers.reverse()
    with torch.no_grad():
        expected, found = theirs.eval()(torch.tensor(images)), ours(torch.tensor(images))
    assert (found.layers[-1].logits - expected.logits).abs().max() > 1e-2


def test_the_stored_numbers_are_theirs(monkeypatch):
    """What `test_known_losses.py` holds the model to in every quick run, computed anew."""
    import torch
    from transformers.models.rt_detr import modeling_rt_detr

    theirs, _ = both(TINY)
    images, targets = batch(2)
    noise = make_denoising(targets, TINY, TINY.queries, np.random.RandomState(1))

    def ours(targets, num_classes, num_queries, class_embed, **_named):
        meta = {
            "dn_positive_idx": [torch.tensor(queries) for queries, _ in noise.pairs],
            "dn_num_group": noise.groups, "dn_num_split": [noise.count, num_queries],
        }  # fmt: skip
        return class_embed(torch.tensor(noise.labels)), torch.tensor(noise.boxes), torch.tensor(noise.mask[0, 0]), meta

    monkeypatch.setattr(modeling_rt_detr, "get_contrastive_denoising_training_group", ours)
    with torch.no_grad():
        found = theirs.eval()(torch.tensor(images))
        assert numbers(found.logits) == pytest.approx(LOGITS, rel=1e-5)
        assert numbers(found.pred_boxes) == pytest.approx(BOXES, rel=1e-5)
    expected = theirs.train()(torch.tensor(images), labels=labels_of(targets))
    assert {name: value.item() for name, value in expected.loss_dict.items()} == pytest.approx(LOSSES, rel=1e-5)
