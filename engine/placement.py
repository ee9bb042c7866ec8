"""On which devices a launch would run: what was asked, what is there, what the session may see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from detui.engine.errors import MissingError, UsageError
from detui.engine.run.spec import DeviceRequest

if TYPE_CHECKING:
    from detui.engine.devices.nvml import Gpu

_GPU_THREADS = 4
"""CPU threads of a worker on a GPU: enough for its tensors on the host, few enough for eight neighbours."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The devices that each run of a launch chooses from."""

    kind: str
    """`cpu` or `cuda`."""
    asked: str
    """`auto`, `cpu`, or indices as nvidia-smi counts them."""
    candidates: tuple[str, ...]
    """`cpu:0`… or GPU UUIDs."""
    names: tuple[str, ...]
    """The same for people: `GPU 3, NVIDIA A100 (GPU-5d1e…)`."""
    threads: int

    def request(self) -> DeviceRequest:
        """What one run asks for."""
        return DeviceRequest(kind=self.kind, count=1, candidates=self.candidates)

    @property
    def text(self) -> str:
        """One line for a person."""
        if self.kind == "cpu":
            count = len(self.candidates)
            return f"CPU, {count} run{'s' if count > 1 else ''} at a time, {self.threads} thread each"
        return f"one of: {'; '.join(self.names)}"


def place(asked: str | None = None, environ: Mapping[str, str] | None = None) -> Placement:
    """Resolve `--device`: `auto` (a GPU when torch and the machine have one), `cpu`, or `0,3`.

    Indices are nvidia-smi's. An inherited CUDA_VISIBLE_DEVICES limits what may be chosen. Raises UsageError for
    words that are neither, MissingError for a GPU that is not there or not visible.
    """
    from detui.engine.devices.nvml import visible_gpus

    environ = os.environ if environ is None else environ
    asked = (asked or "auto").strip().lower()
    if asked == "cpu":
        return _cpu(asked, environ)
    gpus = visible_gpus(environ)
    if asked == "auto":
        return _cuda(asked, gpus) if gpus and not _cpu_build() else _cpu(asked, environ)
    return _cuda(asked, _chosen(asked, gpus, environ))


def _chosen(asked: str, gpus: list[Gpu], environ: Mapping[str, str]) -> list[Gpu]:
    try:
        indices = [int(part) for part in asked.split(",")]
    except ValueError:
        message = f"{asked!r} names no device."
        raise UsageError(message, where="--device", hint="--device auto, cpu, or indices such as 0,3") from None
    known = {gpu.index: gpu for gpu in gpus}
    for index in indices:
        if index not in known:
            raise MissingError(f"There is no GPU {index}{_limits(environ)}.", where="--device", hint=_there(gpus))
    if _cpu_build():
        message = f"torch {version('torch')} is built for the CPU."
        raise MissingError(message, where="--device", hint="install a CUDA build of torch, or --device cpu")
    return [known[index] for index in dict.fromkeys(indices)]


def _limits(environ: Mapping[str, str]) -> str:
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    return f" among those that CUDA_VISIBLE_DEVICES={visible} lets you see" if visible is not None else ""


def _there(gpus: list[Gpu]) -> str:
    return f"--device {','.join(str(gpu.index) for gpu in gpus)}" if gpus else "--device cpu"


def _cpu_build() -> bool:
    """Whether the torch of this environment cannot use a GPU, told without importing it."""
    try:
        return "+cpu" in version("torch")
    except PackageNotFoundError:
        return False


def _cpu(asked: str, environ: Mapping[str, str]) -> Placement:
    from detui.engine.devices.host import cpu_slots

    slots = tuple(f"cpu:{index}" for index in range(cpu_slots(environ)))
    return Placement("cpu", asked, slots, tuple("CPU" for _ in slots), 1)


def _cuda(asked: str, gpus: list[Gpu]) -> Placement:
    names = tuple(f"GPU {gpu.index}, {gpu.name or 'unknown'} ({gpu.uuid})" for gpu in gpus)
    return Placement("cuda", asked, tuple(gpu.uuid for gpu in gpus), names, _GPU_THREADS)
