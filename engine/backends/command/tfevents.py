"""Scalars in TensorBoard event files, read as they grow, without TensorBoard, TensorFlow or protocol buffers.

A file is a sequence of records: length (8 bytes), its checksum (4), the message, its checksum (4). Of a message only
`Event.step`, `Event.summary`, and of each value its tag and number are looked at; the rest is skipped by its length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("<QI")
_SUM = struct.Struct("<I")
_LONGEST = 256 << 20
"""Bytes of a record beyond which its length is taken for damage."""
_FLOAT, _DOUBLE = 1, 2
"""Element types of a tensor that holds one number."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number of an event file."""

    tag: str
    step: int
    value: float


class EventReader:
    """Reads one event file as it grows; a record that is not whole yet is "not yet"."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """`offset`: bytes to leave out; the beginning of a record."""
        self.path = path
        self.damaged = False
        """Whether a record's checksum was wrong: nothing behind it can be read."""
        self._offset = offset

    def poll(self) -> list[Scalar]:
        """Return the scalars that came since the last call. An absent file has none."""
        if self.damaged:
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        found: list[Scalar] = []
        at = 0
        while (message := self._record(content, at)) is not None:
            at += _HEAD.size + len(message) + _SUM.size
            found += scalars(message)
        self._offset += at
        return found

    def _record(self, content: bytes, at: int) -> bytes | None:
        if len(content) < at + _HEAD.size:
            return None
        length, checksum = _HEAD.unpack_from(content, at)
        if length > _LONGEST or masked_crc(content[at : at + 8]) != checksum:
            self.damaged = True
            return None
        start, end = at + _HEAD.size, at + _HEAD.size + length
        if len(content) < end + _SUM.size:
            return None
        message = content[start:end]
        if masked_crc(message) != _SUM.unpack_from(content, end)[0]:
            self.damaged = True
            return None
        return message


def scalars(message: bytes) -> Iterator[Scalar]:
    """Yield the scalars of one serialised `Event`; nothing of one that cannot be read."""
    step, summaries = 0, []
    try:
        for field, value in _fields(message):
            if field == 2 and isinstance(value, int):
                step = value - (1 << 64) if value >> 63 else value
            elif field == 5 and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for field, value in _fields(summary):
                if field == 1 and isinstance(value, bytes) and (named := _value(value)) is not None:
                    yield Scalar(named[0], step, named[1])
    except (IndexError, struct.error, UnicodeDecodeError):
        return


def _value(message: bytes) -> tuple[str, float] | None:
    """Tag and number of a `Summary.Value`; None for what is no scalar (pictures, histograms, texts)."""
    tag, number = "", None
    for field, value in _fields(message):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode()
        elif field == 2 and isinstance(value, bytes):
            number = struct.unpack("<f", value)[0]
        elif field == 8 and isinstance(value, bytes):
            number = _tensor(value)
    return None if number is None else (tag, number)


def _tensor(message: bytes) -> float | None:
    """The number of a `TensorProto` with one element of a float type, as newer writers store scalars."""
    kind, content = 0, b""
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field in (4, 5, 6) and isinstance(value, bytes):  # tensor_content, float_val, double_val
            content = value
    form = {(_FLOAT, 4): "<f", (_DOUBLE, 8): "<d"}.get((kind, len(content)))
    return None if form is None else float(struct.unpack(form, content)[0])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field: whole numbers of varints, bytes of everything else."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield field, value
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise IndexError(f"wire type {wire}")
        if at + length > len(message):
            raise IndexError("a field reaches beyond its message")
        yield field, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError("a varint without end")


def _table() -> tuple[int, ...]:
    rows = []
    for row in range(256):
        for _ in range(8):
            row = (row >> 1) ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return tuple(rows)


_TABLE = _table()


def masked_crc(content: bytes) -> int:
    """Return the checksum of the format: CRC-32C (Castagnoli), rotated, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
