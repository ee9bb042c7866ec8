"""Pictures become maps of features: a small network of our own, or any backbone of timm."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from detui.engine.backends.torch.fusion.blocks import convolution
from detui.engine.backends.torch_support.tensor_files import SHOWN, read_tensors
from detui.engine.errors import RunError
from detui.engine.run.files import sha256_of

STRIDE = 16
"""Pixels along an edge of a cell of the map."""
WEIGHTS = "model.camera.weights"
SMALL = "small"
"""The name of our own network."""


class SmallBackbone(nn.Module):
    """Four convolutions that halve the picture, and one that does not."""

    channels = 96

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 48, 64, self.channels)
        halving = [convolution(inner, outer, 2) for inner, outer in pairwise(widths)]
        self.layers = nn.Sequential(*halving, convolution(self.channels, self.channels))

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] → [N, 96, H/16, W/16]."""
        return self.layers(images)


class TimmBackbone(nn.Module):
    """A backbone of timm, down to its level at stride 16."""

    def __init__(self, name: str) -> None:
        """Raises RunError for a name that timm does not know, or a backbone without such a level."""
        super().__init__()
        from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

        ensure_torchvision()
        import timm

        where = "model.camera.backbone"
        try:
            strides = timm.create_model(name, pretrained=False, features_only=True).feature_info.reduction()
        except (RuntimeError, ValueError, AttributeError) as error:
            raise RunError(
                f"timm has no backbone {name!r}: {error}.", where=where, hint="resnet18, resnet50"
            ) from error
        if STRIDE not in strides:
            text = f"{name} has levels at strides {strides}, and none at {STRIDE}."
            raise RunError(text, where=where, hint="resnet18, resnet50")
        level = (strides.index(STRIDE),)
        self.net = timm.create_model(name, pretrained=False, features_only=True, out_indices=level)
        self.channels = int(self.net.feature_info.channels()[0])

    def load(self, path: Path) -> dict[str, Any]:
        """Read the weights of a file of timm, without running a pickle.

        Returns its name and SHA-256, how many tensors were taken, and those of the file that were not. Raises
        MissingError without the file, RunError where it lacks a tensor of the backbone or has it in another shape.
        """
        given, wanted = read_tensors(path, WEIGHTS), self.net.state_dict()
        missing = [
            name
            for name, value in wanted.items()
            if (name not in given or given[name].shape != value.shape) and not name.endswith("num_batches_tracked")
        ]
        if missing:
            text = f"The file lacks {len(missing)} tensors of the backbone: {', '.join(missing[:SHOWN])}."
            raise RunError(text, where=str(path), hint="name a file of timm's model of this name")
        taken = {name: given[name] for name in wanted if name in given}
        self.net.load_state_dict(taken, strict=False)
        left_out = sorted(set(given) - set(wanted))
        return {"file": path.name, "sha256": sha256_of(path), "loaded": len(taken), "left_out": left_out}

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] → [N, channels, H/16, W/16]."""
        return self.net(images)[0]


class CameraEncoder(nn.Module):
    """The pictures of all cameras, each by itself."""

    def __init__(self, channels: int, backbone: str = SMALL) -> None:
        super().__init__()
        self.backbone = SmallBackbone() if backbone == SMALL else TimmBackbone(backbone)
        self.neck = convolution(self.backbone.channels, channels)

    def forward(self, images: Tensor) -> Tensor:
        """[B, V, 3, H, W], normalised, sides multiples of 16 → [B, V, channels, H/16, W/16]."""
        features = self.neck(self.backbone(images.flatten(0, 1)))
        return features.view(*images.shape[:2], *features.shape[1:])
