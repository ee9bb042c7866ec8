"""Metres, pixels and rays. The frame of reference is the LiDAR's (engine/data/frame.py)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

Range = tuple[float, float, float, float, float, float]
"""x, y, z of the near corner of the space that is looked at, then of the far one, in metres."""
NEAR = 0.1
"""Metres in front of a camera below which nothing is seen by it."""


class Projection(NamedTuple):
    """Where points are in the pictures."""

    pixels: Tensor
    """[B, V, Q, 2]: u to the right, v down; 0 where `visible` is false."""
    visible: Tensor
    """[B, V, Q], bool: in front of the camera and inside its picture."""


def to_unit(xyz: Tensor, space: Range) -> Tensor:
    """[..., 3] metres → [..., 3], 0 to 1 inside `space`."""
    low, high = xyz.new_tensor(space[:3]), xyz.new_tensor(space[3:])
    return (xyz - low) / (high - low)


def to_metres(unit: Tensor, space: Range) -> Tensor:
    """[..., 3] of 0 to 1 → metres."""
    low, high = unit.new_tensor(space[:3]), unit.new_tensor(space[3:])
    return unit * (high - low) + low


def project(xyz: Tensor, lidar_to_image: Tensor, size: tuple[int, int]) -> Projection:
    """Points [B, Q, 3] in metres into V cameras: `lidar_to_image` [B, V, 4, 4], `size` (H, W) in pixels.

    A point behind a camera is masked. Clipping its depth instead would mirror it into the picture.
    """
    homogeneous = torch.cat([xyz, torch.ones_like(xyz[..., :1])], -1)
    seen = torch.einsum("bvij,bqj->bvqi", lidar_to_image[..., :3, :], homogeneous)
    depth = seen[..., 2]
    ahead = depth > NEAR
    pixels = seen[..., :2] / torch.where(ahead, depth, torch.ones_like(depth))[..., None]
    u, v = pixels.unbind(-1)
    visible = ahead & (u >= 0) & (u < size[1]) & (v >= 0) & (v < size[0])
    return Projection(torch.where(visible[..., None], pixels, torch.zeros_like(pixels)), visible)


def first_view(visible: Tensor) -> Tensor:
    """[B, V, Q] → [B, Q]: the first camera that sees a point; 0 where none does."""
    return visible.to(torch.uint8).argmax(1)


def depths(count: int, farthest: float, like: Tensor) -> Tensor:
    """[count]: metres along a ray, from 1 to `farthest` in equal steps, the last one left out."""
    return 1 + torch.arange(count, device=like.device, dtype=like.dtype) * ((farthest - 1) / count)


def points_on_rays(pixels: Tensor, lidar_to_image: Tensor, along: Tensor, space: Range) -> Tensor:
    """The points that a pixel may show: [B, V, N, 2] → [B, V, N, 3·D], unit coordinates in `space`.

    PETR (Liu et al., ECCV 2022) makes the same of a camera's frustum: D depths `along` [D] each pixel's ray, brought
    into the common frame by the inverse projection.
    """
    scaled = pixels[..., None, :] * along[:, None]
    depth = along[:, None].expand(*scaled.shape[:-1], 1)
    image = torch.cat([scaled, depth, torch.ones_like(depth)], -1)
    # An inverse has no bf16 kernel, and pixels times metres would lose their place in it.
    with torch.autocast(pixels.device.type, enabled=False):
        metres = torch.einsum("bvij,bvndj->bvndi", torch.linalg.inv(lidar_to_image), image)[..., :3]
    return to_unit(metres, space).clamp(-1, 2).flatten(-2)


def cell_centres(height: int, width: int, like: Tensor) -> Tensor:
    """[height·width, 2]: (x, y) of the centres of a map's cells, 0 to 1, row by row."""
    y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], -1).flatten(0, 1)
