"""Laying mappings over each other, remembering where each value came from.

Mappings merge, lists and plain values replace, ``null`` takes a value away so
that the backend's default holds again:

    base     {train: {lr0: 0.01, epochs: 100}, augment: {mosaic: 1.0}}
    arm      {train: {lr0: null}, augment: {mosaic: 0.0}}
    merged   {train: {epochs: 100}, augment: {mosaic: 0.0}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Keys = tuple["str | int", ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One mapping of the stack."""

    name: str
    """`base`, `profile quick`, `arm weighted`, `--set`."""
    values: Mapping[str, Any]
    where: Callable[[Keys], str]
    """The place of a path of keys of `values`."""


@dataclass(slots=True)
class Merged:
    """The result, and the layer and place behind each leaf."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Keys, tuple[str, str]] = field(default_factory=dict)
    """Leaf → (layer, place)."""
    reset: list[Keys] = field(default_factory=list)
    """Every path that some layer set to null."""
    within: dict[Keys, Callable[[Keys], str]] = field(default_factory=dict)
    """Leaf that is a list → how the places of what is in it are found."""

    def where(self, keys: Keys) -> str:
        """The place of the value at `keys`, of one below it, or of the nearest above it."""
        for end in range(len(keys) - 1, 0, -1):
            if keys[:end] in self.origins and keys[:end] in self.within:
                return self.within[keys[:end]](keys)
        for end in range(len(keys), 0, -1):
            for known, (_, place) in self.origins.items():
                if known[:end] == keys[:end] or keys[: len(known)] == known:
                    return place
        return next((place for _, place in self.origins.values()), "the recipe")


def merge(layers: Iterable[Layer]) -> Merged:
    """Lay `layers` over each other, the later over the earlier."""
    merged = Merged()
    for layer in layers:
        _lay(merged, merged.values, layer.values, layer, ())
    return merged


def _lay(merged: Merged, target: dict[str, Any], values: Mapping[str, Any], layer: Layer, at: Keys) -> None:
    for key, value in values.items():
        keys = (*at, key)
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                _forget(merged, keys)
                target[key] = {}
            _lay(merged, target[key], value, layer, keys)
        else:
            _forget(merged, keys)
            merged.origins[keys] = (layer.name, layer.where(keys))
            if value is None:
                target.pop(key, None)
                merged.reset.append(keys)
            else:
                target[key] = value
            if isinstance(value, list):
                merged.within[keys] = layer.where
            else:
                merged.within.pop(keys, None)


def _forget(merged: Merged, keys: Keys) -> None:
    """Drop what is known of `keys` and below: a later layer speaks for it now."""
    for known in [known for known in merged.origins if known[: len(keys)] == keys]:
        del merged.origins[known]
