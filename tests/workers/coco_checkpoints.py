"""Runs in the environment `mmdet`: checkpoints of a Mask R-CNN R50-FPN of 80 classes, as MMEngine writes them.

`coco_checkpoints.py FOLDER SECTION`: SECTION is a recipe's `model` as JSON. Writes the files and, as JSON on standard
output, the name of the whole one, with what a model of 20 classes made of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MessageHub

from detui.engine.backends.mmdet.building import build
from detui.engine.backends.mmdet.weights import begin_with

FOLDER, SECTION = Path(sys.argv[1]), json.loads(sys.argv[2])
CLASSES = tuple(f"class{number}" for number in range(80))


class Dangerous:
    """Makes a folder when it is loaded in the usual way."""

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(FOLDER / "made"),)


def values(shapes: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Random, but quick: the same million numbers again and again."""
    block = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, like in shapes.items():
        times = -(-like.numel() // len(block))
        flat = block.repeat(max(times, 1))[: like.numel()]
        found[name] = flat.reshape(like.shape).to(like.dtype)
    return found


def write(name: str, state: dict[str, Any], **more: Any) -> str:
    hub = MessageHub.get_instance("coco")
    hub.update_scalar("train/loss", 0.5)
    hub.update_scalar("lr", torch.tensor(0.02))
    meta = {"epoch": 12, "iter": 87960, "dataset_meta": {"classes": CLASSES}}
    content = {"meta": meta, "state_dict": state, "message_hub": hub.state_dict(), **more}
    torch.save(content, FOLDER / name)
    return name


state = values(build(SECTION, 80, shapes=True).state_dict())
whole = FOLDER / write("whole.pth", state)
digits = hashlib.sha256(whole.read_bytes()).hexdigest()[:8]
whole = whole.rename(FOLDER / f"mask_rcnn_r50_fpn_1x_coco-{digits}.pth")
(FOLDER / "cut.pth").write_bytes(whole.read_bytes()[: int(0.6 * whole.stat().st_size)])
(FOLDER / f"cut-{digits}.pth").hardlink_to(FOLDER / "cut.pth")
flat = {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in state.items()}  # few bytes
write("faster.pth", {name: value for name, value in flat.items() if "mask_head" not in name})
write("malicious.pth", flat, optimizer=Dangerous())
backbone = {name.removeprefix("backbone."): value for name, value in flat.items() if name.startswith("backbone.")}
torch.save({**backbone, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, FOLDER / "resnet50.pth")

torch.manual_seed(1)
model = build(SECTION, 20)
transfer = begin_with(
    model, {**SECTION, "weights": str(whole)}, None, [f"kind{number}" for number in range(20)], seed=3
)
assert transfer is not None
json.dump({"whole": whole.name, "transfer": transfer.summary()}, sys.stdout)
