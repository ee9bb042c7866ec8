"""torchvision imports and works, whether its compiled operators load or not."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `ultralytics`")

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision  # noqa: E402


def test_torchvision_imports_and_its_nms_works() -> None:
    used = ensure_torchvision()
    assert used in ("native", "plain torch") and ensure_torchvision() == used, "what was repaired stays repaired"
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]
