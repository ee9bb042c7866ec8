"""Pictures and objects of prepared data as batches: numpy and Pillow alone, so that two frameworks see the same bits.

What a batch holds depends on seed, epoch and picture, and on nothing that was computed before: a resumed training sees
what an uninterrupted one would have seen. `RandomState` is used because its numbers are the same in every numpy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.targets import Target
from detui.engine.errors import MissingError, RunError

AHEAD = 2
"""Batches that are read before they are wanted."""
ORDER, PICTURE, NOISE = 1, 2, 3
"""What a generator is for; the same numbers for two purposes would be the same draws."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a split, as its truth tells it."""

    id: int
    path: Path
    width: int
    height: int
    labels: tuple[int, ...]
    """Of each object, from 0."""
    boxes: tuple[tuple[float, float, float, float], ...]
    """x, y, width, height in pixels."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures that are computed at once."""

    images: Array
    """[b, 3, side, side] of float32, red, green and blue in 0–1."""
    targets: tuple[Target, ...]
    """What stands in them."""
    ids: tuple[int, ...]
    """As the truth calls them."""
    sizes: tuple[tuple[int, int], ...]
    """Width and height of each original, in pixels."""

    def checksum(self) -> str:
        """16 hexadecimal digits of SHA-256 over pixels, labels and boxes: equal where every bit is."""
        digest = hashlib.sha256(self.images.tobytes())
        for target in self.targets:
            digest.update(target.labels.tobytes())
            digest.update(target.boxes.tobytes())
        return digest.hexdigest()[:16]


def generator(*numbers: int) -> np.random.RandomState:
    """A generator for a place: purpose, seed, epoch, picture …"""
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, np.uint32))


def read_pictures(data: Mapping[str, Any], role: str) -> list[Picture]:
    """The pictures of a role ("train", "val", "test") of prepared data, in its order; crowds are no objects.

    Raises MissingError where there is no such split.
    """
    path = Path(data["prepared"]) / f"{role}.json"
    if not path.is_file():
        raise MissingError(f"The prepared data has no split {role!r}.", where=str(data["prepared"]))
    truth = json.loads(path.read_text(encoding="utf-8"))
    objects: dict[int, list[Mapping[str, Any]]] = {}
    for one in truth["annotations"]:
        if not one.get("iscrowd"):
            objects.setdefault(one["image_id"], []).append(one)
    root, found = Path(data["root"]), []
    for image in truth["images"]:
        own = objects.get(image["id"], [])
        labels = tuple(int(one["category_id"]) - 1 for one in own)
        x_y_w_h = tuple(tuple(float(number) for number in one["bbox"]) for one in own)
        file = root / image["file_name"]
        found.append(Picture(image["id"], file, image["width"], image["height"], labels, x_y_w_h))  # type: ignore[arg-type]
    return found


def target_of(picture: Picture) -> Target:
    """Its objects, boxes clipped to the picture; what has no area in it is left out."""
    boxes = np.asarray(picture.boxes, np.float64).reshape(-1, 4)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    size = np.array([picture.width, picture.height] * 2, np.float64)
    corners = np.clip(corners / size, 0, 1)
    sides = corners[:, 2:] - corners[:, :2]
    kept = (sides > 0).all(1)
    centred = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, sides], 1)
    return Target.of(np.asarray(picture.labels, np.int64)[kept], centred[kept])


def read_pixels(picture: Picture, side: int) -> Array:
    """[side, side, 3] of uint8: decoded, and squeezed or stretched to a square. Raises RunError for a damaged file."""
    from PIL import Image

    try:
        with Image.open(picture.path) as file:
            squared = file.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError) as error:
        hint = "detui data check NAME --decode finds damaged images"
        raise RunError(f"The picture cannot be read: {error}", where=str(picture.path), hint=hint) from error
    return np.asarray(squared, np.uint8)


@dataclass(frozen=True, slots=True)
class Pictures:
    """A split that batches are made of."""

    pictures: Sequence[Picture]
    side: int
    """Of the squares, in pixels."""
    seed: int = 0
    """Of the run."""
    augment: Mapping[str, float] | None = None
    """`flip`, `brightness`, `contrast` of the recipe; None: nothing is changed."""

    def order(self, epoch: int) -> list[int]:
        """All places in the order of an epoch (from 1)."""
        return [int(place) for place in generator(ORDER, self.seed, epoch).permutation(len(self.pictures))]

    def batch(self, places: Sequence[int], epoch: int = 0) -> Batch:
        """The batch of some places; in another epoch they are changed in another way."""
        images, targets = [], []
        for place in places:
            pixels, target = self._changed(self.pictures[place], generator(PICTURE, self.seed, epoch, place))
            images.append(pixels.transpose(2, 0, 1))
            targets.append(target)
        chosen = [self.pictures[place] for place in places]
        return Batch(
            np.ascontiguousarray(np.stack(images)), tuple(targets), tuple(one.id for one in chosen),
            tuple((one.width, one.height) for one in chosen),
        )  # fmt: skip

    def _changed(self, picture: Picture, own: np.random.RandomState) -> tuple[Array, Target]:
        pixels = read_pixels(picture, self.side).astype(np.float32) / np.float32(255)
        target = target_of(picture)
        if self.augment is None:
            return pixels, target
        draws = own.uniform(size=3)  # all of them, so that one setting does not move the draws of another
        if draws[0] < self.augment["flip"]:
            pixels = pixels[:, ::-1]
            boxes = target.boxes.copy()
            boxes[:, 0] = 1 - boxes[:, 0]
            target = Target(target.labels, boxes)
        bright, contrast = (
            np.float32(1 + (2 * draw - 1) * self.augment[name])
            for draw, name in zip(draws[1:], ("brightness", "contrast"), strict=True)
        )
        if bright != 1 or contrast != 1:
            grey = np.float32(0.5)
            pixels = np.clip(((pixels * bright) - grey) * contrast + grey, 0, 1)
        return pixels, target

    def steps(self, size: int) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.pictures) / size)

    def epoch(self, epoch: int, size: int, skip: int = 0, threads: int = 1) -> Iterator[Batch]:
        """The batches of an epoch (from 1) without the first `skip`, read ahead in threads; the last may be smaller."""
        order = self.order(epoch)
        shares = [order[start : start + size] for start in range(0, len(order), size)][skip:]
        yield from read_ahead(self, shares, epoch, threads)

    def in_order(self, size: int, threads: int = 1) -> Iterator[Batch]:
        """All pictures as they come, for a validation."""
        places = list(range(len(self.pictures)))
        shares = [places[start : start + size] for start in range(0, len(places), size)]
        yield from read_ahead(self, shares, 0, threads)


def read_ahead(pictures: Pictures, shares: Sequence[Sequence[int]], epoch: int, threads: int) -> Iterator[Batch]:
    """Batches of places, in order, some of them read before they are asked for."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="detui-data") as pool:
        try:
            for share in shares:
                waiting.append(pool.submit(pictures.batch, share, epoch))
                if len(waiting) > max(AHEAD, threads):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
