"""The stand-in for torchvision's nms gives what a plain double loop gives."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `ultralytics`")

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision, nms  # noqa: E402


def slow_nms(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    """Greedy suppression as the textbook writes it."""
    order = sorted(range(len(boxes)), key=lambda i: -scores[i])
    kept: list[int] = []
    for i in order:
        if all(iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


def iou(a: list[float], b: list[float]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_textbook(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(40, 2, generator=generator) * 50
    boxes = torch.cat([low, low + 5 + torch.rand(40, 2, generator=generator) * 30], dim=1)
    scores = torch.rand(40, generator=generator)
    for threshold in (0.3, 0.5, 0.7):
        assert nms(boxes, scores, threshold).tolist() == slow_nms(boxes.tolist(), scores.tolist(), threshold)


def test_no_box_at_all() -> None:
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


def test_torchvision_imports_and_its_nms_works() -> None:
    assert ensure_torchvision() in ("native", "plain torch")
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]
