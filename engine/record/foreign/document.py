"""Fill a file that belongs to somebody: read it, fill it, and save it without losing what they save meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.foreign.filling import Filling, Options, fill_text
from detui.engine.record.save import update


@dataclass(frozen=True, slots=True)
class Filled:
    """What a file was, and what became of it."""

    before: str
    filling: Filling
    written: bool


def fill_file(path: Path, facts: ExperimentFacts, options: Options, *, write: bool = True) -> Filled:
    """Fill the placeholders of a file; with `write` false only say what would be.

    When its person saves in between, their version is read and filled again.
    Raises MissingError, UsageError (a directory, no UTF-8), RunError.
    """
    done: list[tuple[str, Filling]] = []

    def change(content: bytes | None) -> bytes | None:
        if content is None:
            raise MissingError("There is no such file.", where=str(path), hint="detui record fill FILE")
        before = decoded(content, path)
        filling = fill_text(before, facts, options, path.resolve().parent)
        done.append((before, filling))
        return filling.text.encode()

    written = False
    if write:
        written = update(path, change)
    else:
        change(_bytes(path))
    return Filled(*done[-1], written)


def decoded(content: bytes, path: Path) -> str:
    """A record's text. Raises UsageError where it is no UTF-8, with the line."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = f"iconv -f GB18030 -t UTF-8 {path} writes it as UTF-8, where it is Chinese of an older kind"
        raise UsageError("This is no UTF-8 text.", where=f"{path}:{line}", hint=hint) from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read: {error.strerror or error}.", where=str(path), hint="check the path") from error
