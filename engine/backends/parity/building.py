"""From a recipe's section to a size, a detector and its first weights. Needs numpy, and the framework that is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from detui.engine.backends.parity.data import generator
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.frameworks.framework import Array, Framework
from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly
from detui.engine.backends.parity.published import fit, read_published
from detui.engine.backends.parity.sizes import SIZES, Size
from detui.engine.backends.parity.state import is_own, load
from detui.engine.errors import MissingError, RunError

JITTER = 4
"""What a generator of the jitter is for: see data.py."""
PARTS = ("backbone", "encoder", "decoder")
"""Parts of the model, which the names of its tensors begin with."""


def size_of(model: Mapping[str, Any], classes: int) -> Size:
    """The size that a recipe's `model` section describes."""
    found, backbone = SIZES[model["size"]], model["backbone"]
    changes = {"queries": model["queries"], "denoising": model["denoising"], "classes": classes}
    own = {"decoder_layers": model["layers"], **{name: model[name] for name in ("channels", "feed_forward", "heads")}}
    own |= {"points": model["points"], "stem": backbone["stem"]}
    own |= {name: tuple(backbone[name]) if backbone[name] else None for name in ("depths", "widths")}
    own |= {"frozen_norms": backbone["frozen"], "frozen_stem": backbone["frozen"]}
    changes |= {name: value for name, value in own.items() if value is not None}
    if model["layers"] is not None and (found.evaluated_layer or 0) > model["layers"]:
        changes["evaluated_layer"] = None
    return replace(found, **changes)


def framework_of(model: Mapping[str, Any], device: str, seed: int) -> Any:
    """The framework that a section names, on "cpu" or "cuda". Raises MissingError where it is not installed here."""
    name = model["framework"]
    try:
        if name == "jittor":
            from detui.engine.worker.jittor_start import import_jittor

            import_jittor(seed)
        return open_framework(name, device)
    except ModuleNotFoundError as error:
        hint = "detui env create jittor" if name == "jittor" else "pip install -c constraints.txt 'detui[torch]'"
        raise MissingError(f"There is no {name} here: {error}.", where="model.framework", hint=hint) from error


def first_state(model: Mapping[str, Any], size: Size, seed: int, start: Path | None) -> tuple[dict[str, Array], Any]:
    """Every tensor before the first step, and what `begin` says of where it came from (None: random).

    `start`: the checkpoint of the stage before. Raises RunError for a file that does not fit.
    """
    network = Detector(ShapesOnly(), size).network
    network.initialise(seed)
    state, shapes = network.state(), network.shapes()
    path = start or model["weights"] or model["backbone"]["weights"]
    if path is None:
        return state, None
    path = Path(path)
    if is_own(path):
        found, layout = load(path).evaluated, "detui"
        taken = {name: value for name, value in found.items() if shapes.get(name) == value.shape}
        if not taken:
            raise RunError("Nothing of the checkpoint has the shape that the model needs.", where=str(path))
        facts = {"layout": layout, "taken": len(taken), "other_shape": sorted(set(found) & set(shapes) - set(taken))}
        return {**state, **taken}, {**facts, "absent": len(set(shapes) - set(found))}
    where = "model.weights" if model["weights"] else "model.backbone.weights"
    published = read_published(path, where)
    fitted = fit(shapes, state, published)
    facts = {"layout": published.layout, "taken": len(fitted.taken), "other_shape": list(fitted.other_shape)}
    return fitted.state, {**facts, "absent": len(fitted.absent), "left": len(published.left)}


def jittered(state: Mapping[str, Array], trained: Iterable[str], jitter: float, seed: int) -> dict[str, Array]:
    """The same weights times 1 + jitter · noise, those that are trained; statistics and constants stay."""
    if not jitter:
        return dict(state)
    own, found = generator(JITTER, seed), dict(state)
    for name in trained:
        noise = own.standard_normal(state[name].shape)
        found[name] = (state[name] * (1 + jitter * noise)).astype(state[name].dtype)
    return found


def model_facts(size: Size, model: Mapping[str, Any]) -> dict[str, Any]:
    """What `begin` and a description say of a model, by names and shapes alone, so that it is equal in both frameworks.

    `parameters` are counted as published: no running statistics, no constants of frozen batch norms.
    """
    network = Detector(ShapesOnly(), size).network
    counts = network.counts()
    sizes = {name: prod(held.shape) for name, held in network.held.items() if held.counted}
    by_part = {part: sum(n for name, n in sizes.items() if name.startswith(f"{part}.")) for part in PARTS}
    return {
        "name": f"rt-detr-{model['size']}",
        "backbone": f"resnet {'-'.join(map(str, size.depths))}",
        "framework": model["framework"],
        "parameters": counts.parameters,
        "parameters_by_part": by_part,
        "trained": counts.trained,
        "constants": counts.constants,
        "tensors": len(network.held),
        "queries": size.queries,
        "decoder_layers": size.decoder_layers,
        "classes": size.classes,
    }


def used_sizes(framework: Framework, size: Size) -> dict[str, Any]:
    """The recipe's fields of the model that a built detector holds, and its framework."""
    return {
        "model.framework": framework.name, "model.queries": size.queries, "model.denoising": size.denoising,
        "model.layers": size.decoder_layers, "model.channels": size.channels,
        "model.feed_forward": size.feed_forward, "model.heads": size.heads, "model.points": size.points,
    }  # fmt: skip
