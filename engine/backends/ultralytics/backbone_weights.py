"""A backbone's own weights, from a local file of timm: read without running a pickle.

Either each tensor of the backbone gets its value, or the run does not start: a backbone that is half random would
train, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.tensor_files import SHOWN, read_tensors
from detui.engine.errors import RunError
from detui.engine.run.files import sha256_of

WHERE = "model.backbone.weights"
RGB = 3


class Given:
    """What the backbone of a detector was given."""

    def __init__(self, tensors: Mapping[str, Any], left: Mapping[str, Any], facts: dict[str, Any]) -> None:
        """`tensors`: by their names in the detector. `left`: what the file has besides. `facts`: which file it was."""
        self._tensors, self.left, self.facts = tensors, left, facts

    def state_dict(self) -> Mapping[str, Any]:
        """The tensors of the file that the backbone has, as in the file: what is asked of all weights."""
        return self._tensors


def load_backbone(model: Any, path: Path) -> Given:
    """Load a file into the TimmBackbone that is the first layer of a detector.

    A first convolution for RGB and depth gets the file's RGB planes; its depth plane is left to `start_inputs`. Raises
    MissingError without the file, RunError for one that cannot be read without running code, that lacks a tensor of the
    backbone or has it in another shape, or that has one which timm's model of this name does not know.
    """
    backbone = model.model[0]
    file = read_tensors(path, WHERE)
    wanted = backbone.net.state_dict()
    names = {_plain(name): name for name in wanted}
    tensors = {names[_plain(name)]: value for name, value in file.items() if _plain(name) in names}
    missing = [name for name in wanted if name not in tensors and not _counter(name)]
    shapes = [
        f"{name} {tuple(tensors[name].shape)}, wanted {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and not _fits(name, tensors[name], value, wanted)
    ]
    left_out = [name for name in file if _plain(name) not in names]
    classifier = _classifier(backbone.name)
    unexpected = sorted(name for name in left_out if _plain(name) not in classifier)
    _refuse(path, backbone.name, {"missing": missing, "of another shape": shapes, "unexpected": unexpected})
    _copy(wanted, tensors)
    facts = {"kind": "backbone", "file": path.name, "sha256": sha256_of(path)}
    left = {name: file[name] for name in left_out}
    return Given({f"model.0.net.{name}": value for name, value in tensors.items()}, left, facts)


def _plain(name: str) -> str:
    """A tensor's name, however timm takes the features out of a model: `stages.0.x` may become `stages_0.x` there."""
    return name.removeprefix("model.").replace(".", "_")


def _counter(name: str) -> bool:
    """Whether a tensor only counts batches: older files have none, and nothing reads it."""
    return name.endswith("num_batches_tracked")


def _fits(name: str, given: Any, wanted: Any, all_of_them: Mapping[str, Any]) -> bool:
    if given.shape == wanted.shape:
        return True
    first = next(one for one, value in all_of_them.items() if value.ndim == 4)
    widened = wanted.ndim == 4 and given.ndim == 4 and given.shape[1] == RGB < wanted.shape[1]
    return name == first and widened and (given.shape[0], *given.shape[2:]) == (wanted.shape[0], *wanted.shape[2:])


def _copy(wanted: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    """Copy in place; of a first convolution that is wider than the file's, the planes that the file has."""
    import torch

    with torch.no_grad():
        for name, value in tensors.items():
            here = wanted[name]
            (here if here.shape == value.shape else here[:, : value.shape[1]]).copy_(value)


def _classifier(name: str) -> set[str]:
    """All tensors of timm's whole model: what of a file is not the features' may be its classifier's."""
    import timm
    import torch

    with torch.device("meta"):
        return {_plain(one) for one in timm.create_model(name, pretrained=False).state_dict()}


def _refuse(path: Path, name: str, wrong: Mapping[str, list[str]]) -> None:
    found = [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
             for what, names in wrong.items() if names]  # fmt: skip
    if found:
        message = f"The file {path} is not of {name}. Tensors\n  " + "\n  ".join(found)
        raise RunError(message, where=WHERE, hint=f"name a file of timm's {name}")
