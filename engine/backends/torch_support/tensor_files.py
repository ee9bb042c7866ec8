"""Files of weights that hold tensors alone: read without running a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detui.engine.errors import MissingError, RunError

SHOWN = 5
"""How many names of tensors an error tells."""


def read_tensors(path: Path, where: str) -> dict[str, Any]:
    """The tensors of a file, by timm's own reader: from `state_dict`, `model` or an EMA where they lie under one.

    `where`: the field that names the file. Raises MissingError without it, RunError for one that holds something else.
    """
    import pickle

    import safetensors  # which timm requires
    from timm.models import load_state_dict

    if not path.is_file():
        hint = f"put the file there, or take {where} out"
        raise MissingError(f"There is no file {path}.", where=where, hint=hint)
    try:
        found: dict[str, Any] = load_state_dict(str(path), weights_only=True)
    except (
        OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:  # fmt: skip
        text = " ".join(str(error).split())[:200]
        message = f"The file cannot be read as tensors alone ({type(error).__name__}): {text}"
        hint = "name a .safetensors file, or a .pth file that holds a state_dict"
        raise RunError(message, where=str(path), hint=hint) from error
    strange = [str(name) for name, value in found.items() if not hasattr(value, "shape")]
    if strange or not found:
        message = f"The file holds no state_dict: {', '.join(strange[:SHOWN]) or 'nothing'} is no tensor."
        raise RunError(message, where=str(path), hint="save the state_dict of a model of timm")
    return found
