"""The bootstrap over images: its AP is the evaluator's, its weights are repetitions, its intervals cover."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from coco_cases import random_case

from detui.engine.evaluate import evaluate
from detui.engine.evaluate.bootstrap import compare_on_images, multinomial, weighted_ap
from detui.engine.evaluate.matches import AREAS, match


def ap_of(truth: dict[str, Any], detections: list[dict[str, Any]], weights: list[int]) -> dict[str, float]:
    """AP by size when images count as often as `weights` says."""
    matches = match(truth, detections, areas=tuple(AREAS))
    column = np.array(weights, np.float32)[:, None]
    values = {area: weighted_ap(classes, column)[:, :, 0] for area, classes in matches.by_area.items()}
    return {area: float(np.nanmean(ap)) for area, ap in values.items() if not np.isnan(ap).all()}


@pytest.mark.parametrize("seed", range(60))
def test_at_weights_of_one_it_is_a_full_evaluation(seed: int) -> None:
    truth, detections = random_case(random.Random(seed))
    values = evaluate(truth, detections).values
    found = ap_of(truth, detections, [1] * len(truth["images"]))
    for area in AREAS:
        expected = values["AP" if area == "all" else f"AP_{area}"]
        assert (expected is None) == (area not in found), area
        if expected is not None:
            assert abs(found[area] - expected) <= 1e-12, area


@pytest.mark.parametrize("seed", range(20))
def test_a_weight_is_so_many_copies_of_the_image(seed: int) -> None:
    draw = random.Random(seed)
    truth, detections = random_case(draw)
    for rank, entry in enumerate(detections):  # without ties, whose order copies would change
        entry["score"] = (rank * 7919 % 10007) / 10007
    weights = [draw.randrange(4) for _ in truth["images"]]
    images, annotations, copies = [], [], []
    for image, weight in zip(sorted(truth["images"], key=lambda entry: entry["id"]), weights, strict=True):
        for _ in range(weight):
            images.append({**image, "id": len(images) + 1})
            mine = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
            annotations += [{**a, "image_id": len(images), "id": len(annotations) + n + 1} for n, a in enumerate(mine)]
            copies += [{**d, "image_id": len(images)} for d in detections if d["image_id"] == image["id"]]
    if not images:
        return
    values = evaluate({**truth, "images": images, "annotations": annotations}, copies).values
    found = ap_of(truth, detections, weights)
    for area in AREAS:
        expected = values["AP" if area == "all" else f"AP_{area}"]
        assert (expected is None) == (area not in found), area
        if expected is not None:
            assert abs(found[area] - expected) <= 1e-12, area


def test_every_recall_point_that_rounding_moves() -> None:
    """One box an image, found in order: recall passes each of 0.01, 0.02 … exactly, where linspace rounds both ways."""
    box = [10.0, 10.0, 40.0, 40.0]
    truth = {
        "images": [{"id": i, "width": 100, "height": 100} for i in range(1, 101)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": box, "area": 1600.0, "iscrowd": 0}
                        for i in range(1, 101)],
        "categories": [{"id": 1, "name": "cell"}],
    }  # fmt: skip
    found = [{"image_id": i, "category_id": 1, "bbox": box, "score": 1 - i / 1000} for i in range(1, 101)]
    wrong = [{**entry, "bbox": [60.0, 60.0, 9.0, 9.0], "score": entry["score"] - 1e-4} for entry in found]
    for part in range(1, 101, 3):
        some = [*found[:part], *wrong[:part]]
        assert ap_of(truth, some, [1] * 100)["all"] == pytest.approx(evaluate(truth, some).values["AP"], abs=1e-12)


def test_a_pair_of_runs() -> None:
    draw = random.Random(5)
    truth, better = random_case(draw)
    worse = [entry for entry in better if draw.random() < 0.5]
    deltas = {d.metric: d for d in compare_on_images(truth, worse, better, replicates=200)}
    values = evaluate(truth, better).values
    for name, delta in deltas.items():
        assert delta.second == pytest.approx(values[name], abs=1e-12)
        assert delta.delta == pytest.approx(delta.second - delta.first)
        assert delta.interval[0] <= delta.interval[1]
        assert (delta.images, delta.replicates) == (len(truth["images"]), 200)
    assert {"AP", "AP50", "AP75"} <= set(deltas)
    same = {d.metric: d for d in compare_on_images(truth, better, better, replicates=200)}
    assert all(d.delta == 0 and d.interval == (0.0, 0.0) for d in same.values())
    again = {d.metric: d for d in compare_on_images(truth, worse, better, replicates=200)}
    assert again == deltas, "the same seed draws the same images"


def test_one_image_is_no_sample() -> None:
    truth, _ = random_case(random.Random(1))
    one = {**truth, "images": truth["images"][:1], "annotations": []}
    with pytest.raises(ValueError, match="at least two"):
        compare_on_images(one, [], [], replicates=10)


def test_each_replicate_draws_as_many_images_as_there_are() -> None:
    weights = multinomial(37, 50, 1)
    assert weights.shape == (37, 50) and (weights.sum(axis=0) == 37).all() and (weights == np.floor(weights)).all()


@pytest.mark.slow
def test_the_intervals_cover() -> None:
    """Two detectors of known quality on a population of 4,000 images; 95 % intervals from samples of 150 of them."""
    population = _population(4000)
    truth, first, second = population
    whole = {
        d.metric: d.delta for d in compare_on_images(truth, first, second, sizes=False, per_class=False, replicates=2)
    }
    draw = random.Random(0)
    hits = {"AP": 0, "AP50": 0}
    rounds = 200
    for number in range(rounds):
        sample = _subset(population, draw.sample(range(1, 4001), 150))
        deltas = compare_on_images(*sample, sizes=False, per_class=False, replicates=200, seed=number)
        for delta in deltas:
            if delta.metric in hits:
                hits[delta.metric] += delta.interval[0] <= whole[delta.metric] <= delta.interval[1]
    print({name: count / rounds for name, count in hits.items()})
    for name, count in hits.items():
        # 95 % ± 3 standard errors of a share over 200 rounds, and 2 % for what a bootstrap loses on 150 images
        assert 0.88 <= count / rounds <= 1.0, (name, count / rounds)


Population = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]


def _population(images: int) -> Population:
    draw = np.random.default_rng(3)
    annotations: list[dict[str, Any]] = []
    sides: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for image in range(1, images + 1):
        hard = draw.random()
        for category in (1, 2, 3):
            for _ in range(int(draw.poisson(1.0))):
                box = [*draw.uniform(0, 400, 2).tolist(), *draw.uniform(15, 120, 2).tolist()]
                annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": category, "bbox": box,
                                    "area": box[2] * box[3], "iscrowd": 0})  # fmt: skip
                for side, quality in zip(sides, (0.75, 0.82), strict=True):
                    if draw.random() < quality - 0.4 * hard:
                        moved = (np.array(box) + draw.normal(0, 0.06, 4) * box[2]).tolist()
                        side.append({"image_id": image, "category_id": category, "bbox": moved,
                                     "score": float(draw.beta(5, 2))})  # fmt: skip
            for side in sides:
                for _ in range(int(draw.poisson(0.7))):
                    side.append({"image_id": image, "category_id": category, "bbox": draw.uniform(5, 200, 4).tolist(),
                                 "score": float(draw.beta(2, 4))})  # fmt: skip
    truth = {"images": [{"id": i, "width": 500, "height": 500} for i in range(1, images + 1)],
             "annotations": annotations, "categories": [{"id": k, "name": f"c{k}"} for k in (1, 2, 3)]}  # fmt: skip
    return truth, *sides


def _subset(population: Population, images: list[int]) -> Population:
    truth, first, second = population
    kept = set(images)
    few = {**truth, "images": [i for i in truth["images"] if i["id"] in kept],
           "annotations": [a for a in truth["annotations"] if a["image_id"] in kept]}  # fmt: skip
    return few, [d for d in first if d["image_id"] in kept], [d for d in second if d["image_id"] in kept]
