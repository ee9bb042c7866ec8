"""Detections on the same pictures for each arm: ground truth first, then one column an arm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from detui.engine.errors import DataError
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.mask_drawing import draw_mask
from detui.engine.run.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

T = TypeVar("T")

THRESHOLD = 0.25
"""Detections of lower confidence are not drawn; printed in the figure and in its caption."""
PICTURES = 4
ARMS = 4
"""Columns of one sheet; more arms make more sheets."""
GROUND_TRUTH = "ground truth"
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00", "#000000")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of boxes: what it shows, and its boxes by image."""

    title: str
    run: tuple[str, int, int] | None
    """Arm, seed and epoch; None for the ground truth."""
    boxes: Mapping[int, Sequence[Mapping[str, Any]]]
    highest: Mapping[int, float]
    """Image → its highest confidence, the threshold apart; empty for the ground truth."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One figure: the same pictures in every column."""

    root: Path
    images: Sequence[Mapping[str, Any]]
    classes: Mapping[int, str]
    columns: Sequence[Column]

    @property
    def runs(self) -> tuple[tuple[str, int, int], ...]:
        """Arm, seed and epoch of each column."""
        return tuple(column.run for column in self.columns if column.run)

    def key(self) -> list[Any]:
        """What the figure depends on, to tell whether it must be drawn again."""
        columns = [[c.title, sorted(c.boxes.items()), sorted(c.highest.items())] for c in self.columns]
        return [str(self.root), list(self.images), sorted(self.classes.items()), columns]


def sheets(facts: ExperimentFacts) -> list[Sheet]:
    """The sheets for an experiment, none before the first evaluation. Raises DetuiError for broken files."""
    return [sheet for shown, prepared in sources(facts) for sheet in _sheets(facts, shown, prepared)]


def _sheets(facts: ExperimentFacts, shown: Sequence[RunFacts], prepared: Path) -> list[Sheet]:
    truth, root = read_json(prepared / "val.json"), root_of(prepared)
    images = _pick(truth)
    wanted = {image["id"] for image in images}
    classes = {entry["id"]: str(entry["name"]) for entry in truth["categories"]}
    right = Column(GROUND_TRUTH, None, by_image(truth["annotations"], wanted), {})
    columns = [column(facts, run, wanted) for run in shown]
    return [Sheet(root, images, classes, [right, *group]) for group in groups(columns)]


def sources(facts: ExperimentFacts) -> list[tuple[list[RunFacts], Path]]:
    """For each data set that arms are judged on: the runs to show, one an arm, and where its prepared data lies."""
    found: dict[Path, list[RunFacts]] = {}
    for arm in facts.arms:
        prepared, run = facts.data_of(arm).get("prepared"), _shown(facts.of(arm))
        if prepared and run and not facts.frames:  # of frames there are no boxes in pixels
            found.setdefault(Path(prepared), []).append(run)
    return [(shown, prepared) for prepared, shown in found.items()]


def root_of(prepared: Path) -> Path:
    """The folder of the pictures of prepared data. Raises DetuiError for a broken file."""
    return Path(read_json(prepared / "dataset.json")["root"])


def groups(columns: Sequence[T]) -> list[Sequence[T]]:
    """The columns of each sheet, at most ARMS of them."""
    return [columns[start : start + ARMS] for start in range(0, len(columns), ARMS)]


def _shown(runs: Sequence[RunFacts]) -> RunFacts | None:
    return next((run for run in runs if run.chosen), None)


def _pick(truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pictures with boxes, evenly spread by id: the same for every arm and every refill."""
    used = {entry["image_id"] for entry in truth["annotations"]}
    images = sorted((image for image in truth["images"] if image["id"] in used), key=lambda image: image["id"])
    if len(images) <= PICTURES:
        return images
    return [images[(2 * place + 1) * len(images) // (2 * PICTURES)] for place in range(PICTURES)]


def predictions(facts: ExperimentFacts, run: RunFacts) -> Path:
    """The file of what a run's chosen checkpoint detected."""
    line = run.chosen or {}
    return facts.path / "runs" / run.name / "attempts" / str(line["attempt"]) / str(line["predictions"])


def predicted(path: Path) -> list[dict[str, Any]]:
    """The COCO results in a file. Raises OSError where it cannot be read, DataError where it is not whole."""
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"This is no whole JSON: {error}.", where=str(path)) from None
    return found


def column(facts: ExperimentFacts, run: RunFacts, wanted: set[int]) -> Column:
    """What a run's chosen checkpoint detected on the `wanted` images. Raises OSError, DataError as `predicted`."""
    line = run.chosen or {}
    found = predicted(predictions(facts, run))
    boxes = by_image((entry for entry in found if entry["score"] >= THRESHOLD), wanted)
    highest: dict[int, float] = {}
    for entry in found:
        highest[entry["image_id"]] = max(entry["score"], highest.get(entry["image_id"], 0.0))
    epoch = int(line["epoch"])
    title = f"{run.arm}\nseed {run.seed}, epoch {epoch}"
    return Column(title, (run.arm, run.seed, epoch), boxes, {number: highest.get(number, 0.0) for number in wanted})


