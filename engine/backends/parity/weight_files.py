"""Weight files without torch, for an environment that has none: safetensors, and torch's zip archives.

A torch file is a pickle beside raw numbers. Here a pickle may name tensors, their storages and OrderedDict, and nothing
else: any other name ends the reading, and nothing of a file is run.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.errors import MissingError, RunError

_SAFE = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
         "U8": "u1", "BOOL": "?"}  # fmt: skip
_STORAGES = {"Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8", "Int": "<i4",
             "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?"}  # fmt: skip
_INSIDE = ("state_dict", "model", "model_state_dict")
"""What tensors lie under where a file holds more than them."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """The raw numbers behind tensors."""

    numbers: Array
    half: bool
    """Whether they are the upper halves of float32 (bfloat16)."""


def read_weight_file(path: Path, where: str) -> dict[str, Array]:
    """The arrays of a file by name; the averaged ones of a training checkpoint of RT-DETR's reference.

    `where`: the field that names it. Raises MissingError without the file, RunError for one that cannot be read.
    """
    if not path.is_file():
        hint = f"detui weights add FILE --name {path.name}, or take {where} out"
        raise MissingError(f"There is no file {path}.", where=where, hint=hint)
    try:
        found = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    except RunError:
        raise
    except Exception as error:  # a broken file leads its reader into errors of any kind
        text = " ".join(str(error).split())[:200]
        message = f"The file cannot be read as weights ({type(error).__name__}): {text}"
        raise RunError(
            message, where=str(path), hint="name a .pth or a .safetensors file, or fetch it again"
        ) from error
    arrays = {str(name): value for name, value in found.items() if isinstance(value, np.ndarray)}
    if not arrays:
        raise RunError("The file holds no tensors by name.", where=str(path))
    if all(name.startswith("module.") for name in arrays):
        return {name.removeprefix("module."): value for name, value in arrays.items()}
    return arrays


def _safetensors(path: Path) -> dict[str, Array]:
    """A header in JSON says where each tensor lies."""
    content, found = path.read_bytes(), {}
    start = 8 + int.from_bytes(content[:8], "little")
    for name, one in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, last = one["data_offsets"]
            numbers = np.frombuffer(content[start + first : start + last], _SAFE[one["dtype"]])
            found[name] = _widened(numbers, half=one["dtype"] == "BF16").reshape(one["shape"])
    return found


def _torch(path: Path) -> Mapping[str, Any]:
    if not zipfile.is_zipfile(path):
        hint = "store it again with a torch since 1.6, or as .safetensors"
        raise RunError("The file is no zip archive of torch: cut off, or of the format before 1.6.", where=str(path),
                       hint=hint)  # fmt: skip
    with zipfile.ZipFile(path) as archive:
        name = next(one for one in archive.namelist() if one.endswith("data.pkl"))
        content = _Tensors(archive, name.removesuffix("data.pkl"), path).load()
    average = content.get("ema")
    if isinstance(average, Mapping) and isinstance(average.get("module"), Mapping):
        found: Mapping[str, Any] = average["module"]
        return found
    return next((content[key] for key in _INSIDE if isinstance(content.get(key), Mapping)), content)


class _Tensors(pickle.Unpickler):
    """Reads tensors as arrays, and plain containers."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, path: Path) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive, self._folder, self._path = archive, folder, path
        self._storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for."""
        kind = name.removesuffix("Storage")
        if module == "torch" and name.endswith("Storage") and kind in _STORAGES:
            return kind
        known = {"collections.OrderedDict": OrderedDict, "torch._utils._rebuild_tensor_v2": _tensor,
                 "torch._utils._rebuild_parameter": lambda value, *_rest: value}  # fmt: skip
        if f"{module}.{name}" in known:
            return known[f"{module}.{name}"]
        message = f"The file would run {module}.{name} when it is loaded, and detui runs nothing that stands in a file."
        hint = "name a file that holds tensors alone: torch.save(model.state_dict(), …)"
        raise RunError(message, where=str(self._path), hint=hint)

    def persistent_load(self, told: Any) -> _Storage:
        """The numbers that lie beside the pickle."""
        _, kind, key, *_ = told
        if key not in self._storages:
            numbers = np.frombuffer(self._archive.read(f"{self._folder}data/{key}"), _STORAGES[kind])
            self._storages[key] = _Storage(numbers, half=kind == "BFloat16")
        return self._storages[key]


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: Any) -> Array:
    """A tensor's numbers, in an array of their own."""
    numbers = storage.numbers
    reach = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 1
    if 0 not in shape and (offset < 0 or min(strides, default=0) < 0 or reach > len(numbers)):
        raise ValueError("a tensor reaches beyond its numbers")
    steps = tuple(stride * numbers.itemsize for stride in strides)
    view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps)
    return _widened(np.array(view), half=storage.half)


def _widened(numbers: Array, *, half: bool) -> Array:
    """bfloat16 is the upper half of a float32."""
    return (numbers.astype(np.uint32) << 16).view(np.float32) if half else numbers
