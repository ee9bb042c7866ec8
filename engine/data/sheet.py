"""A contact sheet: for each class of a split a row of crops, so that a wrong class is seen at once.

Nothing else sees a set whose spoons are called bottles: its numbers are all right. Which crops are shown follows
from the data alone, so that two people look at the same sheet.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detui.engine.data.form import Annotation, Box, Dataset, Image
from detui.engine.data.imagefiles import NoImageError, pillow_errors
from detui.engine.data.lettering import write
from detui.engine.data.masks import pixels
from detui.engine.data.reading import Progress, no_progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image as Pillow

TILE = 96
"""Pixels of a crop's side."""
GAP = 4
LABEL = 190
"""Pixels that the name of a class has."""
HEAD = 34
MARGIN = 0.2
"""How much of its longer side is shown around a box."""
PLAIN = 24
"""A box of fewer pixels on its shorter side is shown only where nothing larger is there: nobody would know it."""
PAPER, INK, FAINT, FRAME, OUTLINE = "white", "black", "#767676", "#e4003a", "#00d0ff"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet as a picture."""

    png: bytes
    crops: dict[str, int]
    """How many crops of each class belong on it; those of unreadable images are empty."""
    unreadable: tuple[str, ...]
    """Images of which a crop was wanted and that cannot be decoded."""


def contact_sheet(dataset: Dataset, split: str, *, per_class: int = 10, progress: Progress | None = None) -> Sheet:
    """Draw the sheet of one split that was read: a row a class, at most `per_class` crops in it.

    Each image is opened once. An image that cannot be decoded leaves its crop empty and is named in the result.
    """
    progress = progress or no_progress
    part = dataset.splits[split]
    objects: list[list[Annotation]] = [[] for _ in dataset.classes]
    for annotation in part.annotations:
        if not annotation.crowd:
            objects[annotation.category_id - 1].append(annotation)
    images = {image.id: image for image in part.images}
    rows = [chosen(images, of_class, per_class) for of_class in objects]
    crops, unreadable = _crops(dataset.root, rows, progress)
    totals = [len(of_class) for of_class in objects]
    title = f"{dataset.title}, {split}: {len(images)} images, {sum(totals)} objects, {len(rows)} classes"
    png = _draw(title, list(zip(dataset.classes, totals, rows, strict=True)), crops, per_class)
    shown = {name: len(row) for name, row in zip(dataset.classes, rows, strict=True)}
    return Sheet(png, shown, tuple(unreadable))


Choice = tuple[Image, Annotation]


def chosen(images: Mapping[int, Image], objects: Sequence[Annotation], count: int) -> list[Choice]:
    """The crops of a class: plain ones before small ones, one an image before a second of the same.

    Among equals a hash of the image's name and the box decides, which is as good as chance and always the same.
    """
    drawn = sorted(objects, key=lambda a: (min(a.box[2:]) < PLAIN, _lot(images[a.image_id].file, a.box)))
    seen: dict[int, int] = {}
    turns = {}
    for annotation in drawn:
        turns[annotation.id] = seen[annotation.image_id] = seen.get(annotation.image_id, 0) + 1
    drawn.sort(key=lambda a: (min(a.box[2:]) < PLAIN, turns[a.id]))
    return [(images[annotation.image_id], annotation) for annotation in drawn[:count]]


def _lot(file: str, box: Box) -> str:
    return hashlib.sha256(f"{file} {box}".encode("utf-8", "surrogatepass")).hexdigest()


def _crops(
    root: Path, rows: Sequence[Iterable[Choice]], progress: Progress
) -> tuple[dict[tuple[str, int], Pillow.Image], list[str]]:
    """The crops by image file and annotation id; the files that cannot be decoded."""
    wanted: dict[str, list[Annotation]] = {}
    for image, annotation in (choice for row in rows for choice in row):
        wanted.setdefault(image.file, []).append(annotation)
    found: dict[tuple[str, int], Pillow.Image] = {}
    unreadable = []
    for index, (file, boxes) in enumerate(wanted.items()):
        progress("cutting crops", index, len(wanted))
        try:
            picture = _opened(root / file)
        except (NoImageError, OSError):
            unreadable.append(file)
            continue
        for annotation in boxes:
            found[file, annotation.id] = _tile(picture, annotation)
    progress("cutting crops", len(wanted), len(wanted))
    return found, unreadable


def _opened(path: Path) -> Pillow.Image:
    """The picture in colours, turned as a viewer turns it, which is what boxes refer to."""
    from PIL import Image as Pictures
    from PIL import ImageOps

    with pillow_errors(), Pictures.open(path) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def _tile(picture: Pillow.Image, annotation: Annotation) -> Pillow.Image:
    """A square cut around a box, as large as a tile, the box drawn on it; grey beyond the border of the picture.

    Of run lengths the outline of the mask is drawn, too.
    """
    from PIL import Image as Pictures
    from PIL import ImageDraw

    x, y, w, h = annotation.box
    side = max(w, h) * (1 + 2 * MARGIN)
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    scale = TILE / side
    area = (max(left, 0.0), max(top, 0.0), min(left + side, picture.width), min(top + side, picture.height))
    tile = Pictures.new("RGB", (TILE, TILE), "#dddddd")
    size = (max(1, round((area[2] - area[0]) * scale)), max(1, round((area[3] - area[1]) * scale)))
    if area[2] > area[0] and area[3] > area[1]:
        part = picture.resize(size, Pictures.Resampling.BICUBIC, box=area)
        tile.paste(part, (round((area[0] - left) * scale), round((area[1] - top) * scale)))
    if (mask := pixels(annotation.segmentation)) is not None:
        _draw_outline(tile, mask, left, top, scale)
    corners = [(x - left) * scale, (y - top) * scale, (x + w - left) * scale - 1, (y + h - top) * scale - 1]
    ImageDraw.Draw(tile).rectangle(
        [corners[0], corners[1], max(corners[2], corners[0]), max(corners[3], corners[1])], outline=FRAME
    )
    return tile


def _draw_outline(tile: Pillow.Image, mask: npt.NDArray[np.bool_], left: float, top: float, scale: float) -> None:
    """Colour the tile's pixels that lie in the mask and have a neighbour that does not."""
    import numpy as np

    places = (np.arange(-1, TILE + 1) + 0.5) / scale
    rows, columns = np.floor(top + places).astype(int), np.floor(left + places).astype(int)
    there = np.ix_((rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1]))
    inside = np.zeros((TILE + 2, TILE + 2), np.bool_)
    inside[there] = mask[np.clip(rows, 0, mask.shape[0] - 1)][:, np.clip(columns, 0, mask.shape[1] - 1)][there]
    middle = inside[1:-1, 1:-1]
    edge = middle & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])
    tile.paste(OUTLINE, mask=_stencil(edge))


