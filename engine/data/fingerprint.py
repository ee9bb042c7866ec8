"""The fingerprint of data: one SHA-256 over the annotations in use and the bytes of the images in use.

It changes with any label, any byte of an image, the selection, and the roles
the splits play; with depth, also with any byte of a map, the encoding of the
maps and what is far. It does not change when the data lies somewhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.data.form import DepthMaps, Split

FORMAT = 1
"""Raised when the same data would get another fingerprint."""


def fingerprint(
    classes: tuple[str, ...], splits: Mapping[str, Split], hashes: Mapping[str, str], depth: DepthMaps | None = None
) -> str:
    """64 hexadecimal digits. `splits` by the role they play; `hashes` by image file; `depth` where maps are read."""
    digest = hashlib.sha256()
    for item in (*_items(classes, splits, hashes), *([["depth", depth.encoding, depth.far]] if depth else [])):
        digest.update(json.dumps(item, sort_keys=True, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _items(classes: tuple[str, ...], splits: Mapping[str, Split], hashes: Mapping[str, str]) -> Iterator[list[Any]]:
    yield ["detui data", FORMAT, list(classes)]
    for role in sorted(splits):
        split = splits[role]
        yield ["split", role, len(split.images), len(split.annotations)]
        for image in split.images:
            depth = hashes[image.depth_file] if image.depth_file else None
            yield ["image", image.id, image.file, image.width, image.height, hashes[image.file], depth]
        for a in split.annotations:
            yield ["box", a.id, a.image_id, a.category_id, list(a.box), a.area, a.crowd, a.segmentation]
        if split.ignore_regions is not None:  # nothing at all otherwise: data without them keeps its fingerprint
            yield ["ignore regions", [[region.image_id, list(region.box)] for region in split.ignore_regions]]
        if split.void is not None:
            yield ["void", [[one.image_id, one.segmentation] for one in split.void]]
