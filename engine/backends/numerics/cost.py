"""What a training step and a pass cost: seconds and memory, in the same way in both frameworks."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from detui.engine.backends.parity.criterion import losses
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Framework
from detui.engine.backends.parity.groups import groups
from detui.engine.backends.parity.stepping import StepCase
from detui.engine.worker.speed import ResidentMemory


def measure_cost(framework: Framework, case: StepCase, warmup: int, repeats: int) -> dict[str, Any]:
    """Seconds of the first step (kernels are compiled, or read, in it), of steps and of passes, and bytes."""
    f = framework
    detector = Detector(f, case.size)
    detector.network.load(case.state)
    weights = detector.network.trainable()
    optimiser = f.optimiser(weights, groups(weights, case.rate))
    images = f.tensor(case.images)

    def step() -> None:
        output = detector(images, case.denoising, selection=case.selection)
        loss = losses(f, output, case.targets, case.denoising, case.pairs)
        optimiser.step(f.gradients(loss.total, weights), clip=case.clip)

    def answer() -> None:
        said = detector(images).layers[-1]
        f.array(said.logits)
        f.array(said.boxes)

    f.synchronise()
    resident = ResidentMemory()
    _gpu_peak(f, reset=True)
    detector.train()
    (first,) = _times(f, step, 1)
    _times(f, step, warmup)
    steps = _times(f, step, repeats)
    memory, gpu = resident.growth(), _gpu_peak(f)
    detector.train(False)
    with f.no_gradients():
        _times(f, answer, warmup + 1)
        passes = _times(f, answer, repeats)
    found: dict[str, Any] = {"first_step": first, "steps": steps, "passes": passes, "memory": memory}
    return found | ({"gpu_memory": gpu} if gpu is not None else {})


def values_of(side: int, found: dict[str, Any]) -> dict[str, float]:
    """Named numbers of one side: medians in seconds, the range as a share of the median, bytes."""
    steps, passes = found["steps"], found["passes"]
    told = {
        "first_step_seconds": found["first_step"], "step_seconds": median(steps), "inference_seconds": median(passes),
        "step_spread": (max(steps) - min(steps)) / median(steps), "memory": float(found["memory"]),
    }  # fmt: skip
    told |= {"gpu_memory": float(found["gpu_memory"])} if "gpu_memory" in found else {}
    return {f"numerics/{name}@{side}": value for name, value in told.items()}


def _times(f: Framework, what: Callable[[], None], count: int) -> list[float]:
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        what()
        f.synchronise()
        taken.append(time.perf_counter() - begin)
    return taken


def _gpu_peak(f: Framework, *, reset: bool = False) -> int | None:
    """Bytes that torch's allocator held at most; None on a CPU, and of Jittor, which keeps no peak."""
    if f.name != "torch" or f.device == "cpu":
        return None
    import torch

    if reset:
        torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.max_memory_allocated())
