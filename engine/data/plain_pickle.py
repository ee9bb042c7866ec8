"""Reads a pickle that holds plain data and NumPy arrays, and refuses every other.

A pickle is a program: by a global that it names, it may call anything. Here it may name what arrays are rebuilt with,
and an ordered dictionary, and gets stand-ins of our own for the functions among those.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.errors import DataError, MissingError


class RefusedError(pickle.UnpicklingError):
    """The pickle names something that is no plain data."""


def load_plain(path: Path) -> Any:
    """What a pickle holds: dictionaries, lists, tuples, text, bytes, numbers, None, arrays and their scalars.

    Raises MissingError for a file that is absent, DataError with the name of what was refused, or for a damaged one.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingError("There is no such file.", where=str(path)) from None
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", where=str(path)) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Plain(io.BytesIO(content)).load()
    except RefusedError as error:
        message = f"The pickle is refused: it asks for {error}, which is no plain data and no array."
        hint = "such a file could run a program when it is read; ask whoever made it for JSON"
        raise DataError(message, where=str(path), hint=hint) from None
    except Exception as error:  # pickle raises whatever the damaged program runs into
        raise DataError(f"The pickle is damaged: {error}.", where=str(path)) from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        asked = (module.replace("numpy._core", "numpy.core"), name)
        if asked not in _ALLOWED:
            raise RefusedError(f"{module}.{name}")
        return _ALLOWED[asked]

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError(f"a persistent object ({pid!r:.40})")


class _Kind:
    """Stands for a type of NumPy's: of numbers, text or objects, never one with fields.

    NumPy itself takes flags out of the pickle, by which bytes can pass for addresses of objects.
    """

    def __init__(self, code: Any = "", *_: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[biufSU]\d{1,6}|O8?", code):
            raise RefusedError(f"an array of the type {code!r:.40}")
        self.type = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """The order of the bytes is all that is taken."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise RefusedError("a type that NumPy does not write")
        if any(part is not None for part in state[2:5]):
            raise RefusedError("an array of records")
        self.type = self.type.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array that takes nothing but numbers from their bytes, and objects from a list."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Kind) or isinstance(content, list) is not kind.type.hasobject:
            raise RefusedError("an array that NumPy does not write")
        # NumPy takes as many objects out of the list as the shape has places, whether they are there or not.
        if isinstance(content, list) and math.prod(shape) != len(content):
            raise RefusedError("an array with another number of objects than its shape")
        state = (1, shape, kind.type, bool(fortran), content)
        super().__setstate__(state)


def _array(*_: Any) -> Any:
    raise RefusedError("an array that NumPy does not write")


def _reconstruct(kind: Any, *_: Any) -> Any:
    """An empty array, whose state follows."""
    if kind is not _array:
        raise RefusedError("an array that NumPy does not write")
    return _Array((0,), np.int8)


def _scalar(kind: Any, content: Any = None) -> Any:
    """A number of one of NumPy's types."""
    if not isinstance(kind, _Kind) or kind.type.hasobject or not isinstance(content, (bytes, str)):
        raise RefusedError("a scalar that is no number")
    raw = content if isinstance(content, bytes) else content.encode("latin-1")
    if len(raw) != kind.type.itemsize:
        raise RefusedError("a scalar of another length than its type")
    return np.frombuffer(raw, kind.type)[0]


def _frombuffer(content: Any, kind: Any, shape: Any, order: Any) -> Any:
    """An array from its bytes, as protocol 5 writes it."""
    if not isinstance(kind, _Kind) or kind.type.hasobject:
        raise RefusedError("an array of objects in one buffer")
    return np.frombuffer(content, kind.type).reshape(shape, order=order).copy()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes as protocol 2 writes them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"_codecs.encode to {encoding!r:.40}")
    return text.encode("latin-1")


def _no_bytes(*arguments: Any) -> bytes:
    """Empty bytes, as protocol 2 writes them."""
    if arguments:
        raise RefusedError("bytes made of something")
    return b""


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy", "ndarray"): _array,
    ("numpy", "dtype"): _Kind,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
}
