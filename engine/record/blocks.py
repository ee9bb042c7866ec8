"""Machine-owned blocks in a Markdown file that belongs to a person.

    <!-- detui:begin NAME -->
    … what detui writes …
    <!-- detui:end NAME -->

The comments are invisible when rendered. Everything outside them is the
person's and is kept byte for byte. Inside them:

- a block that stands as detui wrote it is replaced by the new one;
- one that a person changed loses its comments and so becomes theirs; the new
  one follows it, below a line that says so;
- one that a person removed stays away;
- one that this template knows and the file never had is added where it belongs.

Whether a block stands as written is told by its SHA-256, kept in record.json.
Without that file a block that differs counts as changed: text is never lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_BLOCK = re.compile(
    r"<!-- detui:begin (?P<name>[\w-]+) -->(?P<body>(?:(?!<!-- detui:begin ).)*?)<!-- detui:end (?P=name) -->",
    re.DOTALL,
)
_MARKER = re.compile(r"<!--(\s*detui:(?:begin|end)\b)")

Hashes = dict[str, list[str]]
"""Block name → the hashes of what detui wrote into it last, newest first."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A file's new text, and what to remember of its blocks."""

    text: str
    hashes: Hashes
    kept: tuple[str, ...]
    """Blocks that a person had changed: theirs was kept, the new one follows it."""


def wrap(name: str, body: str) -> str:
    """A block ready to stand in a file; a marker inside `body` is made harmless."""
    body = _MARKER.sub(r"<!- -\1", body.strip("\n"))
    return f"<!-- detui:begin {name} -->\n\n{body}\n\n<!-- detui:end {name} -->"


def find(text: str) -> dict[str, str]:
    """Name → body of the blocks in a text, the first of each name, in their order."""
    found: dict[str, str] = {}
    for match in _BLOCK.finditer(text):
        found.setdefault(match["name"], match["body"])
    return found


def digest(body: str) -> str:
    """The hash of a block's body, blind to the kind of line ending and to blank lines around it."""
    return hashlib.sha256(_unix(body).strip("\n").encode("utf-8", "surrogatepass")).hexdigest()


def merge(existing: str | None, rendered: str, known: Mapping[str, Sequence[str]] | None, notice: str) -> Merged:
    """The file's text with its machine-owned blocks renewed from `rendered`.

    `known` is what `Merged.hashes` said last time, None when that was lost;
    `notice` is the line that separates a changed block from its new version.
    """
    new = find(rendered)
    if existing is None:
        return Merged(rendered, {name: [digest(body)] for name, body in new.items()}, ())
    kept: list[str] = []
    hashes: Hashes = {name: list(old) for name, old in (known or {}).items()}

    def renew(match: re.Match[str]) -> str:
        name, body = match["name"], match["body"]
        if name not in new:
            return match[0]
        hashes[name] = _remember(new[name], body, hashes.get(name, []))
        if digest(body) == digest(new[name]):
            return match[0]
        fresh = _like(existing, wrap(name, new[name]))
        if known is not None and digest(body) in known.get(name, ()):
            return fresh
        kept.append(name)
        gap = _like(existing, "\n\n")
        return body.strip("\r\n") + gap + _like(existing, notice) + gap + fresh

    text = _BLOCK.sub(renew, existing)
    if known is not None:
        for name in [name for name in new if name not in known and f"<!-- detui:begin {name} -->" not in text]:
            text = _insert(text, name, new)
            hashes[name] = [digest(new[name])]
    return Merged(text, hashes, tuple(kept))


def _remember(new: str, body: str, old: Sequence[str]) -> list[str]:
    """Both the new hash and that of the machine-owned text it replaces.

    record.json is written before record.md: whichever of the two a power
    failure leaves behind, the block is still known to be detui's.
    """
    return list(dict.fromkeys([digest(new), *(mark for mark in old if mark == digest(body))]))


def _insert(text: str, name: str, new: Mapping[str, str]) -> str:
    """Put a block after the nearest earlier block that the file still has, else at its end."""
    names = list(new)
    for earlier in reversed(names[: names.index(name)]):
        end = f"<!-- detui:end {earlier} -->"
        if end in text:
            at = text.index(end) + len(end)
            return text[:at] + _like(text, f"\n\n{wrap(name, new[name])}") + text[at:]
    gap = "" if not text or text.endswith("\n") else "\n"
    return text + _like(text, f"{gap}\n{wrap(name, new[name])}\n")


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _like(file: str, text: str) -> str:
    """`text` with the line endings that the file has."""
    return _unix(text).replace("\n", "\r\n") if "\r\n" in file else text
