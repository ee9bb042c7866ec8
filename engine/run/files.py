"""JSON files that are whole or absent: written beside, synced, renamed.

Numbers that JSON has no word for travel as the strings "NaN", "Infinity" and
"-Infinity"; `number` reads them back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from detui.engine.errors import FormatError, MissingError, RunError

SCHEMA = 1
"""The newest version of every file format that this code reads, and the one it writes."""

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_NEXT_STEP = {
    errno.ENOSPC: "free space on that file system (`df -h` shows it), then try again",
    errno.EDQUOT: "free some of your quota (`quota -s` shows it), then try again",
    errno.EROFS: "that file system is mounted read-only: choose another place with --workspace",
    errno.EACCES: "you may not write there: check the owner (`ls -ld`), or choose another --workspace",
    errno.EPERM: "you may not write there: check the owner (`ls -ld`), or choose another --workspace",
    errno.ENOTDIR: "a part of that path is a file, not a directory: choose another --workspace",
    errno.ENOENT: "the directory is gone: was the experiment removed or moved?",
}


def number(value: Any) -> float | None:
    """Read a number back: floats and integers, the three non-finite strings, anything else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    return _NOT_FINITE.get(value) if isinstance(value, str) else None


def portable(value: Any) -> Any:
    """Return `value` with every non-finite float as its string, tuples as lists, paths as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _spell(value)
    if isinstance(value, dict):
        return {str(key): portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return _plain(value)


def _spell(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _plain(value: Any) -> Any:
    """Reduce a foreign scalar (numpy, a zero-dimensional tensor) to a Python one, anything else to text."""
    item = getattr(value, "item", None)
    if callable(item):
        try:
            return portable(item())
        except (TypeError, ValueError, RuntimeError):
            return str(value)
    return sorted(portable(v) for v in value) if isinstance(value, (set, frozenset)) else str(value)


def encode(obj: Any, *, indent: int | None = None) -> bytes:
    """Return `obj` as UTF-8 JSON; characters that UTF-8 cannot carry (odd file names) are escaped."""
    clean = portable(obj)
    separators = (",", ":") if indent is None else None
    text = json.dumps(clean, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(clean, allow_nan=False, indent=indent, separators=separators).encode()


def check_schema(obj: dict[str, Any], where: object) -> None:
    """Refuse what a newer detui wrote; an absent `schema` counts as 1. Raises FormatError."""
    found = obj.get("schema", SCHEMA)
    if not isinstance(found, int) or isinstance(found, bool):
        raise FormatError(f"`schema` is {found!r}, an integer was expected.", where=str(where))
    if found > SCHEMA:
        raise FormatError(
            f"The file has format {found}; this detui reads formats up to {SCHEMA}.",
            where=str(where),
            hint="update detui to the version that wrote it (`detui version` shows yours)",
        )


def sha256_of(*paths: Path) -> str:
    """SHA-256 of files, one after the other: 64 hexadecimal digits. Reads in blocks. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def write_error(path: Path, error: OSError) -> RunError:
    """Return the error to raise when `path` cannot be written, with the next step for its cause."""
    reason = error.strerror or str(error)
    hint = _NEXT_STEP.get(error.errno or 0, "check the path and the file system, then try again")
    return RunError(f"Cannot write: {reason}.", where=str(path), hint=hint)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` so that readers see the old file or the new one, never a part. Raises RunError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        _discard(temporary)
        raise write_error(path, error) from error


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # on a read-only file system there is nothing to remove
        return


def sync_directory(path: Path) -> None:
    """Make a rename in `path` durable. File systems that cannot sync a directory are left alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, obj: dict[str, Any]) -> None:
    """Write `obj`, `schema` first, whole or not at all. Raises RunError with the path and what to try."""
    write_whole(path, encode({"schema": SCHEMA, **obj}, indent=1) + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read one of detui's JSON objects. Raises MissingError, or FormatError with line and column."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingError("There is no such file.", where=str(path)) from error
    except OSError as error:
        raise RunError(f"Cannot read: {error.strerror}.", where=str(path), hint="check its owner") from error
    obj = _parse(content, path)
    if not isinstance(obj, dict):
        raise FormatError("A JSON object was expected.", where=f"{path}:1:1")
    check_schema(obj, path)
    return obj


def _parse(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content.decode())
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise FormatError(f"The file is broken: {error.msg}.", where=where, hint=_BROKEN) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FormatError("The file is not UTF-8 text.", where=f"{path}:{line}", hint=_BROKEN) from error


_BROKEN = "restore it from a copy; detui itself writes such files whole or not at all"


def read_json_if_there(path: Path) -> dict[str, Any] | None:
    """Read like `read_json`, but return None where no file is."""
    try:
        return read_json(path)
    except MissingError:
        return None
