"""How the first convolution of a network starts on RGB-D: `python rgbd_starts.py FOLDER`, where yolo.pt, rtdetr.pt and
rtdetr-small.yaml lie. Prints JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rgbd_pictures import draw

from detui.engine.errors import RunError

CASES = {
    **{how: ("yolo12n", "yolo.pt", "rgbd", how) for how in ("mean", "zero", "random")},
    "scratch": ("yolo12n", None, "rgbd", "mean"),
    "rtdetr": ("rtdetr-small.yaml", "rtdetr.pt", "rgbd", "mean"),
    "four": ("yolo12n", "four.pt", "rgbd", "zero"),
    "cut": ("yolo12n", "four.pt", "rgb", "mean"),
    "plain": ("yolo12n", "yolo.pt", "rgb", "mean"),
}
"""Model, weights, inputs, depth_filter."""


def main(folder: Path) -> None:
    """Build each model as a training does."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.backends.ultralytics.offline import go_offline

    go_offline(folder / "config")
    ensure_torchvision()
    data = draw(folder / "prepared")
    print(json.dumps({name: start(folder, name, data, *case) for name, case in CASES.items()}))


def start(
    folder: Path, name: str, data: dict[str, Any], model: str, weights: str | None, inputs: str, how: str
) -> dict[str, Any]:
    """What the first convolution holds before the first step."""
    import torch
    from ultralytics.utils.torch_utils import get_flops

    from detui.engine.backends.ultralytics.plan import UltralyticsConfig
    from detui.engine.backends.ultralytics.train import _trainer

    named = str(folder / model) if model.endswith(".yaml") else model
    section = {"name": named, "inputs": inputs, "depth_filter": how}
    config = UltralyticsConfig.model_validate({"model": section, "train": {"imgsz": 64}}).model_dump(mode="json")
    stage = SimpleNamespace(name=name, config=config, data=None)
    spec: Any = SimpleNamespace(stages=[stage], data=data, seed=0, device=SimpleNamespace(kind="cpu"))
    path = folder / weights if weights else None
    trainer = _trainer(spec, 0, folder / "attempt", path, None)
    try:
        trainer.setup_model()
    except RunError as error:
        return {"error": str(error)}
    if name == "random":
        torch.save({"model": trainer.model}, folder / "four.pt")
    now = _first(trainer.model)
    given = _first(torch.load(path, weights_only=False)["model"]).float() if path else None
    planes = now[:, :3]
    return {
        "said": trainer.depth_filter,
        "shape": list(now.shape),
        "parameters": sum(one.numel() for one in trainer.model.parameters()),
        "gflops": get_flops(trainer.model, 64),
        "rgb_as_given": given is not None and torch.equal(planes, given[:, :3]),
        "all_as_given": given is not None and torch.equal(now, given),
        "from_mean": float((now[:, 3:] - planes.mean(1, keepdim=True)).abs().max()) if now.shape[1] == 4 else None,
        "largest": float(now[:, 3:].abs().max()) if now.shape[1] == 4 else None,
    }


def _first(model: Any) -> Any:
    import torch

    return next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d)).weight.detach()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
