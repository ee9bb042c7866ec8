"""MMCV's operators where their compiled extension is not there or does not work.

MMDetection imports `mmcv.ops`, which needs the extension `mmcv._ext`: it has to be compiled for this Python, torch and
CUDA, and does not come with most installations. Mask R-CNN uses two operators of it, non-maximum suppression and
RoIAlign. Where the extension does not work, a module that offers those two takes its place: torchvision's compiled ones
where they work, on a CPU and on a GPU, else plain torch (`torch_support/plain_operators.py`). All others can be
imported, and raise when they are called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Literal

from detui.engine.errors import MissingError, RunError

Operators = Literal["compiled", "torchvision", "plain torch"]
_NAME = "mmcv._ext"
_BROKEN = (ImportError, RuntimeError, OSError, AttributeError, TypeError)
"""What an extension that was built for something else raises, at import or when it is called."""


def ensure_ops() -> Operators:
    """Make `mmcv.ops` work; call it before `import mmdet`. Says on stderr why the compiled ones are not used.

    Returns which operators are in use; nothing is changed where that is "compiled". Raises MissingError without MMCV.
    """
    placed = sys.modules.get(_NAME)
    if isinstance(placed, _StandIn):
        return placed.operators
    if (reason := _compiled_problem()) is None:
        return "compiled"
    operators, why = _torchvision()
    place(operators)
    more = f" {why}" if why else ""
    print(f"MMCV's compiled operators are not used ({reason}); {operators} stands in.{more}", file=sys.stderr)
    return operators


def place(operators: Literal["torchvision", "plain torch"]) -> None:
    """Put the stand-in where `mmcv.ops` looks for its extension; what was imported with another is forgotten."""
    _forget()
    sys.modules[_NAME] = _StandIn(operators)


def _compiled_problem() -> str | None:
    """Return why MMCV's own extension cannot be used, None where it can."""
    try:
        importlib.import_module("mmcv")
    except ModuleNotFoundError as error:
        if error.name != "mmcv":
            raise
        raise MissingError("There is no MMCV here.", where="environment", hint="detui env create mmdet") from error
    try:
        extension: Any = importlib.import_module(_NAME)
        _try(extension.nms, extension.roi_align_forward)
    except _BROKEN as error:
        return _line(error)
    return None


