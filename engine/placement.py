"""On which devices a launch would run: what was asked, what is there, what the session may see."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from detui.engine.errors import MissingError, UsageError
from detui.engine.run.spec import DeviceRequest
from detui.engine.slurm_options import SlurmLaunch

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
    """As it was asked: `auto`, `cpu`, how many, or which GPUs by nvidia-smi's index or by UUID."""
    candidates: tuple[str, ...]
    """`cpu:0`… or GPU UUIDs."""
    names: tuple[str, ...]
    """The same for people: `GPU 3, NVIDIA A100 (GPU-5d1e…)`."""
    threads: int
    """CPU threads of each worker."""
    warnings: tuple[str, ...] = ()
    """What is to be known before a launch: a GPU whose memory others use."""
    count: int = 1
    """How many devices each run takes at once, on each of its nodes."""
    named: bool = False
    """Whether a person named the devices, rather than left the choice to detui."""
    min_free_memory: str = ""
    """As it was asked, "20G"; "" where it was not."""
    on_busy: str = "wait"
    """"wait" in the queue, or "fail"."""
    cpu_slots: int | None = None
    """How many runs may train on the processors at once, where the launch said it."""
    slurm: SlurmLaunch | None = None
    """What is asked of Slurm, which then chooses the devices; None: the runs are this machine's."""
    refusal: str = ""
    """Why a launch that may not wait cannot start now; "" where it can."""

    @property
    def nodes(self) -> int:
        """How many nodes each run has: Slurm can give several."""
        return 1 if self.slurm is None else self.slurm.options.nodes or 1

    @property
    def devices(self) -> int:
        """How many devices each run takes at once, on all of its nodes."""
        return self.count * self.nodes

    def request(self) -> DeviceRequest:
        """What one run asks for."""
        return DeviceRequest(
            kind=self.kind,
            count=self.count,
            candidates=self.candidates,
            named=self.named,
            min_free_memory=memory_size(self.min_free_memory) if self.min_free_memory else 0,
            on_busy=self.on_busy,
            granted=self.slurm is not None,
        )

    def executor(self) -> dict[str, Any]:
        """What a frozen plan says of where the supervisors are started."""
        if self.slurm is None:
            return {"name": "local"}
        return {"name": "slurm", "options": self.slurm.options.to_json()}

    def facts(self) -> dict[str, Any]:
        """What a frozen plan says of the devices."""
        request = self.request()
        return {
            "kind": self.kind,
            "asked": self.asked,
            "count": self.count,
            **({"nodes": self.nodes} if self.nodes > 1 else {}),
            "candidates": self.candidates,
            "names": self.names,
            "min_free_memory": request.min_free_memory,
            "on_busy": self.on_busy,
        }

    def words(self) -> list[str]:
        """The options of a command line that asks for the same."""
        words = ["--devices", self.asked] if self.asked != "auto" else []
        words += ["--min-free-memory", self.min_free_memory] if self.min_free_memory else []
        words += ["--on-busy", self.on_busy] if self.on_busy != "wait" else []
        if self.slurm is not None:
            words += ["--executor", "slurm", *(part for word in self.slurm.words for part in ("--slurm", word))]
        return words + (["--cpu-slots", str(self.cpu_slots)] if self.cpu_slots is not None else [])


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
    min_free_memory: str | None = None,
    on_busy: str = "wait",
    cpu_slots: int | None = None,
) -> Placement:
    """Resolve `--devices`: `auto` (a GPU when torch and the machine have one), `cpu`, how many, or which.

    A bare integer is how many devices each run takes, of all that are visible; `0,3`, `3,` or UUIDs are those that
    may be chosen from. Indices are nvidia-smi's; a UUID may be abbreviated. An inherited CUDA_VISIBLE_DEVICES limits
    what may be chosen. `own_torch`: whether the runs use the torch of this environment, which may be built for the CPU.
    `held`: tells whether a run of detui has a device, so that its memory is no stranger's.
    `min_free_memory` ("20G"), `on_busy` ("wait" or "fail") and `cpu_slots` (over DETUI_CPU_SLOTS) go to the queue.
    Raises UsageError for words that are neither and for names of several devices, MissingError for a GPU that is
    not there or not visible, or for more devices than there are.
    """
    found = _place((asked or "auto").strip(), os.environ if environ is None else environ, own_torch, held, cpu_slots)
    if min_free_memory is not None:
        memory_size(min_free_memory)
        if found.kind == "cpu":
            message = "Free memory is looked for on GPUs, and the runs go to the CPU."
            raise UsageError(message, where="--min-free-memory", hint="leave it out, or choose GPUs with --devices")
    if on_busy not in ("wait", "fail"):
        raise UsageError(f"{on_busy!r} is neither wait nor fail.", where="--on-busy", hint="--on-busy wait")
    if found.count > len(found.candidates):
        there = len(found.candidates)
        message = f"Each run would take {found.count} devices, and there are {there}."
        hint = f"--devices {there}" + (", or --cpu-slots" if found.kind == "cpu" else "")
        raise MissingError(message, where="--devices", hint=hint)
    free = [device for device in found.candidates if on_busy == "wait" or not held(device)]
    refusal = "" if len(free) >= found.count else f"{len(free)} of {len(found.candidates)} devices are free."
    asked_memory = min_free_memory or ""
    return replace(found, min_free_memory=asked_memory, on_busy=on_busy, cpu_slots=cpu_slots, refusal=refusal)