def _stencil(flags: npt.NDArray[np.bool_]) -> Pillow.Image:
    from PIL import Image as Pictures

    return Pictures.fromarray(flags.astype("uint8") * 255)


Row = tuple[str, int, list[Choice]]


def _draw(title: str, rows: list[Row], crops: dict[tuple[str, int], Pillow.Image], per_class: int) -> bytes:
    from PIL import Image as Pictures
    from PIL import ImageDraw

    step = TILE + GAP
    sheet = Pictures.new("RGB", (LABEL + per_class * step + GAP, HEAD + len(rows) * step + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    write(pen, (GAP * 2, GAP * 2), title, 15, sheet.width - GAP * 4, INK)
    for line, (name, total, choices) in enumerate(rows):
        top = HEAD + line * step
        pen.line([(0, top - GAP // 2), (sheet.width, top - GAP // 2)], "#e6e6e6")
        write(pen, (GAP * 2, top + TILE // 2 - 18), f"{line + 1} {name}", 15, LABEL - GAP * 4, INK)
        count = "no object" if total == 0 else "1 object" if total == 1 else f"{total} objects"
        write(pen, (GAP * 2, top + TILE // 2 + 3), count, 12, LABEL - GAP * 4, FAINT)
        for column, (image, annotation) in enumerate(choices):
            tile = crops.get((image.file, annotation.id))
            if tile is not None:
                sheet.paste(tile, (LABEL + column * step, top))
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()
