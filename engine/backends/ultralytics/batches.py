"""How many images are in the smallest batch of a training. Standard library only: plan and worker ask it."""

from __future__ import annotations


def smallest_batch(batch: int, images: int | None, devices: int = 1) -> int:
    """Images in the smallest batch that a device sees, where `devices` share each batch of `batch` by turns.

    `images`: of an epoch, None where that is not known. Those of the last batch may be fewer; where there are fewer
    than devices, each has one.
    """
    last = images % batch if images else 0
    return min(max(1, one // devices) for one in (batch, last) if one)