def place_in_slurm(
    asked: str | None,
    slurm: SlurmLaunch,
    *,
    own_torch: bool = True,
    min_free_memory: str | None = None,
    on_busy: str = "wait",
    cpu_slots: int | None = None,
) -> Placement:
    """Resolve `--devices` where Slurm chooses them: `auto` (a GPU), how many GPUs each run takes, or `cpu`.

    This machine needs no GPU, and is not looked at. `own_torch`: as for `place`. Raises UsageError for what is about
    the queue, or the devices, of one machine, and MissingError for GPUs where torch is built for the CPU.
    """
    for option, given in (
        ("--min-free-memory", min_free_memory is not None),
        ("--on-busy", on_busy != "wait"),
        ("--cpu-slots", cpu_slots is not None),
    ):
        if given:
            message = "The queue of this machine is not that of Slurm."
            raise UsageError(message, where=option, hint="leave it out; --slurm key=value says what Slurm is to give")
    asked = (asked or "auto").strip()
    without = own_torch and _cpu_build()
    if asked.lower() == "cpu" or (asked.lower() == "auto" and without):
        return Placement("cpu", asked, (), ("CPU",), 1, slurm=slurm)
    if asked.lower() != "auto" and not asked.isdecimal():
        raise UsageError("Slurm chooses which devices a run gets.", where="--devices", hint="--devices 2, or cpu")
    count = 1 if asked.lower() == "auto" else int(asked)
    if count < 1:
        raise UsageError("A run needs at least one device.", where="--devices", hint="--devices 1, or --devices cpu")
    if without:
        message = f"torch {version('torch')} is built for the CPU."
        raise MissingError(message, where="--devices", hint="install a CUDA build of torch, or --devices cpu")
    nodes = slurm.options.nodes or 1
    each = f" on each of {nodes} nodes" if nodes > 1 else ""
    names = (f"{count} GPU{'s' if count > 1 else ''} of Slurm's choice{each}",)
    return Placement("cuda", asked, (), names, _GPU_THREADS, count=count, slurm=slurm)


