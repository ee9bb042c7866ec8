"""What enters the network: three channels, or four where depth is stacked on RGB, and how the fourth one starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.errors import RunError

RGB, RGBD = 3, 4
"""Channels of a picture: R, G, B, and D behind them."""


def reads_depth(config: Mapping[str, Any]) -> bool:
    """Whether a stage trains on RGB-D. Runs from before there was a choice do not."""
    return bool(config["model"].get("inputs") == "rgbd")


def input_channels(model: Any) -> int:
    """Channels of the pictures that a model of Ultralytics takes, as it was built; 3 where an old one does not say."""
    built = getattr(model, "yaml", None) or {}
    return int(built.get("channels") or built.get("ch") or RGB)


def start_inputs(model: Any, weights: Any | None, how: str, source: str) -> str | None:
    """Start the first convolution of a model that was just built, after Ultralytics loaded what fits of `weights`.

    RGB filters are those of the weights, to the bit, where they fit. The depth plane of each filter is, by `how`, the
    `mean` of its three RGB planes (of the random ones, from scratch), `zero`, or `random` as the network was
    initialised. `source`: what the weights are called. Returns what was done, None for a model that takes RGB alone.
    Raises RunError for weights whose channels would be dropped.
    """
    import torch

    channels = input_channels(model)
    if weights is not None:
        _check_channels(input_channels(weights), channels)
    if channels != RGBD:
        return None
    name, convolution = _first_convolution(model)
    taken = _taken_over(name, convolution, weights)
    if taken is not None and taken.shape[1] == RGBD:
        return f"taken over from {source}"
    filters = convolution.weight
    with torch.no_grad():
        if taken is not None:  # Ultralytics does this for YOLO alone
            filters[:, :RGB] = taken.to(filters)
        if how == "mean":
            filters[:, RGB:] = filters[:, :RGB].mean(1, keepdim=True)
        elif how == "zero":
            filters[:, RGB:] = 0
    beside = f"the RGB filters of {source}" if taken is not None else "random RGB filters"
    return f"mean of {beside}" if how == "mean" else f"{how}, beside {beside}"


def _first_convolution(model: Any) -> tuple[str, Any]:
    """Name and module of the convolution that RGB-D enters. Raises RunError where it is not the model's first one."""
    import torch

    name, first = next((n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d))
    if first.in_channels != RGBD:
        message = f"The model's first convolution, {name}, takes {first.in_channels} channels: where would depth enter?"
        raise RunError(message, where="model.inputs", hint="--set model.inputs=rgb")
    return name, first


def _taken_over(name: str, convolution: Any, weights: Any | None) -> Any | None:
    """The first convolution's filters (filters, channels, height, width) in the weights, where they are its own."""
    given = weights.state_dict().get(f"{name}.weight") if weights is not None else None
    wanted = convolution.weight.shape
    fits = given is not None and (given.shape[0], *given.shape[2:]) == (wanted[0], *wanted[2:])
    return given if fits else None


def _check_channels(given: int, wanted: int) -> None:
    """Raise RunError unless weights for `given` channels can start a network for `wanted`."""
    if given == wanted or (given, wanted) == (RGB, RGBD):
        return
    message = f"The weights are for pictures of {given} channels, and this network takes {wanted}."
    raise RunError(message, where="model.weights", hint="name weights for RGB, or set model.inputs to rgbd for RGB-D")