def _torchvision() -> tuple[Literal["torchvision", "plain torch"], str | None]:
    """Which operators can stand in, and why torchvision's cannot where they cannot."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

    try:
        if ensure_torchvision() != "native":
            return "plain torch", "torchvision's do not load beside this torch."
        _try(_torchvision_nms, _torchvision_forward)
    except ModuleNotFoundError:
        return "plain torch", "There is no torchvision."
    except _BROKEN as error:
        # MMEngine asks for torchvision's version, and expects of a torchvision that does not import that it is absent.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision"] = None  # type: ignore[assignment]
        return "plain torch", f"torchvision is broken: {_line(error)}."
    return "torchvision", None


def _line(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return (said[0] if said else type(error).__name__).rstrip(".")


def _try(nms: Callable[..., Any], forward: Callable[..., Any]) -> None:
    """Call both operators wherever tensors will lie. Raises what they raise, RuntimeError where they answer wrongly."""
    import torch

    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], device=device)
        scores = torch.tensor([0.7, 0.8, 0.9], device=device)
        kept = nms(boxes, scores, iou_threshold=0.5, offset=0).tolist()
        rois = torch.tensor([[0.0, 0, 0, 2, 2]], device=device)
        pooled, unused = torch.zeros(1, 1, 1, 1, device=device), torch.zeros(0, device=device)
        forward(
            torch.full((1, 1, 4, 4), 3.0, device=device), rois, pooled, unused, unused, aligned_height=1,
            aligned_width=1, spatial_scale=1.0, sampling_ratio=2, pool_mode=1, aligned=False,
        )  # fmt: skip
        if kept != [2, 1] or abs(float(pooled) - 3.0) > 1e-5:
            raise RuntimeError(f"the operators give {kept} and {float(pooled)} on {device} instead of [2, 1] and 3.0")


class _StandIn(ModuleType):
    """The module in the extension's place."""

    operators: Literal["torchvision", "plain torch"]

    def __init__(self, operators: Literal["torchvision", "plain torch"]) -> None:
        super().__init__(_NAME, "MMCV's operators without its compiled extension.")
        self.__spec__ = ModuleSpec(_NAME, None, origin=f"detui: {operators}")
        self.operators = operators
        compiled = operators == "torchvision"
        self.nms = _torchvision_nms if compiled else _plain_nms
        self.roi_align_forward = _torchvision_forward if compiled else _plain_forward
        self.roi_align_backward = _torchvision_backward if compiled else _plain_backward

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Every other operator: `mmcv.ops` asks at import whether it is there."""
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_: Any, **__: Any) -> Any:
            raise _absent(f"MMCV's operator {name!r} is")

        return absent


def _absent(what: str) -> RunError:
    text = f"{what} not here: only nms and RoIAlign by mean values have a stand-in for the compiled ones."
    hint = "detui env create mmdet-cuda, or a model that does without it"
    return RunError(text, where="mmcv.ops", hint=hint)


def _forget() -> None:
    for name in [name for name in sys.modules if name == _NAME or (name + ".").startswith("mmcv.ops.")]:
        del sys.modules[name]


def _plain_nms(boxes: Any, scores: Any, iou_threshold: float, offset: int = 0) -> Any:
    from detui.engine.backends.torch_support.plain_operators import nms

    return nms(boxes, scores, iou_threshold, offset)


def _plain_forward(
    input: Any, rois: Any, output: Any, argmax_y: Any, argmax_x: Any, aligned_height: int, aligned_width: int,
    spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """Write into `output` (K, C, height, width); the names are those that MMCV calls with."""
    from detui.engine.backends.torch_support.plain_operators import Pooling, roi_align

    _mean_only(pool_mode)
    asked = Pooling(aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
    output.copy_(roi_align(input, rois, asked))


def _plain_backward(
    grad_output: Any, rois: Any, argmax_y: Any, argmax_x: Any, grad_input: Any, aligned_height: int,
    aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """Write into `grad_input` (N, C, H, W)."""
    from detui.engine.backends.torch_support.plain_operators import Pooling, roi_align_gradient

    _mean_only(pool_mode)
    asked = Pooling(aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
    grad_input.copy_(roi_align_gradient(grad_output, rois, tuple(grad_input.shape), asked))


def _torchvision_nms(boxes: Any, scores: Any, iou_threshold: float, offset: int = 0) -> Any:
    import torch

    if offset or not len(boxes):  # torchvision's counts a box from 3 to 3 as empty
        return _plain_nms(boxes, scores, iou_threshold, offset)
    return torch.ops.torchvision.nms(_single(boxes), _single(scores), iou_threshold)


def _torchvision_forward(
    input: Any, rois: Any, output: Any, argmax_y: Any, argmax_x: Any, aligned_height: int, aligned_width: int,
    spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    import torch

    _mean_only(pool_mode)
    features = _single(input)
    pooled = torch.ops.torchvision.roi_align(
        features, rois.to(features.dtype), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    output.copy_(pooled)


def _torchvision_backward(
    grad_output: Any, rois: Any, argmax_y: Any, argmax_x: Any, grad_input: Any, aligned_height: int,
    aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    import torch

    _mean_only(pool_mode)
    gradient = _single(grad_output)
    found = torch.ops.torchvision._roi_align_backward(
        gradient, rois.to(gradient.dtype), spatial_scale, aligned_height, aligned_width, *grad_input.shape,
        sampling_ratio, aligned,
    )  # fmt: skip
    grad_input.copy_(found)


def _mean_only(pool_mode: int) -> None:
    if pool_mode != 1:
        raise _absent("RoIAlign by maximum is")


def _single(values: Any) -> Any:
    """Half precision as single: torchvision has no kernel for bfloat16, and sums lose digits in half."""
    import torch

    return values if values.dtype == torch.float64 else values.float()