def _place(asked: str, environ: Mapping[str, str], own_torch: bool, held: Held, cpu_slots: int | None) -> Placement:
    from detui.engine.devices.nvml import visible_gpus

    if asked.lower() == "cpu":
        return _cpu("cpu", environ, cpu_slots)
    gpus = visible_gpus(environ)
    without = own_torch and _cpu_build()
    count = int(asked) if asked.isdecimal() else 1
    if count < 1:
        raise UsageError("A run needs at least one device.", where="--devices", hint="--devices 1, or --devices cpu")
    if asked.lower() == "auto" or asked.isdecimal():
        return _cuda(asked, gpus, held, count) if gpus and not without else _cpu(asked, environ, cpu_slots, count)
    parts = [part.strip() for part in asked.split(",")]
    chosen = [_named(part, gpus, environ) for part in (parts[:-1] if len(parts) > 1 and not parts[-1] else parts)]
    if without:
        message = f"torch {version('torch')} is built for the CPU."
        raise MissingError(message, where="--devices", hint="install a CUDA build of torch, or --devices cpu")
    return replace(_cuda(asked, list(dict.fromkeys(chosen)), held), named=True)


_UNITS = {"M": 1 << 20, "MiB": 1 << 20, "MB": 10**6, "G": 1 << 30, "GiB": 1 << 30, "GB": 10**9}


def memory_size(text: str) -> int:
    """Return the bytes that "20G", "20GiB", "20GB" or "512M" means. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    unit = {name.lower(): size for name, size in _UNITS.items()}.get(found[2].lower()) if found else None
    if found is None or unit is None:
        message = f"{text!r} is no size of memory."
        raise UsageError(message, where="--min-free-memory", hint="--min-free-memory 20G, or 800M")
    return int(float(found[1]) * unit)


def _named(name: str, gpus: list[Gpu], environ: Mapping[str, str]) -> Gpu:
    """The one GPU, or MIG instance, that an index, a UUID or the beginning of a UUID names."""
    if name.isdecimal():
        fitting = [gpu for gpu in gpus if gpu.index == int(name)]
    elif name.upper().startswith(("GPU-", "MIG-")):
        fitting = [gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())]
    else:
        hint = "--devices auto, cpu, how many (2), or which: by index (0,3 or 3,) or UUID (GPU-5d1e…)"
        raise UsageError(f"{name!r} names no device.", where="--devices", hint=hint)
    if not fitting:
        raise MissingError(f"There is no GPU {name}{_limits(environ)}.", where="--devices", hint=_there(gpus))
    if len(fitting) > 1:
        what = "GPU " + name if name.isdecimal() else repr(name)
        message = f"{what} stands for {len(fitting)} devices."
        hint = f"--devices with one or more of {', '.join(gpu.uuid for gpu in fitting)}"
        raise UsageError(message, where="--devices", hint=hint)
    return fitting[0]


def _limits(environ: Mapping[str, str]) -> str:
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    return f" among those that CUDA_VISIBLE_DEVICES={visible} lets you see" if visible is not None else ""


def _there(gpus: list[Gpu]) -> str:
    indices = ",".join(str(gpu.index) for gpu in gpus) + ("," if len(gpus) == 1 else "")
    return f"--devices {indices}" if gpus else "--devices cpu"


def _cpu_build() -> bool:
    """Whether the torch of this environment cannot use a GPU, told without importing it."""
    try:
        return "+cpu" in version("torch")
    except PackageNotFoundError:
        return False


def _cpu(asked: str, environ: Mapping[str, str], slots: int | None, count: int = 1) -> Placement:
    from detui.engine.devices.host import cpu_slots

    if slots is not None and slots < 1:
        raise UsageError("There must be at least one slot.", where="--cpu-slots", hint="--cpu-slots 1")
    names = tuple(f"cpu:{index}" for index in range(cpu_slots(environ) if slots is None else slots))
    return Placement("cpu", asked, names, tuple("CPU" for _ in names), count, count=count)


def _cuda(asked: str, gpus: list[Gpu], held: Held, count: int = 1) -> Placement:
    names = tuple(f"GPU {gpu.index}, {gpu.name or 'unknown'} ({gpu.uuid})" for gpu in gpus)
    return Placement("cuda", asked, tuple(gpu.uuid for gpu in gpus), names, _GPU_THREADS, _in_use(gpus, held), count)


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
