"""Several devices: what a trainer of Ultralytics does otherwise in a rank of a run.

Ultralytics has a way to train as one of several processes, which it takes where torchrun started it: it shares the
validation out, saves in the first process, and multiplies the loss by their number, because DistributedDataParallel
averages gradients. That way is taken. Otherwise than by itself: the processes have met before (`distributed.joined`),
also on CPUs; all begin with the weights that one device would begin with; each takes its turn in the batches that one
device would see, and not in an order of their own.

This module imports torch: import it where it is needed anyway.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from detui.engine.backends.torch_support import distributed
from detui.engine.backends.torch_support.turns import turn

APART = 1_000_003
"""Between the seeds of two ranks, so that no rank draws what the first one of another seed draws."""


class Share:
    """Of each batch of all processes the turn of one."""

    def __init__(self, batches: Sequence[list[int]], rank: int, processes: int) -> None:
        """`batches`: lists of indices, in the order of one process; a new order each time they are gone through."""
        self._batches, self._rank, self._processes = batches, rank, processes

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        """The indices of this process, batch after batch."""
        first: list[int] = []
        for batch in self._batches:
            first = first or batch
            yield turn(batch, first, self._rank, self._processes)


_Base: Any = object
"""Ultralytics' trainer, which stands behind `Ranked` among the bases of a class."""


class Ranked(_Base):  # type: ignore[misc]
    """To stand before a trainer's class of Ultralytics among the bases. It changes nothing where one process trains."""

    model: Any
    amp: bool
    scaler: Any
    world_size: int

    def get_model(self, *args: Any, **kwargs: Any) -> Any:
        """Ultralytics' own, from the seed of one device: it gives each rank another one."""
        if distributed.processes() > 1:
            self._seed(self.args.seed)
        return super().get_model(*args, **kwargs)

    def _build_train_pipeline(self) -> None:
        """Ultralytics' own, for a model whose gradients are averaged: at the moment when it has wrapped that itself.

        It would do so on CUDA alone, and joins the processes by itself when it does.
        """
        if distributed.processes() > 1 and not isinstance(self.model, DistributedDataParallel):
            self.world_size = distributed.processes()
            if not distributed.gathered(self.amp)[0]:  # the first one looked whether this GPU can, for all
                self.amp, self.scaler = False, torch.amp.GradScaler(self.device.type, enabled=False)
            self.model = _wrapped(self.model, self.device)
            if rank := distributed.rank():  # augmentation is drawn by each for itself
                self._seed(self.args.seed + APART * rank)
        super()._build_train_pipeline()

    def get_dataloader(self, path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Ultralytics' own; of the batches of training pictures that one device would see, this rank's share."""
        processes = distributed.processes()
        if processes == 1 or mode != "train":
            return super().get_dataloader(path, batch_size, rank, mode)
        from ultralytics.utils.torch_utils import torch_distributed_zero_first

        with torch_distributed_zero_first(distributed.rank()):  # it writes the cache of the labels
            loader = super().get_dataloader(path, batch_size * processes, -1, mode)
        loader.generator.set_state(distributed.gathered(loader.generator.get_state())[0])
        loader.batch_sampler.sampler = Share(loader.batch_sampler.sampler, distributed.rank(), processes)
        loader.sampler.set_epoch = _the_generator_knows
        loader.worker_init_fn = partial(_seeded_apart, loader.worker_init_fn, distributed.rank())
        return loader

    def get_validator(self) -> Any:
        """Ultralytics' own; its losses are those of all validation pictures in the first process."""
        validator = super().get_validator()
        if distributed.processes() > 1:
            gather = validator.gather_stats

            def together() -> None:
                _share_losses(validator)
                gather()

            validator.gather_stats = together
        return validator

    def validate(self) -> Any:
        """Ultralytics' own. Each rank validates its part; all with the running statistics of the first one."""
        if distributed.processes() == 1:
            return super().validate()
        for buffer in self.ema.ema.buffers():
            torch.distributed.broadcast(buffer, src=0)
        # Ultralytics would average the losses by an operation that gloo does not have; `together` did it.
        self.world_size = 1
        try:
            return super().validate()
        finally:
            self.world_size = distributed.processes()

    def _seed(self, seed: int) -> None:
        from ultralytics.utils.torch_utils import init_seeds

        init_seeds(seed, deterministic=self.args.deterministic)


def _wrapped(model: Any, device: torch.device) -> DistributedDataParallel:
    """The model as Ultralytics wraps it: parts may have no gradient (denoising queries of a batch without objects), and
    running statistics of normalisations are each rank's own until a validation.
    """
    known = inspect.signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    own: dict[str, Any] = {buffers: False, "device_ids": [device.index] if device.type == "cuda" else None}
    return DistributedDataParallel(model, find_unused_parameters=True, **own)


def _share_losses(validator: Any) -> None:
    """Make a rank's sums of validation losses those of all, as they divide by the number of its own batches."""
    if not validator.training:
        return
    batches = float(distributed.mean_over_processes(torch.tensor(float(len(validator.dataloader)))))
    means = distributed.means_over_processes(validator.loss)
    validator.loss = {name: value * (len(validator.dataloader) / batches) for name, value in means.items()}


def _the_generator_knows(_epoch: int) -> None:
    """In place of a sampler's `set_epoch`: an epoch's order comes from the loader's generator, as on one device."""


def _seeded_apart(then: Any, rank: int, worker: int) -> None:
    """Start the generators of a loader process. Those of all ranks have got the same seeds, with the same order."""
    torch.manual_seed((torch.initial_seed() + APART * rank) % 2**63)
    then(worker)
