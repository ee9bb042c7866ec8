"""The model's parts that are numpy: matching, denoising, anchors, detections, first values, groups, and its names."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from itertools import permutations

import numpy as np
import pytest
from parity_models import TINY, batch

from detui.engine.backends.parity.boxes import centred, corners, generalised_overlaps
from detui.engine.backends.parity.denoising import HIDDEN, make_denoising
from detui.engine.backends.parity.detections import detections
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.encoder import positions
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly
from detui.engine.backends.parity.groups import groups
from detui.engine.backends.parity.matching import match, pair_costs
from detui.engine.backends.parity.selection import FAR, anchors, highest
from detui.engine.backends.parity.sizes import CONSTANTS, PARAMETERS, SIZES
from detui.engine.backends.parity.targets import Target
from detui.engine.errors import RunError


@pytest.mark.parametrize("name", list(SIZES))
def test_parameters_are_as_published(name):
    network = Detector(ShapesOnly(), SIZES[name]).network
    counts = network.counts()
    assert counts.parameters == PARAMETERS[name]
    norms = sum(held.shape[0] for n, held in network.held.items() if n.endswith("running_mean"))
    frozen = sum(held.shape[0] for n, held in network.held.items() if n.endswith("norm.bias") and not held.counted)
    assert counts.constants == 2 * norms + 2 * frozen == CONSTANTS[name]
    assert (frozen > 0) == name.startswith("r50")
    assert counts.parameters - counts.trained == (28_512 if name.startswith("r50") else 0)  # the stem's kernels


def test_the_cheapest_assignment():
    own = np.random.RandomState(3)
    _, targets = batch(2)
    logits, boxes = own.standard_normal((2, 5, 3)), own.uniform(0.1, 0.9, (2, 5, 4))
    for image, (queries, objects) in enumerate(match(logits, boxes, targets)):
        costs = pair_costs(logits[image], boxes[image], targets[image])
        m = len(targets[image])
        least = min(sum(costs[q, n] for n, q in enumerate(order)) for order in permutations(range(5), m))
        assert costs[queries, objects].sum() == pytest.approx(least)
        assert sorted(objects.tolist()) == list(range(m)) and len(set(queries.tolist())) == m


def test_more_objects_than_queries_none_and_no_number():
    own = np.random.RandomState(3)
    many = Target.of([0] * 7, own.uniform(0.2, 0.4, (7, 4)))
    none = Target.of([], [])
    logits, boxes = own.standard_normal((2, 5, 3)), own.uniform(0.1, 0.9, (2, 5, 4))
    boxes[0, 2] = np.nan
    (queries, objects), (nothing, _) = match(logits, boxes, [many, none])
    assert len(queries) == 5 and len(set(objects.tolist())) == 5 and not len(nothing)


def test_overlaps_of_known_boxes():
    one = np.array([[0.0, 0, 2, 2]])
    others = np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [4, 0, 6, 2]])
    assert generalised_overlaps(one, others)[0] == pytest.approx([1 / 7 - 2 / 9, 1, -4 / 12])
    assert corners(centred(others)) == pytest.approx(others)


def test_denoising_queries():
    size = replace(TINY, denoising=12, classes=50)
    targets = [Target.of([4, 7, 9], [[0.5, 0.5, 0.2, 0.1]] * 3), Target.of([2], [[0.3, 0.4, 0.1, 0.3]])]
    noise = make_denoising(targets, size, 20, np.random.RandomState(0))
    assert (noise.groups, noise.count) == (4, 24)  # groups × (with little and with much noise) × 3 objects
    assert noise.mask.shape == (1, 1, 44, 44)
    seen = noise.mask[0, 0] == 0
    assert (noise.mask[0, 0][~seen] == HIDDEN).all()
    assert seen[:6, :6].all() and not seen[:6, 6:24].any() and seen[:, 24:].all() and not seen[24:, :24].any()
    queries, objects = noise.pairs[0]
    assert queries[:6].tolist() == [0, 1, 2, 6, 7, 8] and objects.tolist() == [0, 1, 2] * 4
    assert noise.pairs[1][0].tolist() == [0, 6, 12, 18]
    assert (noise.labels[1].reshape(8, 3)[:, 1:] == 50).all(), "what stands for nothing stays so"
    boxes = 1 / (1 + np.exp(-noise.boxes[0].astype(float)))
    whole = (boxes[:, 2:] > 1e-3).all(-1)  # corners that change sides leave a box without an area
    moved = np.abs(corners(boxes) - corners(targets[0].boxes[:1])) / (np.array([0.2, 0.1, 0.2, 0.1]) / 2)
    little = np.isin(np.arange(24), queries)
    assert whole[little].all()
    moved, little = moved[whole], little[whole]
    assert moved[little].max() <= 1.001 and moved[~little].min() >= 0.999 and moved[~little].max() <= 2.001
    assert make_denoising([Target.of([], [])], size, 20, np.random.RandomState(0)) is None
    assert make_denoising(targets, replace(size, denoising=0), 20, np.random.RandomState(0)) is None


def test_a_share_of_labels_is_noisy():
    target = Target.of([1] * 100, [[0.5, 0.5, 0.2, 0.1]] * 100)
    noise = make_denoising([target], replace(TINY, denoising=1000, classes=1000), 20, np.random.RandomState(0))
    assert (noise.labels != 1).mean() == pytest.approx(0.25, abs=0.03)


def test_anchors_and_positions():
    logits, valid = anchors(((4, 8), (2, 4), (1, 2)))
    boxes = 1 / (1 + np.exp(-logits[0].astype(float)))
    assert logits.shape == (1, 42, 4) and valid.shape == (1, 42, 1) and valid.all()
    assert boxes[9] == pytest.approx([1.5 / 8, 1.5 / 4, 0.05, 0.05])  # row by row
    assert boxes[40] == pytest.approx([0.25, 0.5, 0.2, 0.2], rel=1e-5)
    far, valid = anchors(((100, 100), (1, 1), (1, 1)))
    assert not valid[0, 0] and (far[0, 0] == FAR).all()
    waves = positions(2, 3, 8)
    assert waves[0, 4] == pytest.approx(
        [np.sin(1), np.sin(0.01), np.cos(1), np.cos(0.01)] * 2, rel=1e-6
    )  # row 1, column 1


def test_equal_scores_fall_to_the_first():
    assert highest(np.array([[1.0, 3, 2, 3, 0]]), 3).tolist() == [[1, 3, 2]]


def test_detections_in_pixels():
    logits = np.array([[[0.0, 2], [3, -5]]])
    boxes = np.array([[[0.5, 0.5, 0.2, 0.4], [0.25, 0.5, 0.5, 1.0]]])
    (found,) = detections(logits, boxes, [(200, 100)], most=3)
    assert found.labels.tolist() == [0, 1, 0]
    assert found.scores == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-2)), 0.5])
    assert found.boxes[0] == pytest.approx([0, 0, 100, 100]) and found.boxes[1] == pytest.approx([80, 30, 120, 70])


def test_first_values_depend_on_seed_and_name_alone():
    def values(seed, size=TINY):
        network = Detector(ShapesOnly(), size).network
        network.initialise(seed)
        return network.state()

    one, again, other, wider = values(1), values(1), values(2), values(1, replace(TINY, decoder_layers=3))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert all(np.array_equal(one[name], wider[name]) for name in one)
    kernels = [name for name in one if name.endswith("conv.weight")]
    assert kernels and not any(np.array_equal(one[name], other[name]) for name in kernels)
    digest = sha256(b"".join(name.encode() + value.tobytes() for name, value in one.items())).hexdigest()
    assert digest == FIRST, "numpy 1.26 and 2.4 give these bits; others would let two frameworks begin differently"
    assert one["decoder.layers.0.cross_attention.offsets.bias"][:4].tolist() == [1, 0, 2, 0]
    assert one["decoder.classes.0.bias"][0] == pytest.approx(-4.59512)


FIRST = "e1c95a45051fe4b7d960effeebc02bed23a3ff4f02ef357e2bc09c57bcbc9931"


def test_groups_are_the_reference_s():
    network = Detector(ShapesOnly(), SIZES["r18"]).network
    found = {(round(g.rate, 9), g.decay): set(g.names) for g in groups(network.trainable(), 1e-4)}
    assert set(found) == {(1e-5, 1e-4), (1e-5, 0.0), (1e-4, 1e-4), (1e-4, 0.0)}
    assert sum(len(names) for names in found.values()) == len(network.trainable())
    assert all(name.startswith("backbone.") and ".norm." in name for name in found[1e-5, 0.0])
    assert all(name.endswith("conv.weight") for name in found[1e-5, 1e-4])
    assert {"decoder.layers.0.norm1.weight", "encoder.aifi.feed_forward.0.bias"} <= found[1e-4, 0.0]
    assert {"decoder.labels.weight", "encoder.aifi.feed_forward.0.weight"} <= found[1e-4, 1e-4]
    assert len(Detector(ShapesOnly(), SIZES["r50"]).network.trainable()) < len(network.held)  # frozen norms, stem


def test_weights_of_another_model_are_refused():
    network = Detector(ShapesOnly(), TINY).network
    network.initialise(0)
    state = network.state()
    name = "decoder.classes.0.weight"
    with pytest.raises(RunError, match=r"decoder\.classes\.0\.weight has the shape \(3, 15\)"):
        network.load(state | {name: state[name][:, :-1]})
    with pytest.raises(RunError, match=r"they lack decoder\.classes\.0\.weight and they have more"):
        network.load({n: v for n, v in state.items() if n != name} | {"more": state[name]})


def test_an_image_of_an_odd_size():
    detector = Detector(open_framework("torch"), TINY)
    detector.network.initialise(0)
    with pytest.raises(ValueError, match="64 × 72 pixels: both must be multiples of 32"):
        detector(open_framework("torch").tensor(np.zeros((1, 3, 64, 72), np.float32)))


def test_a_small_image_has_fewer_queries_and_an_earlier_layer_may_answer():
    f = open_framework("torch")
    detector = Detector(f, replace(TINY, evaluated_layer=1, queries=100))
    detector.network.initialise(0)
    images, _ = batch(1)
    with f.no_gradients():
        assert len(detector(f.tensor(images)).layers) == 1
        detector.train()
        said = detector(f.tensor(images))
    assert len(said.layers) == 2 and said.layers[0].logits.shape == (1, 84, 3)
    assert detector.selected_count(64, 64) == 84
