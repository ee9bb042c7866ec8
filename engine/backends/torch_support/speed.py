"""Speed and size of a model in PyTorch, measured the same way for every backend that trains with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detui.engine.errors import RunError
from detui.engine.worker.speed import ResidentMemory, timed

PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""What the weights and the pictures are cast to."""

CONVENTION = "torch.utils.flop_counter: convolutions, matrix products, attention; a multiply-add is 2 FLOPs, 1 MAC"
"""How FLOPs are counted. Normalisation, activations, sampling and post-processing are left out."""


def measure(
    model: Any,
    pictures: Any,
    postprocess: Callable[[Any], Any] | None,
    *,
    precision: str,
    frozen: Callable[[str], bool] = lambda name: False,
) -> dict[str, Any]:
    """Measure a module in evaluation mode, on the device where it is; it is cast to the precision in place.

    `pictures`: (batch, channels, height, width), float32, on that device. `postprocess`: raw outputs, cast back to
    float32, to detections. `frozen`: whether the training kept the parameter of a name as it was. Raises RunError
    where the model cannot run in this precision or the memory does not suffice.
    """
    import torch

    device, dtype = pictures.device, getattr(torch, PRECISIONS[precision])
    counted = size(model, pictures[:1], frozen)
    model, pictures = model.to(dtype), pictures.to(dtype)
    memory = _Memory(device)
    try:
        with torch.inference_mode():
            times = timed(
                lambda: model(pictures),
                None if postprocess is None else lambda raw: postprocess(as_float(raw)),
                torch.cuda.synchronize if device.type == "cuda" else lambda: None,
                batch=len(pictures),
            )
    except RuntimeError as error:  # torch's class for both: no memory left, no kernel for this precision
        text = " ".join(str(error).split())[:200]
        message = f"The model cannot run in {precision} with a batch of {len(pictures)} here: {text}"
        raise RunError(message, hint="--precision fp32, or a smaller --batch") from error
    return {
        **counted,
        **times,
        "precision": precision,
        "batch": len(pictures),
        "input": list(pictures.shape[1:]),
        "device": _device(device),
        "threads": torch.get_num_threads(),
        "memory": memory.peak(),
        "torch": {"version": torch.__version__, **_switches(device)},
    }


def as_float(raw: Any) -> Any:
    """Nested tensors in float32: post-processing in half precision would find other boxes."""
    if isinstance(raw, Mapping):
        return {key: as_float(value) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        inner = [as_float(value) for value in raw]
        return type(raw)(*inner) if hasattr(raw, "_fields") else type(raw)(inner)
    return raw.float() if getattr(raw, "is_floating_point", lambda: False)() else raw


def size(model: Any, picture: Any, frozen: Callable[[str], bool] = lambda name: False) -> dict[str, Any]:
    """Parameters of a module in evaluation mode, and the FLOPs of one picture (1, channels, height, width)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False, custom_mapping=_attention())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        # The counter wants a gradient of whatever asks for one, which views of parameters do even without any.
        for parameter in learning:
            parameter.requires_grad_(False)
        with torch.no_grad(), counter:
            model(picture)
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
    flops = counter.get_total_flops()
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    return {
        "parameters": sum(sizes.values()),
        "trainable": sum(size for name, size in sizes.items() if not frozen(name)),
        "gflops": flops / 1e9,
        "gmacs": flops / 2e9,
        "flops_convention": CONVENTION,
    }


def _attention() -> dict[Any, Any]:
    """The FLOPs of torch's attention on a CPU, which its counter does not know; those of a GPU it does."""
    import torch
    from torch.utils.flop_counter import sdpa_flop_count

    def flops(query: Any, key: Any, value: Any, *_rest: Any, out_shape: Any = None, **_named: Any) -> int:
        return int(sdpa_flop_count(query, key, value))

    return {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flops}


class _Memory:
    """The peak from here on: of the allocator on a GPU, as growth of the process on a CPU."""

    def __init__(self, device: Any) -> None:
        import torch

        self._resident = None if device.type == "cuda" else ResidentMemory()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def peak(self) -> dict[str, Any]:
        """{"bytes", "what"}."""
        import torch

        if self._resident is None:
            return {"bytes": torch.cuda.max_memory_allocated(), "what": "allocator's peak, weights included"}
        what = "growth of resident memory, without the weights"
        return {"bytes": self._resident.growth(), "what": what if self._resident.exact else f"{what} (at most)"}


def _device(device: Any) -> dict[str, str]:
    import torch

    if device.type == "cuda":
        return {"kind": "cuda", "name": torch.cuda.get_device_name(device)}
    return {"kind": "cpu", "name": "CPU"}


def _switches(device: Any) -> dict[str, Any]:
    """What changes the speed behind the precision's name."""
    import torch

    if device.type != "cuda":
        return {}
    cudnn = torch.backends.cudnn
    return {
        "cuda": torch.version.cuda,
        "tf32_convolutions": cudnn.allow_tf32,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_benchmark": cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
