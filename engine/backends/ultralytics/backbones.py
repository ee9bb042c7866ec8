"""Backbones of timm as a layer of Ultralytics' models.

`import detui.engine.backends.ultralytics.backbones` is all that a plain session of Ultralytics needs to load, validate
and train on a checkpoint with such a backbone: it makes the layer known to `parse_model`, and the checkpoint names this
module. A checkpoint holds no path of a weight file, and building the layer reads none.

This module imports torch and Ultralytics: import it where they are needed anyway, after `go_offline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

ensure_torchvision()  # before timm and Ultralytics, which import torchvision

import torch  # noqa: E402
from ultralytics.nn import tasks  # noqa: E402


class BackboneNorm(torch.nn.BatchNorm2d):  # type: ignore[misc]
    """A BatchNorm that keeps the eps and momentum that timm gave it.

    Ultralytics sets 0.001 and 0.03 on each module whose class is BatchNorm2d itself; weights were trained with others,
    and timm's own kinds of BatchNorm are left alone anyway.
    """


class TimmBackbone(torch.nn.Module):  # type: ignore[misc]
    """A `features_only` model of timm; Ultralytics' `Index` layers pick its outputs."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options`: {"name", "levels": indices of the outputs at stride 8, 16 and 32, "channels" of the pictures}.

        One mapping, because Ultralytics evaluates the strings among a layer's arguments.
        """
        import timm

        super().__init__()
        self.name = str(options["name"])
        self.net = timm.create_model(
            self.name,
            pretrained=False,
            features_only=True,
            out_indices=tuple(options["levels"]),
            in_chans=int(options.get("channels", 3)),
        )
        for module in self.net.modules():
            if type(module) is torch.nn.BatchNorm2d:
                module.__class__ = BackboneNorm

    def forward(self, pictures: Any) -> list[Any]:
        """Pictures (batch, channels, height, width) to [P3, P4, P5], each (batch, its channels, height, width)."""
        return list(self.net(pictures))


tasks.TimmBackbone = TimmBackbone  # where parse_model looks up the layers of a model
