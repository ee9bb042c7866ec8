"""What a resume needs beyond Ultralytics' own checkpoint, so that its curve is the curve that was interrupted.

Ultralytics saves the EMA weights and the optimizer in half precision, and goes on from those. Added here, under one key
that it ignores: the raw weights, everything in full precision, gradients that wait for their optimizer step, and of
each process that trains its random generators and its position in the data. Where loader processes draw
(`train.workers` above 0 on a GPU), what they drew ahead lives in them alone: then the order of the pictures and their
augmentation begin anew.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEY = "detui"
"""Under which the additions lie in a checkpoint."""

ALWAYS = ("weights", "EMA", "optimizer", "scheduler", "gradient scaler", "early stopping", "random generators")
DATA = "position in the data"


def own_state(trainer: Any) -> dict[str, Any]:
    """What this process alone has of a training: its random generators, and its position in the data.

    Ask between the epoch's validation and the next epoch: then nothing random lies between here and there.
    """
    return {"random": random_states(), "data": _data_state(trainer.train_loader)}


def complete(path: Path, trainer: Any, states: Sequence[dict[str, Any]], target: Path) -> None:
    """Write Ultralytics' checkpoint `path` to `target`, synced later by the caller, with what it leaves out.

    `states`: `own_state` of each process, in the order of their ranks. The gradients that wait are the same in all.
    """
    import torch
    from ultralytics.utils.torch_utils import unwrap_model

    checkpoint = _with_whole_ema(path, trainer)
    checkpoint["optimizer"] = trainer.optimizer.state_dict()
    model = unwrap_model(trainer.model)
    waiting = trainer.waiting_batches
    checkpoint[KEY] = {
        "weights": model.state_dict(),
        "gradients": {name: p.grad for name, p in model.named_parameters() if p.grad is not None} if waiting else {},
        "waiting_batches": waiting,
        **states[0],
        "others": list(states[1:]),
    }
    torch.save(checkpoint, target)


def evaluated(path: Path, trainer: Any, target: Path) -> None:
    """Write Ultralytics' checkpoint `path` to `target` with the EMA weights that were evaluated, in full precision.

    From the half precision of Ultralytics' own file, other detections would come than those that were dumped.
    """
    import torch

    torch.save(_with_whole_ema(path, trainer), target)


def _with_whole_ema(path: Path, trainer: Any) -> dict[str, Any]:
    import torch

    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)  # by this process, just now
    checkpoint["ema"].float().load_state_dict(trainer.ema.ema.state_dict())
    return checkpoint


class Continuation:
    """Puts a resumed trainer where the interrupted one was."""

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        """`checkpoint`: what `complete` wrote. One of a detui that added nothing is continued as Ultralytics does."""
        self.state: dict[str, Any] | None = checkpoint.get(KEY)

    @property
    def _own(self) -> dict[str, Any] | None:
        """What `own_state` told of this process; None where another number of processes had trained."""
        from detui.engine.backends.torch_support.distributed import processes, rank

        states = [] if self.state is None else [self.state, *self.state.get("others", [])]
        return states[rank()] if len(states) == processes() else None

    def facts(self, trainer: Any) -> dict[str, list[str]]:
        """What of the interrupted attempt is restored, and what begins anew."""
        if self.state is None:
            return {"restored": ["EMA (also as weights)", *ALWAYS[2:6]], "anew": [ALWAYS[6], DATA]}
        kept, anew = list(ALWAYS), []
        if self._own is None:
            kept, anew = list(ALWAYS[:6]), [f"{ALWAYS[6]}: another number of processes"]
        if trainer.train_loader.num_workers:
            return {"restored": kept, "anew": [*anew, f"{DATA} and augmentation (drawn in loader processes)"]}
        return {"restored": [*kept, DATA], "anew": anew}

    def apply(self, trainer: Any) -> None:
        """Restore, at the start of the first epoch of the attempt; the loader's part follows with its first batch."""
        if self.state is None:
            return
        from ultralytics.utils.torch_utils import unwrap_model

        model = unwrap_model(trainer.model)
        model.load_state_dict(self.state["weights"])
        for name, parameter in model.named_parameters():
            gradient = self.state["gradients"].get(name)
            if gradient is not None:
                parameter.grad = gradient.to(parameter.device)
        trainer.continue_accumulation(self.state["waiting_batches"])
        self._apply_to_loader(trainer)

    def _apply_to_loader(self, trainer: Any) -> None:
        """At the moment when the loader makes the iterator of this attempt: nothing random follows before the batch.

        Making one draws a seed. The interrupted attempt drew it long ago, but where mosaic ends with this very epoch:
        there it would have made a new iterator as well.
        """
        # The order of the pictures is that of all processes; what another number of them drew is no one's here.
        state, own, loader = self._own or self.state or {}, self._own, trainer.train_loader
        make = loader._get_iterator
        mosaic_ends = bool(trainer.args.close_mosaic) and trainer.epoch == trainer.epochs - trainer.args.close_mosaic
        drawn_now = mosaic_ends or loader.num_workers > 0

        def continued() -> Any:
            del loader._get_iterator
            if not loader.num_workers:
                _refill(loader.dataset, state["data"]["mosaic_buffer"])
            if drawn_now:
                loader.generator.set_state(state["data"]["generator"])
            iterator = make()
            if not drawn_now:
                loader.generator.set_state(state["data"]["generator"])
                _end_of_epoch(loader)
            if own is not None:
                set_random_states(own["random"])
            return iterator

        loader._get_iterator = continued


def _data_state(loader: Any) -> dict[str, Any]:
    """The order's generator, and the pictures in memory from which mosaic chooses."""
    return {"generator": loader.generator.get_state(), "mosaic_buffer": list(getattr(loader.dataset, "buffer", []))}


def _end_of_epoch(loader: Any) -> None:
    """Draw what PyTorch's RandomSampler draws when it is asked for more than its last picture, before it starts again.

    The state was saved behind the last batch. Where that was a full one, nobody had asked yet; a smaller one is known
    to be the last because more was asked for.
    """
    import torch

    if len(loader.dataset) % loader.batch_size == 0:
        torch.randperm(len(loader.dataset), generator=loader.generator)


def _refill(dataset: Any, indices: list[int]) -> None:
    """Load the pictures that mosaic may choose from, in their order: loading puts them into the buffer."""
    dataset.buffer = []
    for index in indices:
        dataset.load_image(index)


def random_states() -> dict[str, Any]:
    """The states of all random generators of this process that a training draws from."""
    import numpy
    import torch

    return {
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what `random_states` gave."""
    import numpy
    import torch

    random.setstate(states["python"])
    numpy.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():  # a resumed attempt may have other devices
        torch.cuda.set_rng_state_all(states["cuda"])
