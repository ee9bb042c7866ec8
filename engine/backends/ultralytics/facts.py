"""What `begin` says of the model that was built, and of the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from detui.engine.backends.ultralytics.architectures import OWN_BACKBONES
from detui.engine.backends.ultralytics.inputs import input_channels

SIDE = 64
"""Side of the picture that the levels are looked up with, in pixels."""


def model_facts(trainer: Any, name: str) -> dict[str, Any]:
    """Parameters, GFLOPs at the training size (None where they cannot be counted), layers.

    Also the channels of its pictures and, of RGB-D, how the depth filter really started; of RT-DETR its queries and
    decoder layers; of every model what `structure` finds. What it got from weights stands in the `stage` line.
    """
    from ultralytics.utils.torch_utils import get_flops, unwrap_model

    model = unwrap_model(trainer.model)
    flops = get_flops(model, trainer.args.imgsz)
    return {
        **made_of(model, name, trainer.args.imgsz),
        "gflops": round(float(flops), 3) or None,
        "depth_filter": trainer.depth_filter,
    }


def made_of(model: Any, name: str, imgsz: int) -> dict[str, Any]:
    """What a built model says by itself: parameters, layers, channels of its pictures, and what `structure` finds.

    Of RT-DETR its queries and decoder layers, too. `imgsz`: side of the square input, in pixels.
    """
    head = model.model[-1]
    told = {"queries": getattr(head, "num_queries", None),
            "decoder_layers": getattr(getattr(head, "decoder", None), "num_layers", None)}  # fmt: skip
    return {
        "name": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": len(list(model.modules())),
        "imgsz": imgsz,
        "channels": input_channels(model),
        **{fact: value for fact, value in told.items() if value is not None},
        **structure(model, name),
    }


def structure(model: Any, name: str) -> dict[str, Any]:
    """How a detector of Ultralytics is made up; {} where its dictionary does not say what the backbone is.

    `backbone`: what it is called, where that is known. `parameters_by_part`: of backbone, neck (RT-DETR: the encoder)
    and head (RT-DETR: the decoder); they add up to the model's. `backbone_convolutions`: layers of convolution in the
    backbone, which is how deep it is. `levels`: the channels that the neck takes from the backbone, `P3` at stride 8 to
    `P5` at stride 32. The weights, their statistics and the random generators stay as they are.
    """
    import torch

    rows = (getattr(model, "yaml", None) or {}).get("backbone")
    if not rows:
        return {}
    layers, count = list(model.model), len(rows)
    parts = {"backbone": layers[:count], "neck": layers[count:-1], "head": layers[-1:]}
    convolutions = sum(isinstance(one, torch.nn.Conv2d) for layer in parts["backbone"] for one in layer.modules())
    own = type(layers[0]).__name__ == "TimmBackbone"
    called = layers[0].name if own else OWN_BACKBONES.get(name)
    return {
        **({"backbone": called} if called else {}),
        "parameters_by_part": {part: sum(p.numel() for layer in its for p in layer.parameters())
                               for part, its in parts.items()},
        "backbone_convolutions": convolutions,
        "levels": _levels(model, count),
    }  # fmt: skip


def _levels(model: Any, count: int) -> dict[str, int]:
    """Level → channels of the backbone's outputs that the layers behind it take.

    {} for a model that so small a picture does not go through: it can train all the same.
    """
    layers = list(model.model)
    taken = {layer for one in layers[count:] for layer in _sources(one, int(one.i)) if layer < count}
    try:
        given = _outputs(model, layers[:count])
    except (RuntimeError, ValueError, AssertionError, IndexError):
        return {}
    # A layer that gives several features (a list of them) is picked from by a later one, which counts here.
    features = [given[layer] for layer in taken if getattr(given[layer], "ndim", 0) == 4]
    shapes = sorted((tuple(one.shape[1:]) for one in features), key=lambda one: -one[1])
    return {f"P{(SIDE // height).bit_length() - 1}": width for width, height, _ in shapes}


def _outputs(model: Any, layers: Sequence[Any]) -> list[Any]:
    """What each of the first layers of a model gives for a black picture."""
    import torch

    example = next(model.parameters())
    given: list[Any] = []
    with _evaluating(model), torch.no_grad():
        picture = torch.zeros(1, input_channels(model), SIDE, SIDE, device=example.device, dtype=example.dtype)
        for layer in layers:
            inputs = [picture if source < 0 else given[source] for source in _sources(layer, len(given))]
            given.append(layer(inputs if isinstance(layer.f, list) else inputs[0]))
    return given


def _sources(layer: Any, index: int) -> list[int]:
    """The numbers of the layers that a layer takes, from 0; -1 for the picture."""
    sources = layer.f if isinstance(layer.f, list) else [layer.f]
    return [index + source if source < 0 else source for source in sources]


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Within this, no statistic of a normalisation moves and nothing random is drawn."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
