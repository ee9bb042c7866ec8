"""The pictures of a training in an order that a resume can enter at any batch.

What a picture looks like depends on (seed, epoch, index) alone, not on which process reads it, or what was read before:
a resumed training repeats nothing and loses nothing, whatever the number of its loader processes. Several devices take
turns within each batch of the one order: a step sees the pictures that it would see on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detui.engine.backends.mmdet.state import drawing_from
from detui.engine.backends.torch_support.turns import turn

Place = tuple[int, int]
"""Epoch of the stage, from 0, and index of the picture."""


class Order:
    """A batch sampler: what one process has of the batches that an inner one makes of an epoch, from any of them on."""

    def __init__(self, inner: Any, rank: int = 0, processes: int = 1) -> None:
        """`inner`: a batch sampler over a sampler of MMEngine, that is told the epoch; of batches of all processes."""
        self.inner, self.rank, self.processes = inner, rank, processes
        self.epoch = self.done = 0

    def start(self, epoch: int, done: int) -> None:
        """Say which epoch comes next, and how many of its batches are not wanted."""
        self.epoch, self.done = epoch, done

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[list[Place]]:
        self.inner.sampler.set_epoch(self.epoch)
        # The whole list first: the inner one groups pictures by their shape, and keeps a remainder when it is left.
        batches = list(self.inner)
        for batch in batches[self.done :]:
            own = turn(batch, batches[0], self.rank, self.processes)
            yield [(self.epoch, int(index)) for index in own]


class Seeded:
    """A data set whose random changes are drawn anew for each place."""

    def __init__(self, inner: Any, seed: int) -> None:
        """`inner`: a data set of MMEngine."""
        self.inner, self.seed = inner, seed

    @property
    def metainfo(self) -> Any:
        """Classes and palette."""
        return self.inner.metainfo

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, place: Place) -> Any:
        epoch, index = place
        with drawing_from(self.seed, epoch, index):
            return self.inner[index]


def whole(sampler: Any) -> Any:
    """A sampler of MMEngine, which gives each process some of the pictures, with all of them in every process."""
    sampler.rank, sampler.world_size = 0, 1
    sampler.num_samples = sampler.total_size = len(sampler.dataset)
    return sampler


def seeded(loader: Any, seed: int, rank: int = 0, processes: int = 1) -> Any:
    """A loader of the same data that takes its places from an `Order`. `loader`: its batches are of one process."""
    import torch
    from torch.utils.data import DataLoader

    batches = loader.batch_sampler
    whole(batches.sampler)
    batches.batch_size *= processes
    return DataLoader(
        Seeded(loader.dataset, seed),  # type: ignore[arg-type, unused-ignore]
        batch_sampler=Order(batches, rank, processes),
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        num_workers=loader.num_workers,
        persistent_workers=loader.persistent_workers,
        pin_memory=loader.pin_memory,
        # An iterator draws a seed for its processes; from this one, it takes nothing of the training's numbers.
        generator=torch.Generator().manual_seed(seed),
    )
