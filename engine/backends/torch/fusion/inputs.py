"""Frames (engine/data/frame.py) become tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from detui.engine.backends.torch.fusion.cameras import STRIDE
from detui.engine.backends.torch.fusion.geometry import Range
from detui.engine.data.frame import Frame
from detui.engine.errors import DataError

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet's pictures, in 0–255: what backbones of timm were trained with."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B frames on one device."""

    tokens: list[str]
    images: Tensor
    """[B, V, 3, H, W], normalised; sides are multiples of 16, filled up with zeros to the right and below."""
    points: list[Tensor]
    """B of [P, 5]."""
    lidar_to_image: Tensor
    """[B, V, 4, 4], to pixels of `images`."""
    boxes: list[Tensor]
    """B of [N, 9]: those to be found."""
    labels: list[Tensor]
    """B of [N]."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.images.shape[-2], self.images.shape[-1]

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""

        def move(values: list[Tensor]) -> list[Tensor]:
            return [value.to(device, non_blocking=True) for value in values]

        images, matrices = move([self.images, self.lidar_to_image])
        return Batch(self.tokens, images, move(self.points), matrices, move(self.boxes), move(self.labels))


def collate(frames: Sequence[Frame], *, scale: float, crop_top: float, space: Range) -> Batch:
    """`scale`: pictures are made smaller by this factor, `crop_top`: then this part of their height is cut off above.

    Boxes to be found have their centre inside `space` and at least one point of the LiDAR inside them. Raises
    DataError where nothing of a picture is left.
    """
    pictures = [_pictures(frame, scale, crop_top) for frame in frames]
    kept = [_findable(frame, space) for frame in frames]
    return Batch(
        tokens=[frame.token for frame in frames],
        images=torch.stack([images for images, _ in pictures]),
        points=[torch.from_numpy(frame.points) for frame in frames],
        lidar_to_image=torch.stack([matrix for _, matrix in pictures]),
        boxes=[torch.from_numpy(frame.boxes[k]) for frame, k in zip(frames, kept, strict=True)],
        labels=[torch.from_numpy(frame.labels[k]) for frame, k in zip(frames, kept, strict=True)],
    )


def _findable(frame: Frame, space: Range) -> np.ndarray:
    centre = frame.boxes[:, :3]
    within = ((centre >= np.array(space[:3])) & (centre <= np.array(space[3:]))).all(1)
    return np.asarray(within & (frame.num_lidar_points > 0))


def _pictures(frame: Frame, scale: float, crop_top: float) -> tuple[Tensor, Tensor]:
    """[V, 3, H, W] and [V, 4, 4]."""
    images = torch.from_numpy(frame.images).float()
    height, width = round(images.shape[-2] * scale), round(images.shape[-1] * scale)
    cut = round(height * crop_top)
    if min(height - cut, width) < 1:
        size = f"{images.shape[-1]} × {images.shape[-2]} pixels become {width} × {height - cut}"
        hint = "a larger train.image_scale, or a smaller train.crop_top"
        raise DataError(f"Nothing is left of the pictures: {size}.", where=f"frame {frame.token}", hint=hint)
    # The sides are rounded to whole pixels, so each has its own factor.
    along, down = width / images.shape[-1], height / images.shape[-2]
    if (height, width) != tuple(images.shape[-2:]):
        images = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
    images = (images[..., cut:, :] - images.new_tensor(MEAN)[:, None, None]) / images.new_tensor(DEVIATION)[
        :, None, None
    ]
    images = F.pad(images, (0, -width % STRIDE, 0, -(height - cut) % STRIDE))
    change = np.diag([along, down, 1.0, 1.0])
    change[1, 2] = -cut
    return images, torch.from_numpy(change @ frame.lidar_to_image()).float()
