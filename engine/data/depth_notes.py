"""The note beside depth maps: `depth.json` in their folder says what made them, so that two makers are not mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detui.engine.data.depth import METRES, UINT8
from detui.engine.errors import DetuiError
from detui.engine.run.files import read_json_if_there, write_json

NOTE = "depth.json"
SCALE: Mapping[str, str] = {
    METRES: "metres × 256",
    UINT8: "each map from its own nearest (0) to its own furthest (255): scale is lost",
}
"""By encoding: what values mean in maps that detui makes."""


def read_note(folder: Path) -> dict[str, Any] | None:
    """The note in a folder of maps, or None where there is none. Raises FormatError, RunError."""
    return read_json_if_there(folder / NOTE)


def write_note(folder: Path, note: Mapping[str, Any]) -> None:
    """Write the note of a folder. Raises RunError."""
    write_json(folder / NOTE, dict(note))


def identity(note: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a note in which maps of one folder must agree. A model is its files, whatever its folder's name."""
    model = note.get("model")
    files = {key: value for key, value in model.items() if key != "name"} if isinstance(model, dict) else None
    return {"encoding": note.get("encoding"), "model": files}


def in_words(note: Mapping[str, Any]) -> str:
    """A note in one line: "ZoeDepth zoedepth-nyu-kitti (weights 0123456789ab), metres × 256"."""
    model = note.get("model")
    model = model if isinstance(model, dict) else {}
    weights = str(model.get("weights", "unknown"))[:12]
    encoding = str(note.get("encoding"))
    return f"ZoeDepth {model.get('name', '?')} (weights {weights}), {SCALE.get(encoding, encoding)}"


def note_of(root: Path, bases: Iterable[str]) -> str | None:
    """What the notes in the folders of maps say, in one line; None where there is no note."""
    said: dict[str, list[str]] = {}
    for base in bases:
        try:
            note = read_note(root / base)
        except DetuiError as error:
            said.setdefault(f"{NOTE} cannot be read ({error.message})", []).append(base)
            continue
        said.setdefault(in_words(note) if note else "", []).append(base)
    if set(said) <= {""}:
        return None
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{', '.join(folders)}: {words or 'no note'}" for words, folders in said.items())
