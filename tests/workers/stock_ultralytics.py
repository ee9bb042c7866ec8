"""Ultralytics alone, in a process that cannot import detui.

`weights FOLDER` writes checkpoints of networks that were only initialised; `validate CHECKPOINT DATA_YAML OUT`
validates as a user would. The last line that is printed is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RTDETR = """\
nc: 80
backbone:
  - [-1, 1, HGStem, [16, 32]]
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [64, 3, 2]]
head:
  - [[1, 2, 3], 1, RTDETRDecoder, [nc, 64, 30, 4, 4, 2]]
"""
"""An RT-DETR that trains in seconds: 30 queries, two decoder layers, the stem of rtdetr-l."""


def weights(folder: Path) -> dict[str, str]:
    """RGB checkpoints of yolo12n and of the small RT-DETR: random numbers, in the files of trained ones.

    The statistics of their normalisation fit the activations: else nothing comes out of them but a constant, until
    hundreds of steps have moved those statistics.
    """
    import torch
    from ultralytics import RTDETR as RTDETRModel
    from ultralytics import YOLO

    torch.manual_seed(0)
    (folder / "rtdetr-small.yaml").write_text(RTDETR)
    for name, made in (("yolo", YOLO("yolo12n.yaml")), ("rtdetr", RTDETRModel(str(folder / "rtdetr-small.yaml")))):
        norms = [module for module in made.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        made.model.train()(torch.rand(16, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3))
        made.save(folder / f"{name}.pt")
    return {}


def validate(checkpoint: str, data: str, out: str) -> dict[str, Any]:
    """Validate on a data YAML, and predict on one array of four planes."""
    import numpy
    from ultralytics import YOLO

    model = YOLO(checkpoint)
    found = model.val(
        data=data, imgsz=64, batch=8, conf=0.001, iou=0.7, max_det=300, save_json=True, plots=False, device="cpu",
        workers=0, project=out, name="val", exist_ok=True,
    )  # fmt: skip
    picture = numpy.random.default_rng(0).integers(0, 256, (64, 64, 4), numpy.uint8)
    (predicted,) = model.predict(picture, imgsz=64, conf=0.001, verbose=False, save=False)
    return {
        "AP": float(found.box.map),
        "predictions": str(Path(found.save_dir) / "predictions.json"),
        "of_an_array": list(predicted.orig_img.shape),
        "foreign": sorted(
            {type(m).__module__.partition(".")[0] for m in model.model.modules()} - {"torch", "ultralytics"}
        ),
    }


def leave_detui() -> None:
    """Mend torchvision, which is the host's business, and forget how detui is imported."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    for name in [name for name in sys.modules if name.partition(".")[0] == "detui"]:
        del sys.modules[name]
    sys.modules["detui"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    leave_detui()
    command, *words = sys.argv[1:]
    print(json.dumps(weights(Path(words[0])) if command == "weights" else validate(*words)))
