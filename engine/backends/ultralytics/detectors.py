"""RT-DETR on a backbone of timm, and with another neck and decoder, as a model dictionary of Ultralytics.

Nothing is copied: neck and decoder are read from the `rtdetr-l.yaml` of the installed Ultralytics, and their layer
numbers are moved to where they stand behind a shorter backbone.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.backends.ultralytics.architectures import BUILT, PUBLISHED, is_built, stem
from detui.engine.errors import RunError

STRIDES = (8, 16, 32)
"""Of the levels that the neck takes: P3, P4, P5."""
PROBE = 64
"""Side of the picture that a backbone is asked with, in pixels: two cells of the coarsest level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What a backbone of timm gives at stride 8, 16 and 32."""

    indices: tuple[int, ...]
    """Which of its outputs those are."""
    channels: tuple[int, ...]
    """Their channels."""


def dictionary(model: Mapping[str, Any], channels: int) -> dict[str, Any] | None:
    """The model that a recipe's section describes, for pictures of `channels`; None where Ultralytics has it ready.

    Raises RunError for a backbone that timm does not have or that does not fit, and for a version of Ultralytics whose
    `rtdetr-l.yaml` is put together in another way.
    """
    built, decoder = is_built(model["name"]), model.get("decoder")
    if not built and decoder is None:
        return None
    from ultralytics.nn.tasks import yaml_model_load

    made: dict[str, Any] = yaml_model_load(f"{PUBLISHED}.yaml")
    rows = made["head"]
    if built:
        rows = _on_timm(made, backbone_of(model), channels)
        made["yaml_file"] = f"{stem(model['name'])}.yaml"
    made["head"] = [_resized(row, decoder) for row in rows] if decoder else rows
    return made


def backbone_of(model: Mapping[str, Any]) -> str:
    """timm's name of the backbone of a built model."""
    return str(BUILT[stem(model["name"])] or model["backbone"]["name"])


def _on_timm(made: dict[str, Any], name: str, channels: int) -> list[Any]:
    """Put a backbone of timm into `made`; returns the head's rows, with their layer numbers moved."""
    import detui.engine.backends.ultralytics.backbones  # noqa: F401 - makes the layer known

    found = levels(name)
    old, rows = len(made["backbone"]), made["head"]
    taken = sorted({layer for row in rows for layer in _sources(row) if 0 <= layer < old})
    if len(taken) != len(STRIDES) - 1 or rows[0][0] != -1:
        message = f"{PUBLISHED}.yaml of the installed Ultralytics takes its backbone's layers {taken} in another way."
        raise RunError(message, where="model.name", hint="pip install 'ultralytics>=8.4.190,<8.5'")
    options = {"name": name, "levels": list(found.indices), "channels": channels}
    made["backbone"] = [[-1, 1, "TimmBackbone", [options]]]
    made["backbone"] += [[0, 1, "Index", [width, index]] for index, width in enumerate(found.channels)]
    # The last level is the layer before the head, which -1 names; the others are named by number.
    places = {layer: index + 1 for index, layer in enumerate(taken)}
    shift = len(made["backbone"]) - old

    def moved(layer: int) -> int:
        return layer if layer < 0 else places.get(layer, layer + shift)

    return [[_each(row[0], moved), *row[1:]] for row in rows]


def _sources(row: Sequence[Any]) -> list[int]:
    return row[0] if isinstance(row[0], list) else [row[0]]


def _each(layers: Any, moved: Callable[[int], int]) -> Any:
    return [moved(layer) for layer in layers] if isinstance(layers, list) else moved(layers)


def _resized(row: Sequence[Any], decoder: Mapping[str, Any]) -> list[Any]:
    """A row of the head with the sizes that a recipe asks for."""
    source, repeats, module, arguments = copy.deepcopy(list(row))
    hidden, heads, inner = decoder["hidden"], decoder["heads"], decoder["feedforward"]
    if module in ("Conv", "RepC3"):
        arguments[0] = hidden
        repeats = decoder["neck_blocks"] if module == "RepC3" else repeats
    elif module == "AIFI":
        arguments[:2] = [inner, heads]
    elif module == "RTDETRDecoder":
        # Classes, hidden, queries, sampled points, heads, layers, feed-forward, dropout, activation, layer that
        # predicts, denoising queries: the order of RTDETRDecoder's arguments without the channels that are put in.
        arguments = [arguments[0], hidden, decoder["queries"], decoder["points"], heads, decoder["layers"], inner,
                     0.0, None, -1, decoder["denoising"]]  # fmt: skip
    return [source, repeats, module, arguments]


def levels(name: str) -> Levels:
    """The levels of a backbone of timm, found without its weights. Raises RunError where it cannot feed RT-DETR."""
    import timm
    import torch

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3) or ["mobilenetv4_hybrid_medium"]
        raise _unfit(f"timm {timm.__version__} has no model {name!r}.", f"near names: {', '.join(near)}")
    try:
        with torch.device("meta"):  # shapes alone: no weights, no random numbers, no time
            reductions = timm.create_model(name, pretrained=False, features_only=True).feature_info.reduction()
            indices = tuple(reductions.index(stride) for stride in STRIDES if stride in reductions)
            if len(indices) < len(STRIDES):
                message = f"{name} has features at strides {reductions}, and RT-DETR takes those at 8, 16 and 32."
                raise _unfit(message)
            net = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices).eval()
            given = [tuple(one.shape[1:]) for one in net(torch.empty(1, 3, PROBE, PROBE))]
    except (RuntimeError, AssertionError, ValueError, TypeError, NotImplementedError, AttributeError) as error:
        text = " ".join(str(error).split())[:200]
        message = f"{name} cannot be a backbone for pictures of {PROBE} × {PROBE} ({type(error).__name__}): {text}"
        raise _unfit(message) from error
    widths = tuple(net.feature_info.channels())
    if given != [(width, PROBE // stride, PROBE // stride) for width, stride in zip(widths, STRIDES, strict=True)]:
        raise _unfit(f"{name} gives features of {given}, not channels × height × width at strides 8, 16 and 32.")
    return Levels(indices=indices, channels=widths)


def _unfit(message: str, hint: str = "name a convolutional one, such as mobilenetv4_conv_medium") -> RunError:
    return RunError(message, where="model.backbone.name", hint=hint)
