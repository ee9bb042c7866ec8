"""Boxes as what a network can regress: sizes as logarithms, the heading as sine and cosine (as in CenterPoint and CMT).

A box is x, y, z, w, l, h, yaw, vx, vy (engine/data/frame.py), its code x, y, log w, log l, z, log h, sin, cos, vx, vy.
"""

from __future__ import annotations

import torch
from torch import Tensor

CODE = 10
"""Numbers in a code."""
CODE_WEIGHTS = (2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2, 0.2)
"""How much each counts in the loss: CMT's."""
PLACE = slice(0, 8)
"""The part of a code without its velocity."""
LOG_LIMIT = 6.0
"""Sizes are decoded up to e^6 metres: an untrained network must not make infinite ones."""


def encode(boxes: Tensor) -> Tensor:
    """[..., 9] → [..., 10]. An unknown velocity stays NaN."""
    x, y, z, width, length, height, yaw, vx, vy = boxes.unbind(-1)
    return torch.stack([x, y, width.log(), length.log(), z, height.log(), yaw.sin(), yaw.cos(), vx, vy], -1)


def decode(codes: Tensor) -> Tensor:
    """[..., 10] → [..., 9]; yaw between −π and π."""
    x, y, width, length, z, height, sin, cos, vx, vy = codes.unbind(-1)
    width, length, height = (side.clamp(max=LOG_LIMIT).exp() for side in (width, length, height))
    return torch.stack([x, y, z, width, length, height, torch.atan2(sin, cos), vx, vy], -1)
