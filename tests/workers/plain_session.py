"""A session of Ultralytics as docs/ultralytics.md has it: `python plain_session.py CHECKPOINT`. Prints JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import detui.engine.backends.ultralytics.backbones  # noqa: F401


def main(path: str) -> dict[str, Any]:
    """Load a checkpoint, find something in a picture, and build its model anew from what it says of itself."""
    import numpy
    import torch
    from ultralytics import RTDETR
    from ultralytics.nn.tasks import RTDETRDetectionModel

    loaded = RTDETR(path)
    (found,) = loaded.predict(numpy.zeros((64, 64, 3), numpy.uint8), imgsz=64, conf=0.0, verbose=False, save=False)
    again = RTDETRDetectionModel(loaded.model.yaml, verbose=False).eval()
    again.load_state_dict(loaded.model.state_dict())
    loaded.model.model[-1].shapes = []  # the anchors that a head keeps were saved in half precision
    picture = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.no_grad():
        sums = [float(model.float().eval()(picture)[0].double().sum()) for model in (loaded.model, again)]
    return {"sums": sums, "found": len(found.boxes), "backbone": loaded.model.model[0].name}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
