"""The order of the data: a function of seed and epoch, so that a resumed training needs to remember a place alone."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from detui.engine.backends.torch_support.turns import turn

Item = TypeVar("Item")
Batch = TypeVar("Batch")

AHEAD = 2
"""Batches that are loaded while one is trained on."""


@dataclass(frozen=True, slots=True)
class Batches(Generic[Item, Batch]):
    """Batches of a data set, in another order each epoch.

    Loading runs in threads: a picture is decoded without Python's lock. Nothing here draws from the global random
    generators; `load` gets one of its own, which depends on seed, epoch and item alone, so that augmentation is the
    same however many threads there are and wherever a training was interrupted.
    """

    items: Sequence[Item]
    """What `load` is given, one after the other."""
    load: Callable[[Sequence[Item], Sequence[random.Random]], Batch]
    """Makes a batch of some items, with a random generator for each."""
    size: int
    """Items in a batch of one process; in the last one of an epoch there may be fewer."""
    seed: int
    """Of the run."""
    rank: int = 0
    """Which of `processes` this is: they take turns within each batch of all, which so is that of one process."""
    processes: int = 1
    """How many train together."""
    threads: int = 1
    """How many batches are loaded at once."""

    def __len__(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.items) // (self.size * self.processes))

    def order(self, epoch: int) -> list[int]:
        """Indices of all items in the order of an epoch (from 1)."""
        order = list(range(len(self.items)))
        random.Random(f"{self.seed}/{epoch}").shuffle(order)
        return order

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, without the first `skip`."""
        order, whole = self.order(epoch), self.size * self.processes
        batches = (order[start : start + whole] for start in range(0, len(order), whole))
        shares = [turn(batch, order, self.rank, self.processes) for batch in batches]
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="detui-data") as pool:
            try:
                for share in shares[skip:]:
                    waiting.append(pool.submit(self._loaded, epoch, share))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _loaded(self, epoch: int, share: Sequence[int]) -> Batch:
        generators = [random.Random(f"{self.seed}/{epoch}/{index}") for index in share]
        return self.load([self.items[index] for index in share], generators)
