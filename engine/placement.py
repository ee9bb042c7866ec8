"""On which devices a launch would run: what was asked, what is there, what the session may see."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from detui.engine.errors import MissingError, UsageError
from detui.engine.run.spec import DeviceRequest

if TYPE_CHECKING:
    from detui.engine.devices.nvml import Gpu

_GPU_THREADS = 4
"""CPU threads of a worker on a GPU: enough for its tensors on the host, few enough for eight neighbours."""

_IN_USE = 1 << 30
"""Bytes in use on a GPU beyond which somebody works there; less is what a driver and a desktop take."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The devices that each run of a launch chooses from."""

    kind: str
    """`cpu` or `cuda`."""
    asked: str
    """`auto`, `cpu`, or GPUs by nvidia-smi's index or by UUID."""
    candidates: tuple[str, ...]
    """`cpu:0`… or GPU UUIDs."""
    names: tuple[str, ...]
    """The same for people: `GPU 3, NVIDIA A100 (GPU-5d1e…)`."""
    threads: int
    warnings: tuple[str, ...] = ()
    """What is to be known before a launch: a GPU whose memory others use."""

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


Held = Callable[[str], bool]
"""Whether a run of detui has the device of this name now."""


def _nobody(_device: str) -> bool:
    return False


def place(
    asked: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    own_torch: bool = True,
    held: Held = _nobody,
) -> Placement:
    """Resolve `--device`: `auto` (a GPU when torch and the machine have one), `cpu`, or `0,3`, or UUIDs.

    Indices are nvidia-smi's; a UUID may be abbreviated. An inherited CUDA_VISIBLE_DEVICES limits what may be
    chosen. `own_torch`: whether the runs use the torch of this environment, which may be built for the CPU.
    `held`: tells whether a run of detui has a device, so that its memory is no stranger's.
    Raises UsageError for words that are neither and for names of several devices, MissingError for a GPU that is
    not there or not visible.
    """
    from detui.engine.devices.nvml import visible_gpus

    environ = os.environ if environ is None else environ
    asked = (asked or "auto").strip()
    if asked.lower() == "cpu":
        return _cpu("cpu", environ)
    gpus = visible_gpus(environ)
    without = own_torch and _cpu_build()
    if asked.lower() == "auto":
        return _cuda("auto", gpus, held) if gpus and not without else _cpu("auto", environ)
    chosen = [_named(part.strip(), gpus, environ) for part in asked.split(",")]
    if without:
        message = f"torch {version('torch')} is built for the CPU."
        raise MissingError(message, where="--device", hint="install a CUDA build of torch, or --device cpu")
    return _cuda(asked, list(dict.fromkeys(chosen)), held)


def _named(name: str, gpus: list[Gpu], environ: Mapping[str, str]) -> Gpu:
    """The one GPU, or MIG instance, that an index, a UUID or the beginning of a UUID names."""
    if name.isdecimal():
        fitting = [gpu for gpu in gpus if gpu.index == int(name)]
    elif name.upper().startswith(("GPU-", "MIG-")):
        fitting = [gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())]
    else:
        hint = "--device auto, cpu, or GPUs by index (0,3) or UUID (GPU-5d1e…)"
        raise UsageError(f"{name!r} names no device.", where="--device", hint=hint)
    if not fitting:
        raise MissingError(f"There is no GPU {name}{_limits(environ)}.", where="--device", hint=_there(gpus))
    if len(fitting) > 1:
        what = "GPU " + name if name.isdecimal() else repr(name)
        message = f"{what} stands for {len(fitting)} devices."
        hint = f"--device with one or more of {', '.join(gpu.uuid for gpu in fitting)}"
        raise UsageError(message, where="--device", hint=hint)
    return fitting[0]


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


def _cuda(asked: str, gpus: list[Gpu], held: Held) -> Placement:
    names = tuple(f"GPU {gpu.index}, {gpu.name or 'unknown'} ({gpu.uuid})" for gpu in gpus)
    return Placement("cuda", asked, tuple(gpu.uuid for gpu in gpus), names, _GPU_THREADS, _in_use(gpus, held))


def _in_use(gpus: list[Gpu], held: Held) -> tuple[str, ...]:
    """Say which GPUs have memory in use: a run that starts there may find too little, or slow somebody down."""
    from detui.engine.devices.nvml import sample_gpus

    found = []
    for gpu, sample in zip(gpus, sample_gpus(gpu.uuid for gpu in gpus), strict=True):
        used, total = sample["memory_used"], sample["memory_total"]
        if used is None or total is None:
            continue
        if used > _IN_USE and not held(gpu.uuid):  # a run of detui is waited for
            of = f"{used / (1 << 30):.1f} of {total / (1 << 30):.1f} GiB"
            found.append(f"GPU {gpu.index} has {of} in use by others.")
    return tuple(found)
