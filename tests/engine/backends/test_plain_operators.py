"""NMS and RoIAlign in plain torch: what the textbook gives, and what torchvision's compiled operators give."""

from __future__ import annotations

import math
from itertools import product

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `torch`")

from detui.engine.backends.torch_support.plain_operators import (  # noqa: E402
    Pooling,
    nms,
    roi_align,
    roi_align_gradient,
)
from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision  # noqa: E402

Boxes = list[list[float]]


def slow_nms(boxes: Boxes, scores: list[float], threshold: float, offset: int = 0) -> list[int]:
    """Greedy suppression as the textbook writes it."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):  # stable: the first of equal scores is the higher
        if not any(iou(boxes[i], boxes[j], offset) > threshold for j in kept):
            kept.append(i)
    return kept


def iou(a: list[float], b: list[float], offset: int) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
    union = sum(areas) - w * h
    return w * h / union if union else math.nan


def slow_roi_align(features: torch.Tensor, rois: torch.Tensor, asked: Pooling) -> torch.Tensor:
    """Sample after sample, as the definition has it; gradients go through torch."""
    pooled = []
    for index, *corners in rois.tolist():
        x1, y1, x2, y2 = (value * asked.scale - 0.5 * asked.aligned for value in corners)
        tall, wide = y2 - y1, x2 - x1
        if not asked.aligned:
            tall, wide = max(tall, 1.0), max(wide, 1.0)
        of_bin = tall / asked.height, wide / asked.width
        number = [asked.samples or max(0, math.ceil(size)) for size in of_bin]
        picture = features[int(index)]
        for row, column in product(range(asked.height), range(asked.width)):
            total = picture.new_zeros(len(picture))
            for i, j in product(range(number[0]), range(number[1])):
                y = y1 + row * of_bin[0] + (i + 0.5) * of_bin[0] / number[0]
                x = x1 + column * of_bin[1] + (j + 0.5) * of_bin[1] / number[1]
                total = total + bilinear(picture, y, x)
            pooled.append(total / max(1, number[0] * number[1]))
    shape = (len(rois), asked.height, asked.width, features.shape[1])
    return torch.stack(pooled).view(shape).permute(0, 3, 1, 2)


def bilinear(picture: torch.Tensor, y: float, x: float) -> torch.Tensor:
    rows, columns = picture.shape[1:]
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return picture.new_zeros(len(picture))
    y, x = min(max(y, 0.0), rows - 1), min(max(x, 0.0), columns - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    b, r = y - top, x - left
    upper = picture[:, top, left] * (1 - r) + picture[:, top, right] * r
    lower = picture[:, bottom, left] * (1 - r) + picture[:, bottom, right] * r
    return upper * (1 - b) + lower * b


def crowd(seed: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes on a coarse grid, so that many are equal, touch or overlap by exactly a half; scores with ties."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(0, 8, (count, 2), generator=generator).float() * 4
    sides = torch.randint(0, 4, (count, 2), generator=generator).float() * 4
    scores = torch.randint(0, 12, (count,), generator=generator).float() / 12
    return torch.cat([low, low + sides], dim=1), scores


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("seed", range(6))
def test_nms_is_the_textbooks(seed: int, offset: int) -> None:
    for count in (0, 1, 60):
        boxes, scores = crowd(seed, count)
        for threshold in (0.0, 0.25, 0.5, 1.0):
            expected = slow_nms(boxes.tolist(), scores.tolist(), threshold, offset)
            assert nms(boxes, scores, threshold, offset).tolist() == expected


def test_nms_of_more_boxes_than_a_block() -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(700, 2, generator=generator) * 90
    boxes = torch.cat([low, low + 2 + torch.rand(700, 2, generator=generator) * 12], dim=1)
    scores = torch.rand(700, generator=generator)
    kept = nms(boxes, scores, 0.3).tolist()
    assert kept == slow_nms(boxes.tolist(), scores.tolist(), 0.3) and 256 < len(kept) < 700
    assert nms(boxes.half(), scores.half(), 0.3).dtype == torch.int64
    assert nms(boxes.double(), scores.double(), 0.3).tolist() == kept


ROIS = [
    [0, 1.0, 2.0, 9.0, 7.5], [1, 0.0, 0.0, 16.0, 12.0], [0, 3.3, 3.3, 3.3, 3.3],  # the last is empty
    [1, -30.0, -20.0, -9.0, 5.0], [0, 10.0, 8.0, 60.0, 50.0], [2, -4.0, 5.0, 40.0, 6.0],  # out of the picture
    [2, 100.0, 100.0, 120.0, 130.0], [1, 5.0, 5.0, 5.4, 5.4], [0, 12.0, 9.0, 8.0, 4.0],  # far out, tiny, turned over
]  # fmt: skip
WAYS = [
    Pooling(3, 2, scale, samples, aligned) for scale in (1.0, 0.5) for samples in (0, 2) for aligned in (True, False)
]


def told(asked: Pooling) -> str:
    return f"{asked.scale:g}-{asked.samples}-{'aligned' if asked.aligned else 'legacy'}"


@pytest.mark.parametrize("asked", WAYS, ids=told)
def test_roi_align_is_the_definitions(asked: Pooling) -> None:
    features = torch.randn(3, 2, 6, 8, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(ROIS, dtype=torch.float64)
    expected = slow_roi_align(features, rois, asked)
    weights = torch.randn_like(expected)
    expected.backward(weights)
    assert torch.allclose(roi_align(features.detach(), rois, asked), expected)
    gradient = roi_align_gradient(weights, rois, tuple(features.shape), asked)
    assert features.grad is not None and torch.allclose(gradient, features.grad)


def test_roi_align_in_other_types_and_of_nothing() -> None:
    asked, rois = Pooling(2, 2, 0.5), torch.tensor(ROIS)
    features = torch.randn(3, 2, 6, 8)
    pooled = roi_align(features, rois, asked)
    for kind in (torch.float16, torch.bfloat16):
        less = roi_align(features.to(kind), rois, asked)
        assert less.dtype == kind and torch.allclose(less.float(), pooled, atol=0.03)
        assert roi_align_gradient(less, rois, (3, 2, 6, 8), asked).dtype == kind
    assert roi_align(features, rois[:0], asked).shape == (0, 2, 2, 2)
    assert not roi_align_gradient(pooled[:0], rois[:0], (3, 2, 6, 8), asked).any()
    lost = torch.tensor([[0, math.nan, 0, math.inf, 4], [0, 0, 0, 4, 4]])
    assert torch.equal(roi_align(features, lost, asked)[1], roi_align(features, lost[1:], asked)[0])


def test_many_regions_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    low = torch.rand(150, 2, generator=generator) * 40
    rois = torch.cat([torch.zeros(150, 1), low, low + torch.rand(150, 2, generator=generator) * 30], dim=1)
    features, asked = torch.randn(1, 3, 40, 50, generator=generator), Pooling(4, 4, 0.7)
    at_once = roi_align(features, rois, asked)
    monkeypatch.setattr("detui.engine.backends.torch_support.plain_operators._VALUES", 5000)
    assert torch.allclose(roi_align(features, rois, asked), at_once, atol=1e-5)
    each = torch.cat([roi_align(features, roi[None], asked) for roi in rois])
    assert torch.allclose(each, at_once, atol=1e-5)


@pytest.fixture(scope="module")
def compiled() -> object:
    """torchvision's operators, where they load."""
    if ensure_torchvision() != "native":
        pytest.skip("needs a torchvision whose compiled operators load beside this torch")
    return torch.ops.torchvision


