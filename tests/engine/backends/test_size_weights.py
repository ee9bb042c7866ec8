"""The loss weighted by size: what it must equal, what it must change, and that it leaves nothing behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics.plan import BySize
from detui.engine.backends.ultralytics.size_weights import SIZES, SizeWeights, _carry, size_of
from detui.engine.errors import RunError

SIDE = 320
BOXES = [(20.0, 0.3, 0.3), (30.0, 0.7, 0.2), (60.0, 0.3, 0.7), (150.0, 0.6, 0.6)]
"""Side in pixels, then the centre as parts of the picture: two small, a medium, a large object."""


@pytest.fixture(scope="module")
def network() -> Any:
    ensure_torchvision()
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolo12n.yaml", nc=3, verbose=False)
    model.args = get_cfg()
    return model.train()


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    torch.manual_seed(1)
    rows = [[x, y, side / SIDE, side / SIDE] for side, x, y in BOXES]
    return {
        "img": torch.rand(2, 3, SIDE, SIDE),
        "batch_idx": torch.tensor([0.0, 0, 0, 0, 1, 1]),
        "cls": torch.tensor([[0.0], [1], [2], [0], [1], [2]]),
        "bboxes": torch.tensor([*rows, rows[1], rows[3]]),
    }


@pytest.fixture(scope="module")
def outputs(network: Any, batch: dict[str, Any]) -> Any:
    """What the network says; the criterion alone is under test."""
    with torch.no_grad():
        return network(batch["img"])


def weights(small: float, medium: float, large: float, **more: Any) -> SizeWeights:
    wanted = {"weights": {"small": small, "medium": medium, "large": large}, **more}
    return SizeWeights(BySize.model_validate(wanted).model_dump())


def loss(network: Any, outputs: Any, batch: dict[str, Any], by_size: SizeWeights | None = None) -> list[float]:
    """Box, cls and dfl loss, exactly."""
    criterion = network.init_criterion()
    if by_size:
        by_size.listen(criterion)
    return [float(value) for value in criterion(outputs, batch)[0]]


def test_equal_weights_of_one_are_the_stock_loss_bit_for_bit(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    stock = loss(network, outputs, batch)
    assert min(stock) > 0
    for normalise in ("mean", "none"):
        assert loss(network, outputs, batch, weights(1, 1, 1, normalise=normalise)) == stock


def test_equal_weights_of_two_are_the_stock_loss_when_normalised(
    network: Any, outputs: Any, batch: dict[str, Any]
) -> None:
    stock = loss(network, outputs, batch)
    assert loss(network, outputs, batch, weights(2, 2, 2)) == stock
    assert loss(network, outputs, batch, weights(3, 3, 3)) == pytest.approx(stock, rel=1e-6)


def test_without_normalisation_the_scale_of_the_loss_changes(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    stock, doubled = loss(network, outputs, batch), loss(network, outputs, batch, weights(2, 2, 2, normalise="none"))
    assert [doubled[0], doubled[2]] == [2 * stock[0], 2 * stock[2]]
    assert stock[1] < doubled[1] < 2 * stock[1], "background is not weighted"


def test_uniform_weights_have_the_mean_and_no_size(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    """Normalised it is the stock loss; otherwise box and dfl grow by one common factor, the mean that is reported."""
    stock = loss(network, outputs, batch)
    assert loss(network, outputs, batch, weights(2, 1.5, 1, uniform=True)) == pytest.approx(stock, rel=1e-6)
    control = weights(2, 1.5, 1, uniform=True, normalise="none")
    scaled = loss(network, outputs, batch, control)
    factor = float(control._sample["weight/mean"])
    assert 1.0 < factor < 2.0
    assert [scaled[0] / stock[0], scaled[2] / stock[2]] == pytest.approx([factor, factor], rel=1e-5)


def test_the_loss_is_what_its_definition_says(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    """With one size alone weighted, the loss is linear in the weights before they are normalised."""
    by = {
        size: loss(network, outputs, batch, weights(*(1.0 + (size == s) for s in SIZES), normalise="none"))
        for size in SIZES
    }
    stock = loss(network, outputs, batch)
    mixed = loss(network, outputs, batch, weights(2, 1.5, 1, normalise="none"))
    for term in range(3):
        parts = {size: by[size][term] - stock[term] for size in SIZES}
        assert mixed[term] == pytest.approx(stock[term] + parts["small"] + 0.5 * parts["medium"], rel=1e-5)
    assert sum(by[size][0] - stock[0] for size in SIZES) == pytest.approx(stock[0], rel=1e-5)


@pytest.mark.parametrize("term", ["box", "dfl", "cls"])
def test_a_term_that_is_left_out_is_the_stock_one(network: Any, outputs: Any, batch: dict[str, Any], term: str) -> None:
    stock = loss(network, outputs, batch)
    all_terms = loss(network, outputs, batch, weights(2, 1.5, 1))
    one = loss(network, outputs, batch, weights(2, 1.5, 1, terms=[term]))
    place = ["box", "cls", "dfl"].index(term)
    assert one[place] == all_terms[place] != stock[place]
    assert [value for index, value in enumerate(one) if index != place] == [
        value for index, value in enumerate(stock) if index != place
    ]


def test_small_objects_get_more_gradient_and_that_is_measured(network: Any, batch: dict[str, Any]) -> None:
    def share(by_size: SizeWeights) -> dict[str, float]:
        criterion = network.init_criterion()
        by_size.listen(criterion)
        network.zero_grad()
        criterion(network(batch["img"]), batch)[0].sum().backward()
        ((_, values),) = by_size.step_done(1, 1)
        return values

    torch.manual_seed(2)
    even, more = share(weights(1, 1, 1)), share(weights(2, 1.5, 1))
    for kind in ("objects", "positives", "gradient"):
        assert sum(more[f"{kind}/{size}"] for size in SIZES) == pytest.approx(1.0)
    assert more["objects/small"] == pytest.approx(3 / 6) and more["objects/medium"] == pytest.approx(1 / 6)
    assert more["positives/small"] == even["positives/small"]
    assert more["gradient/small"] > 1.4 * even["gradient/small"] > 0
    assert more["gradient/large"] < even["gradient/large"]
    assert more["weight/mean"] == 1.0


def test_samples_are_taken_every_so_many_steps(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    by_size = weights(2, 1.5, 1, measure_every=3)
    criterion = network.init_criterion()
    by_size.listen(criterion)
    steps = []
    for step in range(1, 8):
        criterion(outputs, batch)
        steps += [step for step, _ in by_size.step_done(step, 1)]
    assert steps == [1, 4, 7]
    never = weights(2, 1.5, 1, measure_every=0)
    loss(network, outputs, batch, never)
    assert not list(never.step_done(1, 1)) and not list(never.flush())


def test_a_batch_without_objects_trains_on(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    nothing = {"img": batch["img"], "batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
    by_size = weights(2, 1.5, 1)
    assert loss(network, outputs, nothing, by_size) == loss(network, outputs, nothing)
    assert list(by_size.step_done(1, 1)) == [(1, {"weight/mean": 1.0})]


def test_edges_are_the_documents(network: Any) -> None:
    """Below 32² small, from 32² below 96² medium, from 96² large."""
    areas = np.array([0, 32**2 - 0.5, 32**2, 96**2 - 0.5, 96**2])
    assert size_of(areas, (32, 96)).tolist() == [0, 0, 1, 1, 2]
    assert size_of(torch.tensor(areas), (32, 96)).tolist() == [0, 0, 1, 1, 2]


def label(side: float, picture: tuple[int, int], cls: int = 2) -> dict[str, Any]:
    """One object of so many pixels on a picture of height × width."""
    height, width = picture
    box = np.array([[0.5, 0.5, side / width, side / height]], dtype=np.float32)
    return {"shape": picture, "bboxes": box, "cls": np.array([[cls]], dtype=np.float32)}


@pytest.mark.parametrize(("side", "size"), [(31.9, 0), (32, 1), (95.9, 1), (96, 2), (400, 2)])
@pytest.mark.parametrize("picture", [(1080, 1920), (765, 1360), (97, 1999)])
def test_the_size_in_the_original_picture_travels_with_the_class(
    side: float, size: int, picture: tuple[int, int]
) -> None:
    one = label(side, picture) if side < min(picture) else label(side, (1080, 1920))
    _carry(one, (32, 96))
    by_size = weights(2, 1.5, 1, pixels="original")
    given = {"cls": torch.from_numpy(one["cls"]), "batch_idx": torch.zeros(1)}
    by_size._unpack(None, (given,))
    assert given["cls"].tolist() == [[2.0]] and by_size._carried is not None
    assert by_size._carried[1].tolist() == [size]


def test_original_pixels_weigh_by_what_was_carried(network: Any, outputs: Any, batch: dict[str, Any]) -> None:
    """All six objects are large in their pictures: weights of large objects alone act, in the order of the batch."""
    by_size = weights(1, 1, 3, pixels="original", normalise="none")
    by_size._carried = (batch["batch_idx"].long(), torch.full((6,), 2))
    tripled, stock = loss(network, outputs, batch, by_size), loss(network, outputs, batch)
    assert tripled[0] == pytest.approx(3 * stock[0], rel=1e-6)
    added = 0.0
    for place in range(6):
        alone = weights(1, 1, 3, pixels="original", normalise="none")
        alone._carried = (batch["batch_idx"].long(), 2 * (torch.arange(6) == place).long())
        added += loss(network, outputs, batch, alone)[0] - stock[0]
    assert added == pytest.approx(2 * stock[0], rel=1e-5), "each object's part belongs to that object"


def test_other_criteria_are_refused(network: Any) -> None:
    from detui.engine.backends.ultralytics.size_weights import detection_losses

    words = ("weights by size", "loss.by_size", "leave loss.by_size out")
    assert len(detection_losses(network.init_criterion(), *words)) == 1
    with pytest.raises(RunError, match="no place for weights by size"):
        detection_losses(torch.nn.MSELoss(), *words)
