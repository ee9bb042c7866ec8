"""The random generators of a process: started, kept, put back, left as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def seed_everything(seed: int, rank: int = 0) -> None:
    """Start the generators of a process; processes draw differently."""
    import numpy
    import torch

    random.seed(seed * 1000 + rank)
    numpy.random.seed((seed * 1000 + rank) % 2**32)
    torch.manual_seed(seed * 1000 + rank)


def random_state() -> dict[str, Any]:
    """The generators of this process."""
    import numpy
    import torch

    drawn: Any = numpy.random.get_state()
    name, keys, *rest = drawn
    return {
        "python": random.getstate(),
        "numpy": [str(name), torch.from_numpy(keys.astype("int64")), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators of this process where they were."""
    import numpy
    import torch

    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn within leaves the generators as they were: an evaluation must not change the training."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
