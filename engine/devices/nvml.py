"""NVIDIA GPUs through NVML. Every query may fail by itself; what failed is None, never 0.

The module `pynvml` comes from the package nvidia-ml-py. It is imported only
where the driver's library is there, because it is large.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from detui.engine.devices.processes import process_name, process_owner


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or one MIG instance of it, that a run can have."""

    index: int
    """As nvidia-smi counts; that of the whole GPU for an instance."""
    uuid: str
    """"GPU-…" or "MIG-…": what devices are passed by."""
    name: str
    memory_total: int | None
    """Bytes; None where the driver does not say."""


def list_gpus() -> list[Gpu]:
    """Return the GPUs of this machine; instances in place of a GPU that is divided by MIG. None: []."""
    nvml = _library()
    if nvml is None:
        return []
    found = []
    for index in range(_ask(nvml, nvml.nvmlDeviceGetCount) or 0):
        whole = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        if whole is None:  # a lost GPU still counts, so that the indices of the others stay
            continue
        for handle in _instances(nvml, whole) or [whole]:
            gpu = _describe(nvml, index, handle)
            if gpu is not None:
                found.append(gpu)
    return found


@dataclass(frozen=True, slots=True)
class SilentGpu:
    """A GPU that the driver counts and that does not answer, such as one that fell off its bus."""

    index: int
    reason: str
    """NVML's words."""


def silent_gpus() -> list[SilentGpu]:
    """Return the GPUs that `list_gpus` leaves out, because they cannot be asked for anything."""
    nvml = _library()
    if nvml is None:
        return []
    found = []
    for index in range(_ask(nvml, nvml.nvmlDeviceGetCount) or 0):
        try:
            nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))
        except nvml.NVMLError as error:
            found.append(SilentGpu(index, str(error)))
    return found


def memory_problem(uuid: str) -> str | None:
    """Return why a GPU does not tell its memory, in NVML's words; None where it does."""
    nvml = _library()
    if nvml is None:
        return gpu_problem()
    try:
        nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(uuid))
    except nvml.NVMLError as error:
        return str(error)
    return None


def gpu_problem() -> str | None:
    """Return why there are no GPUs, in NVML's words; None where NVML works."""
    if not _present():
        return "the NVIDIA driver's library libnvidia-ml.so.1 is not there"
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return str(error)
    return None


def visible_gpus(environ: Mapping[str, str]) -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; all of them where it is not set.

    Follows the CUDA programming guide: indices or (abbreviated) UUIDs; the
    first name that fits nothing, such as -1, ends the list; one named twice
    leaves none. Indices are those of nvidia-smi (CUDA_DEVICE_ORDER=PCI_BUS_ID).
    """
    gpus = list_gpus()
    asked = environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return gpus
    chosen: list[Gpu] = []
    for name in asked.split(","):
        gpu = _named(name.strip(), gpus)
        if gpu is None:
            break
        if gpu in chosen:
            return []
        chosen.append(gpu)
    return chosen


def driver_versions() -> dict[str, str | None]:
    """Return {"driver", "cuda"}: the driver's version, and the newest CUDA that it runs."""
    nvml = _library()
    if nvml is None:
        return {"driver": None, "cuda": None}
    cuda = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    return {
        "driver": _text(_ask(nvml, nvml.nvmlSystemGetDriverVersion)),
        "cuda": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
    }


def sample_gpus(uuids: Iterable[str]) -> list[dict[str, Any]]:
    """Return one telemetry object a GPU: memory (bytes), utilization (percent), power (W), temperature (°C)."""
    return [_sample(uuid) for uuid in uuids]


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU, of whomever."""

    pid: int
    memory: int | None
    """Bytes on the GPU; None where the driver does not say, as inside containers."""
    user: str | None
    """Its owner; None where the process is not to be seen from here."""
    command: str | None
    """Its name as the kernel keeps it (at most 15 characters)."""


def gpu_processes(uuid: str) -> list[GpuProcess] | None:
    """Return who computes on a GPU; None where the driver does not say.

    Takes milliseconds under the driver's lock on a busy machine: not to be asked every second.
    """
    nvml = _library()
    handle = None if nvml is None else _ask(nvml, nvml.nvmlDeviceGetHandleByUUID, uuid)
    found = None if handle is None else _ask(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle)
    return None if found is None else [_process(one.pid, one.usedGpuMemory) for one in found]


def _process(pid: int, memory: int | None) -> GpuProcess:
    return GpuProcess(pid, memory, process_owner(pid), process_name(pid))


def _sample(uuid: str) -> dict[str, Any]:
    nvml = _library()
    handle = None if nvml is None else _ask(nvml, nvml.nvmlDeviceGetHandleByUUID, uuid)
    empty: dict[str, Any] = dict.fromkeys(_SAMPLED)
    if nvml is None or handle is None:
        return {"uuid": uuid, **empty}
    used, total = _memory(nvml, handle)
    rates = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    power = _ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    return {
        "uuid": uuid,
        "index": _ask(nvml, nvml.nvmlDeviceGetIndex, handle),
        "name": _text(_ask(nvml, nvml.nvmlDeviceGetName, handle)),
        "memory_used": used,
        "memory_total": total,
        "utilization": None if rates is None else rates.gpu,
        "power": None if power is None else power / 1000,
        "temperature": _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
    }


_SAMPLED = ("index", "name", "memory_used", "memory_total", "utilization", "power", "temperature")


def _named(name: str, gpus: list[Gpu]) -> Gpu | None:
    if name.isdigit():
        fitting = [gpu for gpu in gpus if gpu.index == int(name)]
        return fitting[0] if fitting else None
    fitting = [gpu for gpu in gpus if name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name)]
    return fitting[0] if len(fitting) == 1 else None


@lru_cache(maxsize=1)
def _present() -> bool:
    """Tell whether the driver's library can be loaded, without the large module that wraps it."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _library() -> Any:
    """Return pynvml, initialised once in this process; None where there is no working driver."""
    if not _initialised and gpu_problem() is None:
        import pynvml

        _initialised.append(pynvml)
    return _initialised[0] if _initialised else None


_initialised: list[Any] = []


def _ask(nvml: Any, query: Callable[..., Any], *arguments: Any) -> Any:
    """Return what NVML answers, None where this one query fails."""
    try:
        return query(*arguments)
    except nvml.NVMLError:
        return None


def _instances(nvml: Any, whole: Any) -> list[Any]:
    """Return the MIG instances of a GPU that is divided."""
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, whole)
    if not mode or not mode[0]:
        return []
    return list(_existing_instances(nvml, whole))


def _existing_instances(nvml: Any, whole: Any) -> Iterator[Any]:
    for index in range(_ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, whole) or 0):
        handle = _ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, index)
        if handle is not None:
            yield handle


def _describe(nvml: Any, index: int, handle: Any) -> Gpu | None:
    """Return a GPU; None if it has no UUID to pass it by."""
    uuid = _text(_ask(nvml, nvml.nvmlDeviceGetUUID, handle))
    if uuid is None:
        return None
    name = _text(_ask(nvml, nvml.nvmlDeviceGetName, handle)) or "NVIDIA GPU"
    return Gpu(index=index, uuid=uuid, name=name, memory_total=_memory(nvml, handle)[1])


def _memory(nvml: Any, handle: Any) -> tuple[int | None, int | None]:
    """Return (used, total) bytes. Version 2 leaves out what the driver keeps for itself, as nvidia-smi does."""
    found = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
    if found is None:
        found = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    return (None, None) if found is None else (found.used, found.total)


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
