"""The closed schema of a recipe's sections for measuring what frameworks compute. Nothing heavy here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from detui.engine.backends.parity.schema import AtLeastOne, Count, Model
from detui.engine.closed import Closed

Side = Annotated[int, Field(ge=64, multiple_of=32)]


class Measure(Closed):
    """What is measured; a round is an epoch of the run."""

    what: Literal["operators", "step", "cost"] = "operators"
    """Every operation of the model, one training step with all that it computes, or time and memory."""
    rounds: AtLeastOne = 1
    """How often: a step begins with another seed in each."""
    image_size: Side = 160
    """Of a step: the side of its pictures in pixels."""
    image_sizes: Annotated[list[Side], Field(min_length=1)] = [160, 320, 640]
    """Of the cost: the sides that are measured."""
    batch: AtLeastOne = 1
    """Pictures."""
    classes: AtLeastOne = 80
    """That the model tells apart."""
    shipped: bool = False
    """With the framework's own layers, where the model has others in their place."""
    keep: AtLeastOne = 1
    """Rounds of a step whose gradients and weights are stored, for their comparison by module; of the others only
    losses, selection and assignment are. Eight bytes a parameter and round: 344 MB of R50."""
    warmup: Count = 2
    """Of the cost: steps, and passes, that do not count, after the first step."""
    repeats: AtLeastOne = 5
    """Of the cost: steps, and passes, that count in each round."""


class NumericsConfig(Closed):
    """The sections of a recipe for this backend."""

    model: Model = Model()
    measure: Measure = Measure()
