"""What a folder takes on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def disk_size(path: Path) -> int:
    """Return the bytes that a folder takes on the disk: blocks, a file with several names counted once."""
    return sum(_blocks(path, set()))


def _blocks(path: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    try:
        entries = list(os.scandir(path))
    except OSError:  # removed meanwhile, or not ours to read
        return
    for entry in entries:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            yield found.st_blocks * 512
        if entry.is_dir(follow_symlinks=False):
            yield from _blocks(Path(entry.path), seen)
