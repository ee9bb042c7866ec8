"""What falls to each of several processes of a batch that one would have. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import TypeVar

Item = TypeVar("Item")


def turn(batch: Sequence[Item], first: Sequence[Item], rank: int, processes: int) -> list[Item]:
    """Return the items of a batch of all `processes` that are the part of one, which takes its turn from its rank on.

    Where the batch has fewer items than there are processes, the first ones of the epoch, with which `first` begins,
    come again: nobody has a batch without any.
    """
    again = islice(cycle(first), max(0, processes - len(batch)))
    return [*batch, *again][rank::processes]
