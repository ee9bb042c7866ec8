"""What is wrong with a configuration before anything starts. Nothing heavy here."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from typing import Any

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.checking import error, few_steps, unfinished_warm_up, warning
from detui.engine.backends.torch.schema import Aqr

CELL = 16
"""Pixels along an edge of a cell of the pictures' maps."""
KEPT, CONVOLUTIONS, PILLARS, INNER = 3, 3, 4, 65
"""Of a cell: vectors that attention keeps in each layer, and those of the encoder's convolutions; pillars, and numbers
of one."""
MUCH, ABSURD = 24, 192
"""GiB that are warned of, and those that no device has."""


def problems(context: CheckContext) -> list[Problem]:
    """Contradictions between fields, what cannot be computed, and packages that are absent."""
    model, train, frames = context.config["model"], context.config["train"], context.train_images
    found = [
        *_installed(model["camera"]["backbone"]),
        *_camera(model),
        *_aqr(model["aqr"]),
        *_amp(train, context.device),
        *_pictures(train, context.pictures),
        *_memory(model, train["batch"] // context.devices),
    ]
    if not frames:
        return found
    steps = train["epochs"] * -(-frames * train["repeat"] // train["batch"])
    wrong = [*_batch(train, frames), *unfinished_warm_up(train, steps)]
    return [*found, *(wrong or few_steps(train, steps))]


def _installed(backbone: str) -> list[Problem]:
    needed = ("torch", *(() if backbone == "small" else ("timm",)))
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    text = f"The package {', '.join(absent)} is not installed in this environment."
    hint = "pip install -c constraints.txt 'detui[torch]'"
    return [Problem(level="error", text=text, hint=hint, missing=True)] if absent else []


def _camera(model: Mapping[str, Any]) -> list[Problem]:
    camera, found = model["camera"], []
    if camera["weights"] and camera["backbone"] == "small":
        text = "Our own small network has no weights of its own to read."
        found.append(error("model.camera.weights", text, "--set model.camera.backbone=resnet50"))
    if camera["weights"] and model["weights"]:
        text = "The weights of the whole detector (model.weights) would replace those of its backbone."
        found.append(error("model.camera.weights", text, "name one of the two files"))
    return found


def _aqr(aqr: Mapping[str, Any]) -> list[Problem]:
    """Settings that would be dropped silently, and those that do nothing."""
    found = []
    if aqr["weights"] == "off":
        changed = [name for name, field in Aqr.model_fields.items() if name != "weights" and aqr[name] != field.default]
        if changed:
            text = f"AQR is off, and does not read {', '.join(changed)}."
            found.append(Problem(level="warning", text=text, where="model.aqr", hint="leave them out of this arm"))
        return found
    if aqr["weights"] == "constant" and aqr["balance"]:
        text = "Constant weights have the balance that they have."
        found.append(error("model.aqr.balance", text, "set model.aqr.lidar and model.aqr.camera instead"))
    if aqr["clamp_from"] is not None and aqr["clamp_from"] > aqr["max_weight_clamp"]:
        text = "The clamp would shrink: it begins above the largest value."
        found.append(error("model.aqr.clamp_from", text, f"--set model.aqr.clamp_from={aqr['max_weight_clamp']}"))
    if aqr["max_weight_clamp"] < aqr["min_weight"]:
        text = "Values below min_weight are 0, and all others are clamped to less than it."
        found.append(error("model.aqr.min_weight", text, "--set model.aqr.min_weight=0.01"))
    return found


def _batch(train: Mapping[str, Any], frames: int) -> list[Problem]:
    epoch, repeat = frames * train["repeat"], train["repeat"]
    if train["batch"] <= epoch:
        return []
    often = f", {repeat} times each" if repeat > 1 else ""
    text = f"A batch of {train['batch']} is more than the {frames} frames there are to train on{often}."
    return [error("train.batch", text, f"--set train.batch={epoch}")]


def _amp(train: Mapping[str, Any], device: str) -> list[Problem]:
    if device != "cpu" or not train["amp"]:
        return []
    text = f"{train['amp']} mixed precision needs a GPU, and this run is planned on the CPU."
    return [error("train.amp", text, "--set train.amp=false")]


def _pictures(train: Mapping[str, Any], pictures: tuple[int, int, int] | None) -> list[Problem]:
    """Pictures of which scaling and cropping leave less than a cell of the map."""
    if pictures is None:
        return []
    height, width = round(pictures[1] * train["image_scale"]), round(pictures[2] * train["image_scale"])
    left = height - round(height * train["crop_top"])
    if min(left, width) >= CELL:
        return []
    was = f"pictures of {pictures[2]} × {pictures[1]} pixels become {width} × {left}"
    if min(height, width) < CELL:
        least = math.ceil(1000 * CELL / min(pictures[1:])) / 1000
        where, hint = "train.image_scale", f"--set train.image_scale={min(least, 1.0):g}"
    else:
        where, hint = "train.crop_top", f"--set train.crop_top={math.floor(100 * (1 - CELL / height)) / 100:g}"
    return [error(where, f"Nothing is left to look at: {was}, less than a cell of {CELL} pixels.", hint)]


def _memory(model: Mapping[str, Any], batch: int) -> list[Problem]:
    """What is kept of the BEV map for the way back: its pillars, its features, and keys, values and their input in each
    layer of the decoder. `batch`: of one device.
    """
    tokens = model["bev_grid"] ** 2
    vectors = KEPT * model["layers"] + CONVOLUTIONS
    need = 4 * batch * tokens * (vectors * model["channels"] + PILLARS * INNER) / 2**30
    if need < MUCH:
        return []
    text = (
        f"A map of {model['bev_grid']} × {model['bev_grid']} cells is {tokens:,} tokens in each of {model['layers']} "
        f"layers: about {need:,.0f} GiB with a batch of {batch}, beside all else."
    )
    hint = "--set model.bev_grid=180, or a smaller train.batch"
    return [(error if need > ABSURD else warning)("model.bev_grid", text, hint)]
