"""From a recipe's section to the detector, its weights, and what `begin` says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from detui.engine.backends.torch import state
from detui.engine.backends.torch.fusion.aqr import AqrOptions
from detui.engine.backends.torch.fusion.cameras import TimmBackbone
from detui.engine.backends.torch.fusion.detector import DetectorOptions, FusionDetector
from detui.engine.backends.torch.gain import gain_bounds
from detui.engine.errors import RunError

NOT_OPTIONS = frozenset({"weights", "balance"})
"""Fields of a recipe's AQR that are not parameters of the module."""
SECTIONS = ("model", "train")


def build(section: Mapping[str, Any], classes: int) -> FusionDetector:
    """The detector of a recipe's `model` section, initialised."""
    aqr = section["aqr"]
    options = {name: value for name, value in aqr.items() if name not in NOT_OPTIONS}
    return FusionDetector(
        DetectorOptions(
            classes=classes,
            space=tuple(section["space"]),
            channels=section["channels"],
            bev_grid=section["bev_grid"],
            camera_backbone=section["camera"]["backbone"],
            ray_points=section["ray_points"],
            queries=section["queries"],
            denoising_groups=section["denoising_groups"],
            layers=section["layers"],
            heads=section["heads"],
            hidden=section["hidden"],
            aqr=None if aqr["weights"] == "off" else AqrOptions(weights=aqr["weights"], **options),
        )
    )


def starting_weights(model: FusionDetector, section: Mapping[str, Any], before: Path | None) -> dict[str, Any]:
    """Give a model that starts its weights: those of the stage `before`, or what the recipe names.

    Returns what `begin` says of it. Raises RunError for a file that does not fit.
    """
    if before is not None:
        return {"transferred": evaluated_weights(model, before)}
    if section["weights"]:
        return {"transferred": evaluated_weights(model, Path(section["weights"]))}
    backbone = model.cameras.backbone
    if section["camera"]["weights"] and isinstance(backbone, TimmBackbone):
        return {"backbone_weights": backbone.load(Path(section["camera"]["weights"]))}
    return {}


def evaluated_weights(model: nn.Module, path: Path) -> int:
    """Load the weights of a checkpoint that are evaluated: its moving average, where it has one.

    Returns how many tensors that were. Raises RunError where they are another model's.
    """
    told = state.load(path)
    weights = told.get("average") or told["model"]
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:400]
        raise RunError(f"The weights are another model's: {text}", where=str(path)) from error
    return len(weights)


def model_facts(model: FusionDetector, section: Mapping[str, Any]) -> dict[str, Any]:
    """Name, backbone of the cameras, parameters by part, queries, layers, and the bounds of AQR's gain."""
    modules = {"cameras": model.cameras, "pillars": model.pillars, "encoding": model.encoding, "aqr": model.aqr}
    parts = {name: _count(part) for name, part in modules.items() if part is not None}
    heads = _count(model.decoder.heads)
    parts |= {"decoder": _count(model.decoder) - heads, "heads": heads, "queries": model.reference.numel()}
    options = model.options.aqr
    gain = gain_bounds(options.max_weight_clamp, options.residual_weight, options.mode) if options else None
    return {
        "name": section["name"],
        "backbone": section["camera"]["backbone"],
        "parameters": _count(model),
        "parameters_by_part": parts,
        "queries": model.options.queries,
        "decoder_layers": model.options.layers,
        "aqr_gain": list(gain) if gain else None,
    }


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's fields as `train.lr` → value."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                walk(f"{prefix}.{name}", inner)
        else:
            flat[prefix] = value

    for section in SECTIONS:
        walk(section, config[section])
    return flat


def used(loop: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields; those that something else could have changed are read back from what is about to train."""
    flat, model = asked(config), loop.model
    groups = {group["name"]: group for group in loop.optimizer.param_groups}
    flat |= {
        "model.queries": model.reference.shape[0],
        "model.layers": len(model.decoder.layers),
        "train.lr": groups["head"]["initial_lr"],
        "train.backbone_lr": round(groups["backbone"]["initial_lr"] / groups["head"]["initial_lr"], 12),
        "train.weight_decay": groups["head"]["weight_decay"],
        "train.batch": loop.batches.size * loop.batches.processes,
        "train.amp": "bf16" if loop.options.amp else False,
        "train.average": loop.average.decay if loop.average else 0.0,
    }
    if model.aqr is not None:
        renderer, modulator = model.aqr.render, model.aqr.modulate
        flat |= {
            "model.aqr.residual_weight": modulator.residual_weight,
            "model.aqr.mode": modulator.mode,
            "model.aqr.sigma": renderer.sigma,
            "model.aqr.kernel": renderer.kernel,
            "model.aqr.saturate": renderer.saturate,
        }
    return flat
