"""Pickles of plain data and arrays are read; every other is refused before it does anything."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detui.engine.data.plain_pickle import load_plain
from detui.engine.errors import DataError, MissingError

VALUE = {
    "text": "文", "bytes": b"\x00\xff", "none": None, "list": [1, 2.5, True, -(2**70)], "tuple": (1,),
    "ordered": OrderedDict(a=1), "floats": np.ones((2, 3), np.float32), "big": np.arange(3, dtype=">i4"),
    "names": np.array(["car", "bus"]), "objects": np.array(["car", None], object), "flags": np.array([True, False]),
    "scalar": np.float64(1.5), "count": np.int64(7), "yes": np.bool_(True), "nan": float("nan"),
    "none at all": np.zeros((0, 7)), "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_data_is_the_same(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "infos.pkl"
    path.write_bytes(pickle.dumps(VALUE, protocol))
    found = load_plain(path)
    np.testing.assert_equal(found, VALUE)
    assert found["big"].tolist() == [0, 1, 2]
    assert type(found["scalar"]) is np.float64


class Runs:
    """What a hostile pickle holds: a call."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call[0], tuple(self._call[1:])


def _names(text: str, arguments: bytes = b"") -> bytes:
    """A pickle, written by hand, that calls what `text` names."""
    module, name = text.rsplit(":", 1)
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n(" + arguments + b"tR."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda mark: pickle.dumps(Runs(os.system, f"touch {mark}")), "system"),
        (lambda mark: pickle.dumps({"infos": [{"a": Runs(eval, f"open({str(mark)!r}, 'w')")}]}), "builtins.eval"),
        (lambda mark: pickle.dumps(Runs(os.mkdir, str(mark)), 4), "mkdir"),
        (lambda _: pickle.dumps(Path("/x")), "pathlib"),
        (lambda _: pickle.dumps(np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])), "record|type"),
        (lambda _: pickle.dumps(np.random.RandomState), "RandomState"),
        (lambda _: _names("numpy:ndarray", b"I1000000000000\n"), "an array that NumPy does not write"),
        (lambda _: _names("numpy:load", b"Vx\n"), "numpy.load"),
        (lambda _: _names("_codecs:encode", b"Vx\nVzip\n"), "_codecs.encode to 'zip'"),
        (lambda _: _names("numpy:dtype", b"VV8\n"), "an array of the type 'V8'"),
        (lambda _: b"\x80\x04Px\n.", "persistent"),
        (lambda _: b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.", "numpy.ndarray.__init__"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_name(tmp_path: Path, content: Any, said: str) -> None:
    path, mark = tmp_path / "infos.pkl", tmp_path / "mark"
    path.write_bytes(content(mark))
    with pytest.raises(DataError, match=f"(?s)infos.pkl.*({said})"):
        load_plain(path)
    assert not mark.exists()


def _objects(shape: tuple[int, ...], content: Any) -> bytes:
    """A pickle of an array of objects, of a shape and a content that need not belong together."""
    whole = pickle.dumps(np.array([None], object), 2)
    state = pickle.dumps((1, shape, np.dtype("O"), False, content), 2)
    assert pickle.loads(whole)[0] is None
    return whole[: whole.index(b"(K\x01K\x01\x85")] + state[2:-1] + b"b."


def test_bytes_cannot_pass_for_addresses_of_objects(tmp_path: Path) -> None:
    """NumPy believes the flags of a type that a pickle states; here an array of objects comes from a list alone."""
    path = tmp_path / "infos.pkl"
    path.write_bytes(_objects((1,), struct.pack("<Q", 0x4141414141414141)))
    with pytest.raises(DataError, match="an array that NumPy does not write"):
        load_plain(path)


@pytest.mark.parametrize("shape", [(2,), (100_000,), (2, 3), (0,), (-1,)])
def test_an_array_of_objects_has_as_many_as_its_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """NumPy reads past the end of a list that is too short: what lies there in the memory is no object."""
    path = tmp_path / "infos.pkl"
    path.write_bytes(_objects(shape, ["car"]))
    with pytest.raises(DataError, match="another number of objects"):
        load_plain(path)
    path.write_bytes(_objects((1, 1), ["car"]))
    assert load_plain(path).tolist() == [["car"]]


def test_damage_and_absence_are_said(tmp_path: Path) -> None:
    path = tmp_path / "infos.pkl"
    with pytest.raises(MissingError, match=r"infos\.pkl"):
        load_plain(path)
    whole = pickle.dumps(VALUE)
    for content in (b"", b"not a pickle", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            load_plain(path)
