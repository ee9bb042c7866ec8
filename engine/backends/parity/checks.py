"""What is wrong with a configuration before anything starts. Nothing heavy here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.checking import error, few_steps, unfinished_warm_up, warning
from detui.engine.backends.parity.sizes import SIZES

OWN = "detui"
"""The environment that detui runs in."""


def problems(context: CheckContext) -> list[Problem]:
    """Contradictions between fields, and a framework that the arm's environment does not have."""
    model, train = context.config["model"], context.config["train"]
    found = [*framework(model["framework"], context.environment), *_frozen(context)]
    return [*found, *_queries(model, train), *_schedule(train, context.train_images)]


def framework(name: str, environment: str) -> Iterator[Problem]:
    """A framework that the environment does not have."""
    if name == "jittor" and environment == OWN:
        text = "Jittor needs an older numpy than detui's own environment has, and so an environment of its own."
        yield error("model.framework", text, "say `environment: jittor` beside the arm's title")
    elif name == "torch" and environment.startswith("jittor"):
        text = f"The environment {environment} has no PyTorch."
        yield error("model.framework", text, "leave the arm's `environment` out")
    elif name == "torch" and environment == OWN and importlib.util.find_spec("torch") is None:
        hint = "pip install -c constraints.txt 'detui[torch]'"
        text = "The package torch is not installed in this environment."
        yield Problem(level="error", text=text, hint=hint, missing=True)


def _frozen(context: CheckContext) -> Iterator[Problem]:
    """A backbone whose norms stay as they are, though nobody gave it any."""
    model = context.config["model"]
    backbone = model["backbone"]
    frozen = SIZES[model["size"]].frozen_norms if backbone["frozen"] is None else backbone["frozen"]
    if frozen and not (context.continues or model["weights"] or backbone["weights"]):
        text = "Nothing is read into the backbone, and its batch norms and its stem would stay as they begin."
        yield error("model.backbone.frozen", text, "--set model.backbone.frozen=false, or name weights")


def _queries(model: Mapping[str, Any], train: Mapping[str, Any]) -> Iterator[Problem]:
    side = train["image_size"]
    tokens = sum((side // stride) ** 2 for stride in (8, 16, 32))
    if tokens < model["queries"]:
        text = f"A picture of {side} pixels has {tokens} places to begin at, and the model asks for {model['queries']}."
        yield warning("model.queries", text, f"--set model.queries={tokens}")


def _schedule(train: Mapping[str, Any], images: int | None) -> Iterator[Problem]:
    if not images:
        return
    steps = train["epochs"] * -(-images // train["batch"])
    never = list(unfinished_warm_up(train, steps))
    yield from never or few_steps(train, steps)
