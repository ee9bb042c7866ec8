"""The detector on several devices: each computes the losses of its pictures, and all take the same step."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel

from detui.engine.backends.torch_support import distributed


class Shared(MMDistributedDataParallel):
    """A detector whose gradients are the mean over all pictures of a step, on whichever device they are.

    The losses of a device are what MMDetection makes of its pictures: means over their anchors, proposals and objects.
    """

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Any]:
        """One step. Returns the losses of all devices, without their gradients.

        `data`: the pictures of this device. Gradients are averaged over the devices, so that the losses of one with
        fewer pictures than the others, as in the last step of an epoch, count for less.
        """
        pictures = len(data["data_samples"])
        weight = pictures / float(distributed.mean_over_processes(torch.tensor(float(pictures))))
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.module.data_preprocessor(data, training=True), mode="loss")
        loss, told = self.module.parse_losses(losses)
        optim_wrapper.update_params(loss * weight)
        return distributed.means_over_processes({name: value * weight for name, value in told.items()})


def shared(model: Any) -> Any:
    """A detector, on its device, that trains together with those of the other processes; itself where there is one."""
    if distributed.processes() == 1:
        return model
    device = next(model.parameters()).device
    # Statistics of BatchNorm are those of the first device. Every parameter that learns takes part in every step.
    return Shared(module=model, device_ids=[device] if device.type == "cuda" else None)
