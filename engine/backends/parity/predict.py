"""Detections of pictures as COCO results in original pixels: what detui's evaluator judges, whatever the framework.

Class index c is category c + 1, and pictures are called by the ids of the prepared truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detui.engine.backends.parity.data import Batch, Pictures
from detui.engine.backends.parity.detections import detections
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.run.files import encode, write_whole
from detui.engine.worker.stop import StopRequested


def predict(
    detector: Detector, pictures: Pictures, batch: int, threads: int = 1, stopped: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """What a detector finds in pictures, the best of each first. `stopped`: a stop raises StopRequested."""
    found: list[dict[str, Any]] = []
    detector.train(False)
    for one in pictures.in_order(batch, threads):
        if stopped():
            raise StopRequested
        logits, boxes = answer(detector, one.images)
        found += rows(one, logits, boxes)
    return found


def answer(detector: Detector, images: Array) -> tuple[Array, Array]:
    """What it says of images [b, 3, side, side]: class logits [b, q, classes], boxes [b, q, 4] in 0–1."""
    f = detector.network.framework
    with f.no_gradients():
        said = detector(f.tensor(images)).layers[-1]
        return f.array(said.logits), f.array(said.boxes)


def rows(batch: Batch, logits: Array, boxes: Array) -> Iterator[dict[str, Any]]:
    """COCO results of a batch."""
    for image, found in zip(batch.ids, detections(logits, boxes, list(batch.sizes)), strict=True):
        whole: Iterable[tuple[Any, Any, Any]] = zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
        for (x0, y0, x1, y1), score, label in whole:
            box = [round(number, 3) for number in (x0, y0, x1 - x0, y1 - y0)]
            yield {"image_id": image, "category_id": label + 1, "bbox": box, "score": round(score, 5)}


def write(path: Path, results: list[dict[str, Any]]) -> None:
    """The file, whole or not at all. Raises RunError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encode(results))


@contextmanager
def weights_of(detector: Detector, other: Mapping[str, Array] | None) -> Iterator[None]:
    """Within it the detector has other weights, such as the average of its own; None: its own."""
    if other is None:
        yield
        return
    own = detector.network.state()
    detector.network.load(other)
    try:
        yield
    finally:
        detector.network.load(own)
