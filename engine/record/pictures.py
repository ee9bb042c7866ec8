"""Detections on the same pictures for each arm: ground truth first, then one column an arm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.errors import DataError
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.run.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    shown = [run for arm in facts.arms if (run := _shown(facts.of(arm)))]
    prepared = (facts.info.get("data") or {}).get("prepared")
    if not shown or not prepared:
        return []
    truth = read_json(Path(prepared) / "val.json")
    root = Path(read_json(Path(prepared) / "dataset.json")["root"])
    images = _pick(truth)
    wanted = {image["id"] for image in images}
    classes = {entry["id"]: str(entry["name"]) for entry in truth["categories"]}
    right = Column(GROUND_TRUTH, None, _by_image(truth["annotations"], wanted), {})
    columns = [_column(facts, run, wanted) for run in shown]
    groups = [columns[start : start + ARMS] for start in range(0, len(columns), ARMS)]
    return [Sheet(root, images, classes, [right, *group]) for group in groups]


def _shown(runs: Sequence[RunFacts]) -> RunFacts | None:
    return next((run for run in runs if run.chosen), None)


def _pick(truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pictures with boxes, evenly spread by id: the same for every arm and every refill."""
    used = {entry["image_id"] for entry in truth["annotations"]}
    images = sorted((image for image in truth["images"] if image["id"] in used), key=lambda image: image["id"])
    if len(images) <= PICTURES:
        return images
    return [images[(2 * place + 1) * len(images) // (2 * PICTURES)] for place in range(PICTURES)]


def _column(facts: ExperimentFacts, run: RunFacts, wanted: set[int]) -> Column:
    line = run.chosen or {}
    path = facts.path / "runs" / run.name / "attempts" / str(line["attempt"]) / str(line["predictions"])
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"This is no whole JSON: {error}.", where=str(path)) from None
    boxes = _by_image((entry for entry in found if entry["score"] >= THRESHOLD), wanted)
    highest: dict[int, float] = {}
    for entry in found:
        highest[entry["image_id"]] = max(entry["score"], highest.get(entry["image_id"], 0.0))
    epoch = int(line["epoch"])
    title = f"{run.arm}\nseed {run.seed}, epoch {epoch}"
    return Column(title, (run.arm, run.seed, epoch), boxes, {number: highest.get(number, 0.0) for number in wanted})


def _by_image(entries: Any, wanted: set[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {number: [] for number in sorted(wanted)}
    for entry in entries:
        if entry["image_id"] in found:
            kept = {key: entry[key] for key in ("bbox", "category_id", "score") if key in entry}
            found[entry["image_id"]].append(kept)
    return found


def draw(sheet: Sheet, label: str) -> Figure:
    """Draw one sheet. Raises OSError for a picture that cannot be read."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from PIL import Image

    rows, columns = len(sheet.images), len(sheet.columns)
    figure = Figure(figsize=(3.1 * columns, 2.5 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, image in enumerate(sheet.images):
        with Image.open(sheet.root / image["file_name"]) as opened:
            pixels = opened.convert("RGB")
        for axis, column in zip(grid[row], sheet.columns, strict=True):
            _cell(axis, pixels, column.boxes.get(image["id"], ()), sheet)
            if column.run and not column.boxes.get(image["id"]):
                _say_none(axis, column.highest.get(image["id"], 0.0))
        grid[row][0].set_ylabel(_ascii(Path(image["file_name"]).name), fontsize=7)
    for axis, column in zip(grid[0], sheet.columns, strict=True):
        axis.set_title(_ascii(column.title), fontsize=9)
    present = {entry["category_id"] for column in sheet.columns for boxes in column.boxes.values() for entry in boxes}
    handles = [Patch(facecolor="none", edgecolor=_colour(sheet, number), linewidth=1.5, label=_ascii(name))
               for number, name in sheet.classes.items() if number in present]  # fmt: skip
    figure.legend(handles=handles[:24], loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    title = f"detections with confidence of at least {THRESHOLD}" + (f"  -  {label}" if label else "")
    figure.suptitle(title, fontsize=9, color="#b00020" if label else "black")
    return figure


def _cell(axis: Axes, pixels: Any, boxes: Sequence[Mapping[str, Any]], sheet: Sheet) -> None:
    from matplotlib.patches import Rectangle

    axis.imshow(pixels, interpolation="antialiased")
    axis.set(xticks=[], yticks=[])
    for entry in sorted(boxes, key=lambda entry: entry.get("score", 1.0)):
        x, y, width, height = entry["bbox"]
        colour = _colour(sheet, entry["category_id"])
        axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="black", linewidth=1.8))
        axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.1))
        if "score" in entry:
            box = {"facecolor": colour, "edgecolor": "none", "pad": 0.4}
            place = (max(x, 0), max(y - 1, 0.05 * pixels.height))
            axis.text(*place, f"{entry['score']:.2f}", fontsize=5, clip_on=True, va="bottom", bbox=box)
    axis.set_xlim(0, pixels.width)
    axis.set_ylim(pixels.height, 0)


def _say_none(axis: Axes, highest: float) -> None:
    """An empty cell must not look like a forgotten one."""
    text = f"none of {THRESHOLD} or above\n(highest: {highest:.2f})" if highest else "no detection at all"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
    axis.text(0.5, 0.04, text, transform=axis.transAxes, ha="center", va="bottom", fontsize=7, bbox=box)


def _colour(sheet: Sheet, category: int) -> str:
    return CLASS_COLOURS[list(sheet.classes).index(category) % len(CLASS_COLOURS)]


def _ascii(text: str) -> str:
    return text.replace("$", "\\$").encode("ascii", "replace").decode()
