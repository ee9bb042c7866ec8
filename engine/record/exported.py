"""What detui has exported, so that it writes over its own files and over nobody else's."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.errors import RunError, UsageError
from detui.engine.run.files import read_json_if_there, write_error, write_json, write_whole

FILE = "exports.json"
"""In the experiment's folder: the path of each exported file and the SHA-256 of what was written there."""

log = logging.getLogger(__name__)


def write_exports(experiment: Path, files: Mapping[Path, bytes], *, force: bool = False) -> list[Path]:
    """Write files and remember that detui did; return their paths.

    A file that detui did not write, or that was changed since, is left as it
    is, and so are all others, unless it holds already what would be written.
    `force` writes over it. Raises UsageError, RunError.
    """
    memory: Mapping[str, Any] = read_json_if_there(experiment / FILE) or {}
    known: dict[str, str] = dict(memory.get("files") or {})
    for path, content in () if force else files.items():
        found = _digest_of(path)
        if found not in (None, _digest(content), known.get(str(path.resolve()))):
            raise UsageError(
                "This file is in the way: detui did not write it, or somebody changed it since.",
                where=str(path),
                hint="--to ANOTHER, or --force to write over it",
            )
    _remember(experiment, known | {str(path.resolve()): _digest(content) for path, content in files.items()})
    for path, content in files.items():
        _write(path, content)
    return list(files)


def _remember(experiment: Path, files: Mapping[str, str]) -> None:
    """Saved before the files: one that is remembered and not written does no harm."""
    try:
        write_json(experiment / FILE, {"files": files})
    except RunError as error:  # somebody else's experiment can be exported, too
        log.warning("not remembered what was exported, so that --force is needed to do it again: %s", error)


def _write(path: Path, content: bytes) -> None:
    if _digest_of(path) == _digest(content):
        return
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from error
    write_whole(path, content)


def _digest_of(path: Path) -> str | None:
    """The SHA-256 of a file, None where there is none. Raises RunError where it cannot be read."""
    try:
        return _digest(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise write_error(path, error) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
