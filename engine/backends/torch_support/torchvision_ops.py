"""torchvision beside a torch that it was not built for.

A torchvision whose compiled operators do not load (a CPU-only torch beside the
CUDA wheel is the common case) fails at import with "operator torchvision::nms
does not exist". This registers that operator in plain torch, so that what
imports torchvision works. Nothing is changed where torchvision imports by
itself. What was done is said in `begin` and in the record.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Literal

_LIBRARIES: list[Any] = []  # an operator disappears when its library object is collected
_NATIVE_ERROR = "torchvision::nms"


def ensure_torchvision() -> Literal["native", "plain torch"]:
    """Make `import torchvision` work; call it before importing ultralytics or timm.

    Returns which operators are in use. Raises ImportError or RuntimeError when torchvision is broken otherwise.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if _NATIVE_ERROR not in str(error):
            raise
    else:
        return "native"
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _register()
    importlib.import_module("torchvision")
    extension: Any = importlib.import_module("torchvision.extension")
    extension._has_ops = lambda: True  # torchvision.ops asks this before it calls any operator
    return "plain torch"


def _register() -> None:
    """Define the operators that torchvision registers meta kernels for at import."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    library.impl("nms", nms, "CUDA")
    _LIBRARIES.append(library)


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Greedy non-maximum suppression, as torchvision.ops.nms does it.

    boxes: (N, 4) xyxy; scores: (N,). Returns the kept indices (K,), by falling score.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    rest = boxes[order].float()
    indices = torch.arange(len(rest), device=boxes.device)
    kept = []
    while len(rest):
        kept.append(indices[0])
        overlap = _iou(rest[:1], rest[1:])
        survivors = overlap <= iou_threshold
        rest, indices = rest[1:][survivors], indices[1:][survivors]
    return order[torch.stack(kept)] if kept else order


def _iou(one: Any, many: Any) -> Any:
    """Intersection over union of one box (1, 4) with many (N, 4): (N,)."""
    import torch

    low = torch.maximum(one[:, :2], many[:, :2])
    high = torch.minimum(one[:, 2:], many[:, 2:])
    inter = (high - low).clamp_(min=0).prod(dim=1)
    area = (many[:, 2:] - many[:, :2]).prod(dim=1) + (one[:, 2:] - one[:, :2]).prod(dim=1)
    return inter / (area - inter)
