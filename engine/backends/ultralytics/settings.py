"""What was asked, what Ultralytics was told, and what it then really used.

Ultralytics overrides silently: `optimizer=auto` replaces lr0, a CPU switches
AMP and loader processes off, an out-of-memory halves the batch, a size is
rounded to the stride. Each field is therefore read back from the trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics.readback import augmentation
from detui.engine.backends.ultralytics.size_weights import SizeWeights
from detui.engine.errors import RunError

NOT_ARGUMENTS = frozenset({"accept", "val"})
"""Fields of ours that Ultralytics does not read. `val` is switched per epoch."""
GAINS = ("box", "cls", "dfl")
"""Fields of the loss that Ultralytics reads; the others are size_weights.py's."""

CONFIDENCE, IOU, DETECTIONS = 0.001, 0.7, 300
BY_METRIC = {"visdrone": 500}
"""Detections of a picture at most where the data is judged by a metric that counts more of them than 300."""


def detections(data: Mapping[str, Any] | None) -> int:
    """Detections of a picture at most that are asked for: what the metric of the run's data can use."""
    return BY_METRIC.get((data or {}).get("metric", "coco"), DETECTIONS)


def predictions(trainer: Any) -> dict[str, Any]:
    """How predictions are made, for every arm, with the limit of detections as the trainer has it.

    A confidence of 0.25 costs points of AP; fp16 would differ between arms.
    """
    return {"confidence": CONFIDENCE, "nms_iou": IOU, "max_det": trainer.args.max_det, "precision": "fp32"}


def arguments(
    config: Mapping[str, Any], *, seed: int, data: Path, folder: Path, device: str, max_det: int = DETECTIONS
) -> dict[str, Any]:
    """The keyword arguments of an Ultralytics trainer for one stage: every field of the recipe, and how it predicts."""
    train = {key: value for key, value in config["train"].items() if key not in NOT_ARGUMENTS}
    return {
        **train,
        **config["augment"],
        **{name: config["loss"][name] for name in GAINS},
        "amp": train["amp"] or False,
        "freeze": train["freeze"] or None,
        "model": config["model"]["name"],
        "data": str(data),
        "seed": seed,
        "device": device,
        "save_dir": str(folder),
        "exist_ok": True,
        "plots": False,
        "save": True,
        "save_period": -1,
        "val": True,
        "conf": CONFIDENCE,
        "iou": IOU,
        "max_det": max_det,
        "verbose": True,
        "pretrained": False,
    }


def asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's fields as `train.lr0` → value, with the weight decay that its own rule makes effective."""
    flat = {f"{section}.{key}": value for section in ("train", "augment") for key, value in config[section].items()}
    for name in NOT_ARGUMENTS:
        del flat[f"train.{name}"]
    flat |= {f"loss.{name}": config["loss"][name] for name in GAINS}
    if by_size := config["loss"].get("by_size"):
        flat |= SizeWeights(by_size).used()
    train = config["train"]
    accumulate = max(round(train["nbs"] / train["batch"]), 1)
    flat["train.accumulate"] = accumulate
    flat["train.weight_decay_effective"] = train["weight_decay"] * train["batch"] * accumulate / train["nbs"]
    return flat


def used(trainer: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields, read back from a trainer whose training is about to start: `augment` from its transforms."""
    args = trainer.args
    built = augmentation(trainer.train_loader.dataset)
    flat = {f"augment.{key}": built.get(key) for key in config["augment"]}
    flat |= {f"loss.{name}": getattr(args, name) for name in GAINS}
    flat |= {f"train.{key}": getattr(args, key) for key in config["train"] if key not in NOT_ARGUMENTS}
    weights = _group(trainer.optimizer, "weight")
    import torch

    flat |= {
        "train.optimizer": type(trainer.optimizer).__name__,
        "train.lr0": weights.get("initial_lr", weights["lr"]),
        "train.momentum": _momentum(trainer, weights),
        "train.weight_decay_effective": weights["weight_decay"],
        "train.accumulate": trainer.accumulate,
        "train.warmup_epochs": min(args.warmup_epochs, max(trainer.epochs - 1, 0)),
        "train.epochs": trainer.epochs,
        "train.batch": trainer.batch_size,
        "train.amp": (args.amp if args.amp == "bf16" else "fp16") if trainer.amp else False,
        "train.deterministic": torch.are_deterministic_algorithms_enabled(),
        "train.workers": trainer.train_loader.num_workers,
        "train.freeze": args.freeze or 0,
    }
    return flat


def _momentum(trainer: Any, group: Mapping[str, Any]) -> Any:
    """Of the optimizer. Resuming within the warm-up, SGD's group holds a value on its way: then the target counts."""
    if "betas" in group:
        return group["betas"][0]
    return trainer.args.momentum if trainer.start_epoch else group.get("momentum")


def check_images(trainer: Any, data: Mapping[str, Any]) -> None:
    """Raise RunError when Ultralytics left out images: unseen validation images would score as misses."""
    for role, loader in (("train", trainer.train_loader), ("val", trainer.test_loader)):
        wanted = data["splits"][role]["images"]
        found = len(loader.dataset)
        if found != wanted:
            message = f"Ultralytics takes {found} of the {wanted} {role} images; its log names those it left out."
            raise RunError(message, where=f"data.{role}", hint="detui data check NAME --decode finds damaged images")


def check(wanted: Mapping[str, Any], got: Mapping[str, Any], accept: list[str]) -> None:
    """Raise RunError when a used value differs from the asked one and the recipe does not accept that by name."""
    differing = [name for name, value in wanted.items() if not same(value, got.get(name))]
    refused = [name for name in differing if name.split(".", 1)[1] not in accept]
    if not refused:
        return
    lines = [f"{name}: asked {wanted[name]!r}, Ultralytics would use {got.get(name)!r}" for name in refused]
    names = ",".join(dict.fromkeys([*accept, *(name.split(".", 1)[1] for name in refused)]))
    raise RunError(
        "Ultralytics would not train with what was asked:\n  " + "\n  ".join(lines),
        hint=f"set {refused[0]} to the value it would use, or accept it by name: --set train.accept=[{names}]",
    )


def same(first: Any, second: Any) -> bool:
    """Equal, with a relative tolerance of 1e-9 for numbers."""
    if isinstance(first, bool) or isinstance(second, bool) or first is None or second is None:
        return first == second or (not first and not second)
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return abs(first - second) <= 1e-9 * max(abs(first), abs(second), 1e-12)
    return bool(first == second)


def learning_rates(optimizer: Any) -> dict[str, float]:
    """The rate of each parameter group: `lr/all`, `lr/all.bias`, `lr/all.norm`."""
    names = {"weight": "lr/all", "muon": "lr/all", "bias": "lr/all.bias", "bn": "lr/all.norm"}
    return {
        names.get(group.get("param_group"), "lr/all"): float(group["lr"]) for group in reversed(optimizer.param_groups)
    }


def _group(optimizer: Any, name: str) -> Any:
    return next((g for g in optimizer.param_groups if g.get("param_group") == name), optimizer.param_groups[0])
