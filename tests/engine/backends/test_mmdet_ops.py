"""The stand-in for MMCV's compiled extension, as `mmcv.ops` calls it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `torch`")

from detui.engine.backends.mmdet import ops  # noqa: E402
from detui.engine.backends.torch_support.plain_operators import Pooling, nms, roi_align  # noqa: E402
from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision  # noqa: E402
from detui.engine.errors import MissingError, RunError  # noqa: E402

BOXES = torch.tensor([[0.0, 0, 9, 9], [1, 1, 9, 9], [3, 3, 3, 3], [4, 4, 4, 4]])
SCORES = torch.tensor([0.4, 0.3, 0.2, 0.1])


@pytest.fixture(params=["plain torch", "torchvision"])
def extension(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "torchvision" and ensure_torchvision() != "native":
        pytest.skip("needs a torchvision whose compiled operators load beside this torch")
    before = dict(sys.modules)
    ops.place(request.param)
    yield sys.modules["mmcv._ext"]
    sys.modules.pop("mmcv._ext")
    assert sys.modules.keys() >= before.keys()


def test_it_is_found_and_says_what_it_is(extension: Any) -> None:
    assert find_spec("mmcv._ext") is not None  # how MMEngine asks whether MMCV is whole
    assert ops.ensure_ops() == extension.operators
    assert not hasattr(extension, "__path__")


@pytest.mark.parametrize("offset", [0, 1])
def test_nms(extension: Any, offset: int) -> None:
    expected = nms(BOXES, SCORES, 0.5, offset).tolist()
    assert extension.nms(BOXES, SCORES, iou_threshold=0.5, offset=offset).tolist() == expected
    assert extension.nms(BOXES.half(), SCORES.half(), iou_threshold=0.5, offset=offset).tolist() == expected
    assert extension.nms(BOXES[:0], SCORES[:0], iou_threshold=0.5, offset=offset).tolist() == []


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_roi_align_writes_into_what_it_is_given(extension: Any, kind: Any) -> None:
    features = torch.randn(2, 3, 8, 9).to(kind)
    rois = torch.tensor([[0.0, 1, 2, 20, 14], [1, 0, 0, 9, 30]]).to(kind)
    asked: dict[str, Any] = {
        "aligned_height": 3, "aligned_width": 2, "spatial_scale": 0.5, "sampling_ratio": 0, "aligned": True,
    }  # fmt: skip
    output, unused = features.new_zeros(2, 3, 3, 2), features.new_zeros(0)
    extension.roi_align_forward(features, rois, output, unused, unused, pool_mode=1, **asked)
    assert torch.allclose(output, roi_align(features, rois, Pooling(3, 2, 0.5)), atol=1e-5)
    gradient = torch.zeros_like(features)
    extension.roi_align_backward(output, rois, unused, unused, gradient, pool_mode=1, **asked)
    # Each is the transpose of the other: <y, A x> = <A' y, x>.
    forward, backward = (output.double() ** 2).sum(), (gradient.double() * features.double()).sum()
    assert torch.allclose(forward, backward, rtol=0.02 if kind in (torch.float16, torch.bfloat16) else 1e-4)
    for call in (extension.roi_align_forward, extension.roi_align_backward):
        with pytest.raises(RunError, match="by maximum"):
            call(features, rois, output, unused, unused, pool_mode=0, **asked)


def test_other_operators_are_there_until_they_are_called(extension: Any) -> None:
    with pytest.raises(RunError, match="'deform_conv_forward'") as caught:
        extension.deform_conv_forward(1, weight=2)
    assert caught.value.hint is not None and "detui env create mmdet-cuda" in caught.value.hint


@pytest.mark.skipif(find_spec("mmcv") is not None, reason="is for a Python without MMCV")
def test_without_mmcv() -> None:
    with pytest.raises(MissingError) as caught:
        ops.ensure_ops()
    assert caught.value.hint == "detui env create mmdet"
