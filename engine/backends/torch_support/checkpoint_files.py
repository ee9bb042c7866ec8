"""Checkpoints of any origin, read without running what may stand in them: tensors, and the names of classes.

`torch.load(weights_only=True)` makes tensors and plain containers and refuses everything else. MMEngine's checkpoints
hold a little more beside their tensors: a history of losses and numbers of numpy. Those few names stand for `Inert`
here, which holds nothing and does nothing, so that neither MMEngine nor numpy is asked to build anything. Any other
name in a file ends the reading.
"""

from __future__ import annotations

import json
import mmap
import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.errors import MissingError, RunError

KEYS = ("state_dict", "model", "model_state_dict")
"""What tensors lie under where a file holds more than them."""
HARMLESS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",  # how a history names its own methods
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{place}.multiarray.{name}" for place in ("core", "_core") for name in ("_reconstruct", "scalar")),
)
"""Names in MMEngine's checkpoints that are read as `Inert`."""
_ENDS = ("unexpected EOF", "file in archive", "buffer of")
"""What torch says of a file that ends too early."""
_ZIP, _SAFE = b"PK\x03\x04", ".safetensors"
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
           "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}  # fmt: skip


class Inert:
    """What a harmless name of a checkpoint stands for: takes whatever it is given, keeps nothing."""

    def __new__(cls, *_arguments: Any, **_named: Any) -> Inert:
        """Made of anything."""
        return object.__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        """Nothing is kept."""

    def __setstate__(self, state: Any) -> None:
        """Nothing is restored."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds."""

    path: Path
    tensors: dict[str, Any]
    """Name → tensor, without the `module.` that training on several devices puts in front; on the CPU, and of most
    files only mapped, not read yet."""
    classes: tuple[str, ...] | None
    """The names of the classes that it was trained on, where it says them."""
    form: str
    """What kind of file it is, in words."""
    epoch: int | None
    """Of its training, where it says it."""


def read_checkpoint(path: Path, where: str, *, average: bool = False) -> Checkpoint:
    """The tensors of a file: of torch in its present or its old format, or safetensors.

    `where`: the field that names the file. `average`: take the averaged weights that RT-DETR's reference stores under
    ema/module, where there are any. Raises MissingError without it; RunError for one that is cut off, is no
    checkpoint, would run something when loaded in the usual way, or holds no tensors.
    """
    if not path.is_file():
        hint = f"detui weights add FILE --name {path.name}, or take {where} out"
        raise MissingError(f"There is no file {path}.", where=where, hint=hint)
    content, form = _safetensors(path) if path.suffix == _SAFE else _torch(path)
    meta = content if isinstance(content, Mapping) else {}
    inner = _averaged(meta) if average else None
    if inner is None:
        inner = next((meta[key] for key in KEYS if isinstance(meta.get(key), Mapping)), meta)
    tensors = _named(inner)
    if not tensors:
        text = "The file holds no tensors by name" + (f", but {_told(meta)}." if meta else ".")
        raise RunError(text, where=str(path), hint="name a file that holds a state_dict")
    return Checkpoint(path, _without_module(tensors), _classes(meta), form, _epoch(meta))


def _averaged(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    kept = content.get("ema")
    inner = kept.get("module") if isinstance(kept, Mapping) else None
    return inner if isinstance(inner, Mapping) else None


def _torch(path: Path) -> tuple[Any, str]:
    import torch

    start = _start(path)
    packed = start == _ZIP
    if packed and not zipfile.is_zipfile(path):
        raise _cut_off(path)
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in HARMLESS]):
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error), start) from error
    except Exception as error:  # a broken pickle leads its reader into errors of any kind
        if isinstance(error, (EOFError, struct.error)) or any(word in str(error) for word in _ENDS):
            raise _cut_off(path) from error
        raise _unreadable(path, error) from error
    return found, "torch, zip archive" if packed else "torch, the format before 1.6"


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise _unreadable(path, error) from error


def _safetensors(path: Path) -> tuple[dict[str, Any], str]:
    """Mapped, not read: a header in JSON says where each tensor lies."""
    import torch

    found = {}
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # a mapping outlives the open file
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        for name, one in header.items():
            if name == "__metadata__":
                continue
            first, last = (8 + size + int(place) for place in one["data_offsets"])
            if last > len(data):
                raise _cut_off(path)
            kind = getattr(torch, _DTYPES[one["dtype"]])
            raw = (
                torch.frombuffer(memoryview(data)[first:last], dtype=kind) if last > first else torch.empty(0).to(kind)
            )
            found[name] = raw.reshape(one["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    return found, "safetensors"


def _named(content: Any) -> dict[str, Any]:
    """The tensors of a mapping; what else lies beside them is left."""
    import torch

    if not isinstance(content, Mapping):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _without_module(tensors: dict[str, Any]) -> dict[str, Any]:
    prefix = "module."
    if all(name.startswith(prefix) for name in tensors):
        return {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _classes(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    """MMDetection 2 writes meta/CLASSES; MMEngine meta/dataset_meta, with `classes` in either case."""
    meta = content.get("meta")
    if not isinstance(meta, Mapping):
        return None
    inner = meta.get("dataset_meta")
    for place in (inner if isinstance(inner, Mapping) else {}, meta):
        for key in ("classes", "CLASSES"):
            names = place.get(key)
            if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
                return tuple(names)
    return None


def _epoch(content: Mapping[str, Any]) -> int | None:
    meta = content.get("meta")
    epoch = meta.get("epoch") if isinstance(meta, Mapping) else None
    return epoch if isinstance(epoch, int) else None


def _told(content: Mapping[str, Any]) -> str:
    names = [str(name) for name in content]
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _cut_off(path: Path) -> RunError:
    message = f"The file is cut off: {path.stat().st_size} bytes are not the whole of it."
    return RunError(message, where=str(path), hint="fetch it again")


def _refused(path: Path, said: str, start: bytes) -> RunError:
    name = said.partition("GLOBAL ")[2].split(" ")[0].strip()
    if name:
        message = f"The file would run {name} when it is loaded, and detui runs nothing that stands in a file."
        hint = "name a file that holds tensors alone: torch.save(model.state_dict(), …)"
        return RunError(message, where=str(path), hint=hint)
    if start != _ZIP and not start.startswith(b"\x80"):
        return RunError("The file is no checkpoint.", where=str(path), hint="name a .pth or a .safetensors file")
    # Behind its reason torch advises to switch its protection off: that is not passed on.
    reason = said.partition("WeightsUnpickler error:")[2].strip().partition("\n")[0][:200]
    message = "The file cannot be read as tensors alone" + (
        f": {reason}" if reason else ": it is a pickle of other things."
    )
    return RunError(message, where=str(path), hint="name a file that holds a state_dict")


def _unreadable(path: Path, error: Exception) -> RunError:
    text = " ".join(str(error).split())[:200]
    message = f"The file cannot be read as a checkpoint ({type(error).__name__}): {text}"
    return RunError(message, where=str(path), hint="name a .pth or a .safetensors file, or fetch it again")
