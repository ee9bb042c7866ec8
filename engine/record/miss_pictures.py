"""The highest-loss misses as a grid of crops: one box a row, one column an arm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from detui.engine.errors import DataError
from detui.engine.record.failure_pictures import Sheet
from detui.engine.record.mask_drawing import draw_mask
from detui.engine.record.misses import FLOOR, Best, highest
from detui.engine.record.pictures import ascii_of, edged_box, finish, grid_of, predicted, root_of
from detui.engine.record.small_objects import around
from detui.engine.run.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

STYLES: dict[str, dict[str, Any]] = {
    "ground truth": {"edgecolor": "#F0E442", "linewidth": 1.8, "linestyle": (0, (2.5, 1.5))},
    "best detection of its class": {"edgecolor": "#56B4E9", "linewidth": 1.5, "linestyle": "-"},
}
SIDES, LEAST = 5.0, 64.0
"""A crop is so many times as wide as its box, and at least so many pixels of the original image."""


def draw(sheet: Sheet, label: str) -> Figure:
    """Draw one sheet. Raises OSError for a file that cannot be read, DataError for a split without boxes."""
    truth = read_json(sheet.prepared / "val.json")
    misses = highest(truth, [predicted(subject.predictions) for subject in sheet.subjects])
    if not misses:
        raise DataError("The validation split has no boxes.", where=str(sheet.prepared / "val.json"))
    images = {entry["id"]: entry for entry in truth["images"]}
    classes = {entry["id"]: str(entry["name"]) for entry in truth["categories"]}
    shown = [images[miss.box["image_id"]] for miss in misses]
    titles = ["{}\nseed {}, epoch {}".format(*column.run) for column in sheet.columns]
    figure, cells = grid_of(root_of(sheet.prepared), shown, titles)
    places = [sheet.subjects.index(column) for column in sheet.columns]
    for number, (axis, image, place) in enumerate(cells):
        miss = misses[number // len(titles)]
        _crop(axis, miss.box["bbox"], images[image])
        _boxes(axis, miss.box, miss.best[places[place]])
        if place == 0:
            axis.set_ylabel(ascii_of(f"{classes[miss.box['category_id']]}\n{axis.get_ylabel()}"), fontsize=7)
    handles = [_box((0, 0, 1, 1), name, label=name) for name in STYLES]
    finish(figure, handles, "highest-loss misses: no fair sample", label, "\n")
    return figure


def _crop(axis: Axes, box: Any, image: Any) -> None:
    x, y, width, height = box
    side = max(LEAST, SIDES * max(width, height))
    view = around(x + width / 2, y + height / 2, side, side, image["width"], image["height"])
    axis.set(xlim=(view[0], view[2]), ylim=(view[3], view[1]))


def _boxes(axis: Axes, box: Any, best: Best) -> None:
    names = list(STYLES)
    said = "nothing of its class overlaps"
    if best.detection is not None:
        _masked(axis, best.detection, names[1])
        score = float(best.detection["score"])
        said = f"confidence {score:.2f}, IoU {best.product / score:.2f}"
    _masked(axis, box, names[0])
    sign = ">= " if best.product < FLOOR else ""
    axis.set_xlabel(f"loss {sign}{math.floor(100 * best.loss) / 100:.2f} ({said})", fontsize=7)


def _masked(axis: Axes, entry: Any, name: str) -> None:
    """An annotation or a detection in the style of that name: its mask, where it has one, and its box."""
    style = STYLES[name]
    masked = draw_mask(
        axis,
        entry.get("segmentation"),
        style["edgecolor"],
        linewidth=style["linewidth"],
        linestyle=style["linestyle"],
    )
    axis.add_patch(_box(entry["bbox"], name, **({"linewidth": 0.6} if masked else {})))


def _box(box: Any, name: str, **more: Any) -> Patch:
    """A rectangle in the style of that name."""
    return edged_box(box, clip_on=True, **{**STYLES[name], **more})
