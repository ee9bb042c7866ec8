"""What `begin` says of the device that a run trains on."""

from __future__ import annotations

from typing import Any


def device_facts(device: Any) -> dict[str, Any]:
    """Kind and name of a torch.device, and torch's CUDA version."""
    import torch

    if device.type != "cuda":
        return {"kind": "cpu", "name": "CPU", "cuda": None}
    return {"kind": "cuda", "name": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
