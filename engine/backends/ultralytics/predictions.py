"""The validator's detections as COCO results in original pixels.

Images of a prepared data set are called by their id (`000000000012.png`), and
class index c is category c + 1: the file needs no look-up table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detui.engine.run.files import write_whole


class Collector:
    """Listens to a validator and keeps each detection of its last pass."""

    def __init__(self, validator: Any) -> None:
        """Wraps `update_metrics`, the one method that sees detections and their image together."""
        self.validator = validator
        self.results: list[dict[str, Any]] = []
        self.active = False
        self._update = validator.update_metrics
        validator.update_metrics = self._collect

    def begin(self, active: bool) -> None:
        """Forget the last pass; collect the next one if `active`."""
        self.results, self.active = [], active

    def _collect(self, predictions: list[dict[str, Any]], batch: dict[str, Any]) -> None:
        self._update(predictions, batch)
        if self.active:
            self.results += results(self.validator, predictions, batch)


def results(validator: Any, predictions: list[dict[str, Any]], batch: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO results of a batch, after the validator's post-processing, in original pixels."""
    found = []
    for index, prediction in enumerate(predictions):
        about = validator._prepare_batch(index, batch)
        scaled = validator.scale_preds(validator._prepare_pred(prediction), about)
        found += _results(int(Path(about["im_file"]).stem), scaled)
    return found


def _results(image_id: int, prediction: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO results of one image. `bboxes`: (N, 4) xyxy in original pixels; `conf`, `cls`: (N,)."""
    rows = zip(prediction["bboxes"].tolist(), prediction["conf"].tolist(), prediction["cls"].tolist(), strict=True)
    return [
        {
            "image_id": image_id,
            "category_id": int(cls) + 1,
            "bbox": [round(x1, 3), round(y1, 3), round(x2 - x1, 3), round(y2 - y1, 3)],
            "score": round(score, 5),
        }
        for (x1, y1, x2, y2), score, cls in rows
    ]


def write_predictions(path: Path, results: list[dict[str, Any]]) -> None:
    """COCO results, whole or absent. Raises RunError when they cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(results).encode())
