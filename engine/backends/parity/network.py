"""A network as named tensors: what stands in it, how each begins, and what is trained.

The parts of the model (`layers.py` and above) ask a `Place` for their tensors while they are built. So names, shapes,
counts and initial values come from one description, whatever the framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor
from detui.engine.backends.parity.initialisation import Initial, first_values
from detui.engine.errors import RunError


@dataclass(slots=True)
class Held:
    """One tensor of a network."""

    name: str
    """Its whole name, as "encoder.lateral.0.conv.weight"."""
    shape: tuple[int, ...]
    """Its shape."""
    initial: Initial
    """How it begins."""
    counted: bool
    """Whether it is a parameter; the others are statistics, or the constants of a frozen batch norm."""
    trainable: bool
    """Whether it is trained."""
    tensor: Tensor = None
    """The framework's tensor, once the network has values."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a network a part stands."""

    network: Network
    """The network."""
    name: str = ""
    """Its name there, "" for the whole."""

    def __truediv__(self, name: str | int) -> Place:
        """A place within this one."""
        return Place(self.network, f"{self.name}.{name}" if self.name else str(name))

    @property
    def framework(self) -> Framework:
        """What computes."""
        return self.network.framework

    def weight(self, name: str, shape: tuple[int, ...], initial: Initial, *, trainable: bool = True) -> Held:
        """A tensor that counts as a parameter."""
        return self.network.hold(Held((self / name).name, shape, initial, counted=True, trainable=trainable))

    def constant(self, name: str, shape: tuple[int, ...], initial: Initial) -> Held:
        """A tensor that is stored but no parameter: running statistics, and what a frozen batch norm holds."""
        return self.network.hold(Held((self / name).name, shape, initial, counted=False, trainable=False))


@dataclass(slots=True)
class Network:
    """The tensors of a model."""

    framework: Framework
    """What computes."""
    held: dict[str, Held] = field(default_factory=dict)
    """By name, in the order in which the model was built."""
    training: bool = False
    """Whether batch norms take the batch's statistics."""

    def hold(self, held: Held) -> Held:
        """Register a tensor. Raises ValueError for a name that there is."""
        if held.name in self.held:
            raise ValueError(f"There are two tensors {held.name}.")
        self.held[held.name] = held
        return held

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: held.shape for name, held in self.held.items()}

    def initialise(self, seed: int) -> None:
        """The values that belong to a seed, the same in every framework."""
        self.load({name: first_values(held.initial, held.shape, name, seed) for name, held in self.held.items()})

    def load(self, state: Mapping[str, Array]) -> None:
        """Take every tensor's values. Raises RunError unless names and shapes are exactly the network's."""
        missing = [name for name in self.held if name not in state]
        strange = [name for name in state if name not in self.held]
        if missing or strange:
            both = (("they lack", missing), ("they have", strange))
            parts = [f"{word} {_some(names)}" for word, names in both if names]
            message = f"The weights are of another model: {' and '.join(parts)}."
            raise RunError(message, hint="give the model the size of the weights")
        for name, held in self.held.items():
            if tuple(state[name].shape) != held.shape:
                message = f"{name} has the shape {tuple(state[name].shape)}, and the model's is {held.shape}."
                raise RunError(message, hint="give the model the size and the classes of the file")
        for name, held in self.held.items():
            if held.tensor is None:
                held.tensor = self.framework.weight(state[name], trainable=held.trainable)
            else:
                self.framework.assign(held.tensor, state[name])

    def state(self) -> dict[str, Array]:
        """Every tensor's values, statistics and constants included."""
        return {name: self.framework.array(held.tensor) for name, held in self.held.items()}

    def trainable(self) -> dict[str, Tensor]:
        """The tensors that are trained."""
        return {name: held.tensor for name, held in self.held.items() if held.trainable}

    def counts(self) -> Counts:
        """How many numbers it has."""
        size = {name: prod(held.shape) for name, held in self.held.items()}
        return Counts(
            sum(size[name] for name, held in self.held.items() if held.counted),
            sum(size[name] for name, held in self.held.items() if held.trainable),
            sum(size[name] for name, held in self.held.items() if not held.counted),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """How many numbers a network has."""

    parameters: int
    """As published: weights, and the scale and shift of batch norms that are not frozen. No running statistics."""
    trained: int
    """Parameters that are trained: without a frozen stem."""
    constants: int
    """What is stored beside parameters: running statistics, and scale and shift of frozen batch norms."""


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