@pytest.mark.parametrize("seed", range(6))
def test_nms_is_torchvisions(compiled: object, seed: int) -> None:
    boxes, scores = crowd(seed, 400)
    moved = boxes + torch.rand(boxes.shape, generator=torch.Generator().manual_seed(seed))
    for some, threshold in product((boxes, moved), (0.25, 0.5, 0.7)):
        assert nms(some, scores, threshold).tolist() == compiled.nms(some, scores, threshold).tolist()  # type: ignore[attr-defined]


@pytest.mark.parametrize("asked", WAYS, ids=told)
def test_roi_align_is_torchvisions(compiled: object, asked: Pooling) -> None:
    features, rois = torch.randn(3, 2, 6, 8), torch.tensor(ROIS)
    sizes = asked.scale, asked.height, asked.width
    expected = compiled.roi_align(features, rois, *sizes, asked.samples, asked.aligned)  # type: ignore[attr-defined]
    assert torch.allclose(roi_align(features, rois, asked), expected, atol=1e-5)
    gradient = compiled._roi_align_backward(  # type: ignore[attr-defined]
        expected, rois, *sizes, *features.shape, asked.samples, asked.aligned
    )
    assert torch.allclose(roi_align_gradient(expected, rois, tuple(features.shape), asked), gradient, atol=1e-4)
