"""Detections of small objects: the pictures with most of them, looked at where most of them lie, one column an arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from detui.engine.data.density import SMALL
from detui.engine.record import pictures
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.run.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEEN = 1 / 12
"""The side of a usual small object is to be at least this part of what is shown; smaller ones are zoomed in on."""
NEAREST = 1 / 5
"""A view is never less than this part of the picture's sides."""

Window = tuple[float, float, float, float]
"""Left, top, right and bottom of a view, in pixels of the original image."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One figure: the same views in every column."""

    shown: pictures.Sheet
    windows: Mapping[int, Window]
    """Image → the part of it that is shown."""

    @property
    def runs(self) -> tuple[tuple[str, int, int], ...]:
        """Arm, seed and epoch of each column."""
        return self.shown.runs

    def key(self) -> list[Any]:
        """What the figure depends on, to tell whether it must be drawn again."""
        return [*self.shown.key(), sorted(self.windows.items())]


def sheets(facts: ExperimentFacts) -> list[Sheet]:
    """The sheets; none before the first evaluation, or where nothing is small. Raises DetuiError for broken files."""
    return [sheet for shown, prepared in pictures.sources(facts) for sheet in _sheets(facts, shown, prepared)]


def _sheets(facts: ExperimentFacts, shown: Sequence[RunFacts], prepared: Path) -> list[Sheet]:
    from detui.engine.evaluate.regions import drop

    truth = read_json(prepared / "val.json")
    judged = drop(truth, ())[0]["annotations"]
    small = [entry for entry in judged if is_small(entry) and not entry.get("iscrowd")]
    counts = Counter(entry["image_id"] for entry in small)
    most = sorted(counts, key=lambda image: (-counts[image], image))[: pictures.PICTURES]
    if not most:
        return []
    images = sorted((one for one in truth["images"] if one["id"] in most), key=lambda one: most.index(one["id"]))
    boxes = {image: [entry["bbox"] for entry in small if entry["image_id"] == image] for image in most}
    windows = {one["id"]: window(one["width"], one["height"], boxes[one["id"]]) for one in images}
    classes = {entry["id"]: str(entry["name"]) for entry in truth["categories"]}
    right = pictures.Column(pictures.GROUND_TRUTH, None, pictures.by_image(judged, set(most)), {})
    columns = [pictures.column(facts, run, set(most)) for run in shown]
    root = pictures.root_of(prepared)
    return [Sheet(pictures.Sheet(root, images, classes, [right, *group]), windows)
            for group in pictures.groups(columns)]  # fmt: skip


def is_small(entry: Mapping[str, Any]) -> bool:
    """Whether an annotation or a detection is small: by its area, or its box's where it says none."""
    area = entry.get("area")
    return float(entry["bbox"][2] * entry["bbox"][3] if area is None else area) < SMALL


def window(width: float, height: float, boxes: Sequence[Sequence[float]]) -> Window:
    """The view of a picture with most of its small boxes' centres; the whole of it where they are large enough.

    It has the picture's proportions and lies within it; of equal ones, that around the first box.
    """
    side = median(max(box[2], box[3]) for box in boxes)
    part = min(1.0, max(NEAREST, side / SEEN / max(width, height)))
    if part == 1.0:
        return (0.0, 0.0, float(width), float(height))
    centres = [(box[0] + box[2] / 2, box[1] + box[3] / 2) for box in boxes]
    views = [around(x, y, part * width, part * height, width, height) for x, y in centres]
    return max(views, key=lambda view: sum(_holds(view, x, y) for x, y in centres))


def around(x: float, y: float, wide: float, tall: float, width: float, height: float) -> Window:
    """The view of that size around a place, moved to lie within a picture of `width` × `height`."""
    wide, tall = min(wide, width), min(tall, height)
    left, top = min(max(0.0, x - wide / 2), width - wide), min(max(0.0, y - tall / 2), height - tall)
    return (left, top, left + wide, top + tall)


def _holds(view: Window, x: float, y: float) -> bool:
    return view[0] <= x <= view[2] and view[1] <= y <= view[3]


def draw(sheet: Sheet, label: str) -> Figure:
    """Draw one sheet. Raises OSError for a picture that cannot be read."""
    from matplotlib.patches import Patch

    shown = sheet.shown
    figure, cells = pictures.grid_of(shown.root, shown.images, [column.title for column in shown.columns])
    for axis, image, place in cells:
        column = shown.columns[place]
        _boxes(axis, column.boxes.get(image, ()), shown, sheet.windows[image])
    present = {entry["category_id"] for column in shown.columns for boxes in column.boxes.values() for entry in boxes
               if is_small(entry)}  # fmt: skip
    names = {number: name for number, name in shown.classes.items() if number in present}
    handles = [Patch(facecolor="none", edgecolor=pictures.colour_of(shown, number), linewidth=1.5,
                     label=pictures.ascii_of(name)) for number, name in names.items()]  # fmt: skip
    handles = [*handles[:23], Patch(facecolor="none", edgecolor=OTHER, linewidth=0.7, label="not small")]
    title = f"small objects (below 32 x 32 px), confidence of at least {pictures.THRESHOLD}"
    pictures.finish(figure, handles, title, label, "  -  ")
    return figure


OTHER = "#bbbbbb"
"""Colour of boxes that are not small."""


def _boxes(axis: Axes, boxes: Sequence[Mapping[str, Any]], shown: pictures.Sheet, view: Window) -> None:
    """The boxes of a cell, small ones in the colour of their class above the others; how many are in view below."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = view
    axis.set(xlim=(left, right), ylim=(bottom, top))
    count = 0
    for entry in sorted(boxes, key=lambda entry: (is_small(entry), entry.get("score", 1.0))):
        x, y, width, height = entry["bbox"]
        if not is_small(entry):
            axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=OTHER, linewidth=0.7))
            continue
        count += _holds(view, x + width / 2, y + height / 2)
        colour = pictures.colour_of(shown, entry["category_id"])
        axis.add_patch(pictures.edged_box(entry["bbox"], edgecolor=colour, linewidth=1.2))
    axis.set_xlabel(f"{count} small in view", fontsize=7)