def by_image(entries: Any, wanted: set[int]) -> dict[int, list[dict[str, Any]]]:
    """Image → its boxes, every wanted image having a list."""
    found: dict[int, list[dict[str, Any]]] = {number: [] for number in sorted(wanted)}
    for entry in entries:
        if entry["image_id"] in found:
            kept = {key: entry[key] for key in ("bbox", "category_id", "score", "area", "segmentation") if key in entry}
            found[entry["image_id"]].append(kept)
    return found


def draw(sheet: Sheet, label: str) -> Figure:
    """Draw one sheet. Raises OSError for a picture that cannot be read."""
    from matplotlib.patches import Patch

    figure, cells = grid_of(sheet.root, sheet.images, [column.title for column in sheet.columns])
    for axis, image, place in cells:
        column = sheet.columns[place]
        _detections(axis, column.boxes.get(image, ()), sheet)
        if column.run and not column.boxes.get(image):
            _say_none(axis, column.highest.get(image, 0.0))
    present = {entry["category_id"] for column in sheet.columns for boxes in column.boxes.values() for entry in boxes}
    handles = [Patch(facecolor="none", edgecolor=colour_of(sheet, number), linewidth=1.5, label=ascii_of(name))
               for number, name in sheet.classes.items() if number in present]  # fmt: skip
    finish(figure, handles[:24], f"detections with confidence of at least {THRESHOLD}", label, "  -  ")
    return figure


def grid_of(
    root: Path, images: Sequence[Mapping[str, Any]], titles: Sequence[str]
) -> tuple[Figure, list[tuple[Axes, int, int]]]:
    """The pictures, one row each, under the columns' titles; for every cell its image's id and its column."""
    from matplotlib.figure import Figure
    from PIL import Image

    rows, columns = len(images), len(titles)
    figure = Figure(figsize=(3.1 * columns, 2.5 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    cells: list[tuple[Axes, int, int]] = []
    for row, image in enumerate(images):
        with Image.open(root / image["file_name"]) as opened:
            pixels = opened.convert("RGB")
        for place, axis in enumerate(grid[row]):
            axis.imshow(pixels, interpolation="antialiased")
            axis.set(xticks=[], yticks=[], xlim=(0, pixels.width), ylim=(pixels.height, 0))
            cells.append((axis, image["id"], place))
        grid[row][0].set_ylabel(ascii_of(Path(image["file_name"]).name), fontsize=7)
    for axis, title in zip(grid[0], titles, strict=True):
        axis.set_title(ascii_of(title), fontsize=9)
    return figure, cells


def edged_box(box: Sequence[float], *, linewidth: float, **style: Any) -> Patch:
    """A rectangle around a box (x, y, width, height), edged in black to be seen on any picture."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    x, y, width, height = box
    edge = [withStroke(linewidth=linewidth + 0.8, foreground="black")]
    # Snapped to pixels, the black would stand on one side only.
    return Rectangle((x, y), width, height, fill=False, snap=False, path_effects=edge, linewidth=linewidth, **style)


def finish(figure: Figure, handles: Sequence[Patch], title: str, label: str, between: str) -> None:
    """The legend below; above, the title, and after `between` the label that says that a run is no result."""
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    text = f"{title}{between}{label}" if label else title
    figure.suptitle(text, fontsize=9, color="#b00020" if label else "black")


def _detections(axis: Axes, boxes: Sequence[Mapping[str, Any]], sheet: Sheet) -> None:
    """Each box with its confidence; one that has a mask as mask, with a thin box and the name of its class."""
    from matplotlib.patches import Rectangle

    height = axis.get_ylim()[0]
    for entry in sorted(boxes, key=lambda entry: entry.get("score", 1.0)):
        x, y, width, tall = entry["bbox"]
        colour = colour_of(sheet, entry["category_id"])
        masked = draw_mask(axis, entry.get("segmentation"), colour, linewidth=1.0)
        if not masked:
            axis.add_patch(Rectangle((x, y), width, tall, fill=False, edgecolor="black", linewidth=1.8))
        axis.add_patch(Rectangle((x, y), width, tall, fill=False, edgecolor=colour, linewidth=0.6 if masked else 1.1))
        said = [ascii_of(sheet.classes[entry["category_id"]])] if masked else []
        said += [f"{entry['score']:.2f}"] if "score" in entry else []
        if said:
            box = {"facecolor": colour, "edgecolor": "none", "pad": 0.4}
            place = (max(x, 0), max(y - 1, 0.05 * height))
            axis.text(*place, " ".join(said), fontsize=5, clip_on=True, va="bottom", bbox=box)


def _say_none(axis: Axes, highest: float) -> None:
    """An empty cell must not look like a forgotten one."""
    text = f"none of {THRESHOLD} or above\n(highest: {highest:.2f})" if highest else "no detection at all"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
    axis.text(0.5, 0.04, text, transform=axis.transAxes, ha="center", va="bottom", fontsize=7, bbox=box)


def colour_of(sheet: Sheet, category: int) -> str:
    """The colour of a class, the same on all pictures of a sheet."""
    return CLASS_COLOURS[list(sheet.classes).index(category) % len(CLASS_COLOURS)]


def ascii_of(text: str) -> str:
    """Text for a figure: no mathematics, and no sign that the font lacks."""
    return text.replace("$", "\\$").encode("ascii", "replace").decode()
