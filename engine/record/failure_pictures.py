"""Failures on the same pictures for each arm, one column an arm: those on which all together did worst."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.errors import DataError
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.failures import Box, Detections, Verdict, judge, worst
from detui.engine.record.mask_drawing import draw_mask
from detui.engine.record.pictures import edged_box, finish, grid_of, groups, predicted, predictions, root_of, sources
from detui.engine.run.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

KINDS: dict[str, dict[str, Any]] = {
    "missed": {"edgecolor": "#F0E442", "linewidth": 1.6, "linestyle": (0, (2.5, 1.5))},
    "false alarm": {"edgecolor": "#D55E00", "linewidth": 1.6, "linestyle": "-"},
    "found": {"edgecolor": "#56B4E9", "linewidth": 0.8, "linestyle": "-"},
}
"""How each kind of box is drawn among the failures: by colour, and by line for those who see none."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One arm among the failures: what it detected, and from which confidence on that counts."""

    run: tuple[str, int, int]
    """Arm, seed and epoch."""
    confidence: float
    """That of its best F1."""
    predictions: Path

    @property
    def title(self) -> str:
        """What stands above its column."""
        arm, seed, epoch = self.run
        return f"{arm}\nseed {seed}, epoch {epoch}, confidence >= {self.confidence:g}"

    def detections(self) -> Detections:
        """Those that count. Raises DataError, OSError for a file that cannot be read."""
        return [entry for entry in predicted(self.predictions) if entry["score"] >= self.confidence]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One figure of failures; which pictures it shows is found out when it is drawn, because that takes a matching."""

    prepared: Path
    subjects: Sequence[Subject]
    """All arms on these data: the pictures are chosen by all, and so the same on every sheet."""
    columns: Sequence[Subject]
    """Those of this sheet."""

    @property
    def runs(self) -> tuple[tuple[str, int, int], ...]:
        """Arm, seed and epoch of each column."""
        return tuple(column.run for column in self.columns)

    def key(self) -> list[Any]:
        """What the figure depends on, to tell whether it must be drawn again."""
        files = [self.prepared / "dataset.json", self.prepared / "val.json", *(s.predictions for s in self.subjects)]
        contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        return [contents, [[s.run, s.confidence] for s in self.subjects], self.runs]


def sheets(facts: ExperimentFacts) -> list[Sheet]:
    """The sheets of failures, none before the first evaluation. Raises DataError where no confidence is known."""
    found = [(prepared, [_subject(facts, run) for run in shown]) for shown, prepared in sources(facts)]
    return [Sheet(prepared, subjects, group) for prepared, subjects in found for group in groups(subjects)]


def _subject(facts: ExperimentFacts, run: RunFacts) -> Subject:
    line = run.chosen or {}
    confidence = line["values"].get("val/F1_confidence")
    if confidence is None:
        raise DataError(
            f"The evaluation of epoch {line['epoch']} has no val/F1_confidence, which says what detections count.",
            where=str(facts.path / run.source(line).file),
        )
    return Subject((run.arm, run.seed, int(line["epoch"])), float(confidence), predictions(facts, run))


def draw(sheet: Sheet, label: str) -> Figure:
    """Draw one sheet. Raises OSError for a file that cannot be read, DataError where nobody failed."""
    truth = read_json(sheet.prepared / "val.json")
    said = {subject: subject.detections() for subject in sheet.subjects}
    chosen = worst(truth, said.values())
    if not chosen:
        raise DataError("No arm has missed a box or raised a false alarm.", where=str(sheet.prepared / "val.json"))
    images = sorted((entry for entry in truth["images"] if entry["id"] in chosen), key=lambda e: chosen.index(e["id"]))
    verdicts = [judge(truth, said[column], chosen) for column in sheet.columns]
    figure, cells = grid_of(root_of(sheet.prepared), images, [column.title for column in sheet.columns])
    for axis, image, place in cells:
        _failures(axis, verdicts[place][image])
    handles = [_box((0, 0, 1, 1), kind, label=kind) for kind in KINDS]
    finish(figure, handles, "most failures at IoU 0.5: no fair sample", label, "\n")
    return figure


def _failures(axis: Axes, verdict: Verdict) -> None:
    """What was found lies below what was not; the count stands under the picture."""
    order = ("found", "false", "missed")
    for said, segmentation in sorted(verdict.masks, key=lambda one: order.index(one[0])):
        style = KINDS["false alarm" if said == "false" else said]
        draw_mask(axis, segmentation, style["edgecolor"], linewidth=style["linewidth"], linestyle=style["linestyle"])
    # Where all that is drawn has a mask, its boxes only say which parts belong together.
    whole = len(verdict.masks) == len(verdict.found) + len(verdict.false) + len(verdict.missed)
    thin = {"linewidth": 0.5} if whole else {}
    for kind, boxes in (("found", verdict.found), ("false alarm", verdict.false), ("missed", verdict.missed)):
        for box in boxes:
            axis.add_patch(_box(box, kind, **thin))
    missed, found = len(verdict.missed), len(verdict.found)
    axis.set_xlabel(f"missed {missed} of {missed + found}, false {len(verdict.false)}", fontsize=7)


def _box(box: Box, kind: str, **more: Any) -> Patch:
    """A rectangle in the manner of its kind."""
    return edged_box(box, **{**KINDS[kind], **more})
