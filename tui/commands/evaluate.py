"""`detui evaluate`: score a checkpoint of a run, or anybody's COCO results file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.grids import formatted, print_grids
from detui.tui.output import print_json, say

if TYPE_CHECKING:
    from detui.engine.evaluate import Result

_FILE = click.Path(path_type=Path)


@click.command("evaluate", short_help="Score a checkpoint of a run, or any file of detections.")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--checkpoint", metavar="best|last|EPOCH|FILE", help="What to score.  [default: best]")
@click.option("--split", metavar="val|test", help="On which images.  [default: val]")
@click.option("--device", metavar="cpu|GPU", default="cpu", show_default=True, help="Where it predicts, if it must.")
@click.option("--trust", is_flag=True, help="Load a checkpoint that no run of yours here has written: that runs code.")
@click.option(
    "--predictions", type=_FILE, metavar="FILE", help="A COCO results file in original pixels, or boxes of frames."
)
@click.option("--annotations", type=_FILE, metavar="FILE", help="The ground truth that goes with it.")
@click.option("--metric", type=click.Choice(["coco", "visdrone", "nuscenes"]),
              help="[default: what the ground truth calls for]")  # fmt: skip
@click.option("--evaluator", "library", type=click.Choice(["hotcoco", "pycocotools", "detui", "nuscenes-devkit"]),
              help="What computes. Of COCO's metric hotcoco, or the reference pycocotools; of nuScenes' detui, or the "
              "reference nuscenes-devkit in its environment.")  # fmt: skip
@formatted
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(
    session: Session,
    /,
    run: str | None,
    checkpoint: str | None,
    split: str | None,
    device: str,
    trust: bool,
    predictions: Path | None,
    annotations: Path | None,
    metric: str | None,
    library: str | None,
    form: str,
    as_json: bool,
) -> None:
    """Score a checkpoint of RUN on a split of its data, or --predictions against --annotations, without a run.

    AP, AR, AP by size and class, and precision and recall at IoU 0.5 at the confidence of the best F1, in original
    pixels. All classes of the ground truth count, with at most 100 detections an image and class; with at most 500,
    and VisDrone's own numbers beside them, where the ground truth has ignore regions. A ground truth of frames with
    cameras and LiDAR is judged in the manner of nuScenes: mAP, NDS and five errors.
    """
    if run is not None and (predictions or annotations):
        raise click.UsageError("A RUN has predictions and annotations of its own: name it, or the files, not both.")
    if (run is None) == (predictions is None) or (predictions is None) != (annotations is None):
        raise click.UsageError("Name a RUN, or --predictions FILE with --annotations FILE.")
    if run is None and (checkpoint or split):
        raise click.UsageError("--checkpoint and --split are for a RUN.")
    if run is not None:
        from detui.engine.scoring import score

        how: dict[str, Any] = {"device": device, "trust": trust, "library": library}
        found = score(session.workspace.run(run), checkpoint or "best", split or "val", **how)
        predictions, annotations = found.predictions, found.truth
        epoch = f", epoch {found.epoch}" if found.epoch is not None else ""
        about = {"checkpoint": str(found.checkpoint), "epoch": found.epoch, "split": found.split}
        say(f"{found.checkpoint}{epoch}, on {found.split}")
        result, masks = found.result, found.masks
    else:
        about, masks = {}, None
    assert predictions is not None and annotations is not None
    about |= {"predictions": str(predictions), "annotations": str(annotations)}
    if run is None or metric not in (None, result.metric):
        from detui.engine.evaluate import evaluate_file

        result = evaluate_file(annotations, predictions, library, metric=metric, masks=masks)
    _print(result, about, form, as_json)


def _print(result: Result, about: dict[str, Any], form: str, as_json: bool) -> None:
    counts = {"images": result.images, "boxes": result.boxes, "detections": result.detections}
    if as_json:
        by = {"metric": result.metric, "evaluator": result.evaluator, "max_dets": result.max_dets}
        print_json({**about, **counts, **by, "values": result.values})
        return
    from detui.engine.evaluate.tables import grids

    print_grids(grids(result.values, _note(result)), form)


def _note(result: Result) -> str:
    """What a reader must know to read the numbers."""
    if result.metric == "nuscenes":
        return (
            f"{result.images} frames, {result.boxes} boxes and {result.detections} detections within the ranges of"
            f" their classes, boxes without points left out; at most {result.max_dets} detections a frame;"
            f" {result.evaluator}. A class without boxes counts as AP 0 and errors of 1: ceiling is what perfect"
            " detections would score here."
        )
    note = (
        f"{result.images} images, {result.boxes} boxes, {result.detections} detections; at most {result.max_dets} an"
        f" image and class; {result.evaluator}. Precision and recall at IoU 0.5, at the confidence of the best F1."
    )
    if result.metric == "visdrone":
        note += (
            " What lies in ignore regions by half is dropped, and not counted here. `official`: as VisDrone's toolkit"
            " computes it, with the whole curve and classes weighted by their images."
        )
    return note
