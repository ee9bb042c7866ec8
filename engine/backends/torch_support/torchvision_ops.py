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
    if _LIBRARIES:
        return "plain torch"
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

    from detui.engine.backends.torch_support.plain_operators import nms

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    library.impl("nms", nms, "CUDA")
    _LIBRARIES.append(library)
