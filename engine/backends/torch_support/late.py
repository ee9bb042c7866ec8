"""Loss values from a GPU without making the training wait for them."""

from __future__ import annotations

from typing import Any


class LateScalars:
    """Loss values on a GPU are read one step late, so that training never waits for them.

    On a CPU they are there at once. Allocator memory goes with the step it was read at.
    """

    def __init__(self, *, memory: bool = True) -> None:
        """`memory`: whether the allocator's numbers are added to each step's."""
        self._memory = memory
        self._pending: list[tuple[int, int, dict[str, Any], Any, Any]] = []

    def push(self, step: int, epoch: int, losses: dict[str, Any], more: dict[str, float]) -> list[Any]:
        """Hand in one step's losses (scalar tensors); returns the steps whose values have arrived."""
        import torch

        names, tensors = list(losses), [value.detach().float() for value in losses.values()]
        if not tensors or tensors[0].device.type != "cuda":
            return [(step, epoch, {**{n: float(t) for n, t in zip(names, tensors, strict=True)}, **more})]
        host = torch.stack(tensors).to("cpu", non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        memory = _allocator() if self._memory else {}
        arrived = self._take(lambda e: e.query())
        self._pending.append((step, epoch, {**more, **memory}, (names, host), event))
        return arrived

    def flush(self) -> list[Any]:
        """Wait for what is still on its way."""

        def wait(event: Any) -> bool:
            event.synchronize()
            return True

        return self._take(wait)

    def _take(self, ready: Any) -> list[Any]:
        done = []
        while self._pending and ready(self._pending[0][4]):
            step, epoch, more, (names, host), _ = self._pending.pop(0)
            done.append((step, epoch, {**dict(zip(names, host.tolist(), strict=True)), **more}))
        return done


def _allocator() -> dict[str, float]:
    """Bytes that torch's allocator gave out, holds, and gave out at most."""
    import torch

    return {
        "memory/allocated": torch.cuda.memory_allocated(),
        "memory/reserved": torch.cuda.memory_reserved(),
        "memory/peak": torch.cuda.max_memory_allocated(),
    }
