"""What a training really does to its pictures and weights, read from what was built and not from what was asked.

Ultralytics keeps `args.mosaic` as it was when mosaic ends, and a warm-up changes rates that no argument tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_READ: dict[str, dict[str, str]] = {
    "Mosaic": {"mosaic": "p"},
    "MixUp": {"mixup": "p"},
    "CutMix": {"cutmix": "p"},
    "CopyPaste": {"copy_paste": "p"},
    "RandomPerspective": {name: name for name in ("degrees", "translate", "scale", "shear", "perspective")},
    "RandomHSV": {"hsv_h": "hgain", "hsv_s": "sgain", "hsv_v": "vgain"},
    "Format": {"bgr": "bgr"},
}
"""Class of a transform of Ultralytics → field of a recipe's `augment` → attribute that holds it."""
_FLIPS = {"vertical": "flipud", "horizontal": "fliplr"}


def augmentation(dataset: Any) -> dict[str, Any]:
    """The fields of `augment` as the transforms of a training data set have them now; a step that is absent is not in.

    `albumentations`: whether that package changes the pictures besides.
    """
    found: dict[str, Any] = {"albumentations": False}
    for step in _steps(dataset.transforms):
        kind = type(step).__name__
        found |= {field: getattr(step, attribute) for field, attribute in _READ.get(kind, {}).items()}
        if kind == "RandomFlip":
            found[_FLIPS[step.direction]] = step.p
        elif kind == "Albumentations":
            found["albumentations"] = step.transform is not None
    return found


def _steps(transforms: Any) -> Iterator[Any]:
    """The single transforms, out of what groups or wraps them."""
    for step in transforms.transforms:
        inner = getattr(step, "transform", None) if type(step).__name__ == "ColoursOnly" else step
        yield from _steps(inner) if hasattr(inner, "transforms") else (inner,)


def first_step(trainer: Any, rates: dict[str, float]) -> dict[str, Any]:
    """What a stage's first step used, asked right after it.

    `lr`: rate of each parameter group. `augment`: of the transforms that made its batch. `warmup_steps`: steps from the
    stage's start until the rates follow the schedule. `mosaic_epochs`: epochs of the stage with mosaic, mix-up, cut-mix
    and copy-paste; those after them are without.
    """
    closing = int(trainer.args.close_mosaic or 0)
    return {
        "lr": rates,
        "augment": augmentation(trainer.train_loader.dataset),
        "warmup_steps": int(trainer._get_warmup_iterations(len(trainer.train_loader))),
        "mosaic_epochs": max(0, int(trainer.epochs) - closing),
    }
