"""Detections as COCO results in original pixels: boxes, and masks as compressed run lengths.

Class index c is category c + 1, and pictures are called by the ids of the prepared truth: the file needs no look-up
table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.mmdet.data import whole
from detui.engine.run.files import write_whole
from detui.engine.worker.stop import StopRequested


def detect(model: Any, loader: Any, stopped: Callable[[], bool] = lambda: False) -> list[dict[str, Any]]:
    """What a detector finds in the pictures of a loader; the detector goes back to training if it was.

    `stopped`: asked before each batch; a stop raises StopRequested.
    """
    import torch

    training = model.training
    found: list[dict[str, Any]] = []
    model.eval()
    try:
        with torch.no_grad():
            for batch in loader:
                if stopped():
                    raise StopRequested
                for sample in model.val_step(batch):
                    found += rows(sample)
    finally:
        model.train(training)
    return found


def rows(sample: Any) -> Iterator[dict[str, Any]]:
    """COCO results of one picture. `sample`: a DetDataSample, its boxes and masks in pixels of the original picture."""
    instances, image = sample.pred_instances, int(sample.img_id)
    boxes, scores, labels = (getattr(instances, name).tolist() for name in ("bboxes", "scores", "labels"))
    masks = instances.masks.cpu().numpy() if "masks" in instances else None
    for number, ((x1, y1, x2, y2), score, label) in enumerate(zip(boxes, scores, labels, strict=True)):
        entry = {
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": [round(x1, 3), round(y1, 3), round(x2 - x1, 3), round(y2 - y1, 3)],
            "score": round(score, 5),
        }
        yield entry if masks is None else {**entry, "segmentation": run_lengths(masks[number])}


def run_lengths(mask: Any) -> dict[str, Any]:
    """A mask (height × width, boolean) in COCO's compressed form: `size`, and `counts` as text."""
    import numpy
    from pycocotools import mask as coco

    told: Mapping[str, Any] = coco.encode(numpy.asfortranarray(mask, dtype=numpy.uint8))
    return {"size": [int(side) for side in told["size"]], "counts": told["counts"].decode("ascii")}


def write_predictions(path: Path, results: list[dict[str, Any]]) -> None:
    """COCO results, whole or absent. Raises RunError when they cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(results).encode())


def make_loader(settings: Mapping[str, Any]) -> Any:
    """A loader of all pictures that is used now and then: its processes end with each pass."""
    from mmengine.config import ConfigDict
    from mmengine.runner import Runner

    loader = Runner.build_dataloader(ConfigDict({**settings, "persistent_workers": False}), seed=0)
    whole(loader.sampler)  # the first of several devices judges alone
    return loader
