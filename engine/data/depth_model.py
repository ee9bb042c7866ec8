"""ZoeDepth from a folder on this host: found, hashed, loaded with transformers, asked for metres.

Only ``*.safetensors`` are read, which hold numbers and nothing that could be executed, and nothing is looked up on
a network. transformers and torch are imported when a model is loaded, and not before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.data.depth_notes import SCALE
from detui.engine.errors import DataError, MissingError, RunError, UsageError
from detui.engine.run.files import sha256_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_SOURCE = "download the whole repository of a ZoeDepth model (for instance Intel/zoedepth-nyu-kitti) into one folder"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with everything that ZoeDepth needs, its files hashed."""

    path: Path
    facts: Mapping[str, str]
    """What maps are told apart by: SHA-256 of `weights`, `config` and `preprocessor`, and the folder's `name`."""
    heads: int
    """With more than one (indoor and outdoor), the whole batch votes for one of them."""

    def note(self, encoding: str) -> dict[str, Any]:
        """What goes beside maps that this model makes."""
        return {
            "encoding": encoding,
            "values": SCALE[encoding],
            "larger": "further",
            "model": dict(self.facts),
            "libraries": [_versions()],
        }


def find_model(path: Path) -> ModelFolder:
    """Look at a model's folder and hash its files. Raises MissingError, UsageError; nothing heavy is imported."""
    if not path.is_dir():
        raise MissingError("There is no such folder.", where=str(path), hint=_SOURCE)
    config = _object(path / CONFIG)
    if config.get("model_type") != "zoedepth":
        message = f"The model is of type {config.get('model_type')!r}, and zoedepth was expected."
        raise UsageError(message, where=str(path / CONFIG), hint=_SOURCE)
    if (path / "adapter_config.json").exists():
        raise UsageError("The folder holds an adapter, and only whole models are loaded.", where=str(path))
    _object(path / PREPROCESSOR)
    weights = _weights(path)
    facts = {
        "name": path.resolve().name,
        "weights": _hash(weights),
        "config": _hash([path / CONFIG]),
        "preprocessor": _hash([path / PREPROCESSOR]),
    }
    heads = config.get("bin_configurations")
    return ModelFolder(path, facts, len(heads) if isinstance(heads, list) else 1)


class ZoeDepth:
    """A loaded model."""

    def __init__(self, folder: ModelFolder, device: str = "cpu") -> None:
        """`device`: "cpu" or "cuda". Raises MissingError without transformers or a GPU, DataError for bad weights."""
        zoe = _transformers()
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise MissingError("torch finds no GPU here.", where="--device", hint="--device cpu")
        how: dict[str, Any] = {"local_files_only": True}
        try:
            model, loading = zoe.ZoeDepthForDepthEstimation.from_pretrained(
                str(folder.path), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **how
            )
            self._processor = zoe.ZoeDepthImageProcessor.from_pretrained(str(folder.path), **how)
        except Exception as error:  # transformers raises anything about a folder's content
            raise DataError(f"The model cannot be loaded: {_first_line(error)}", where=str(folder.path)) from error
        # What a file lacks is filled with random numbers, and maps made of those look like maps.
        absent = sorted(map(str, (*loading["missing_keys"], *loading["mismatched_keys"])))
        if absent:
            message = f"{len(absent)} of the model's weights are not in its file, the first is {absent[0]}."
            raise DataError(message, where=str(folder.path), hint=_SOURCE)
        self._model = model.eval().to(device)
        self._device = device

    def __call__(self, images: Sequence[Image.Image]) -> list[npt.NDArray[np.float32]]:
        """Metres of RGB images, all of one size: for each a (height, width) array at its own size.

        Raises RunError when the device's memory does not suffice, or the model fails on images of that size.
        """
        import torch

        sizes = [(image.height, image.width) for image in images]
        try:
            with torch.inference_mode():
                pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
                outputs = self._model(pixel_values=pixels.to(self._device))
                found = self._processor.post_process_depth_estimation(outputs, source_sizes=sizes)
                return [one["predicted_depth"].float().cpu().numpy() for one in found]
        except torch.OutOfMemoryError:
            message = f"The GPU's memory does not suffice for {len(images)} images at once."
            raise RunError(message, where="--batch", hint="--batch 1, or --device cpu") from None
        except Exception as error:  # what a preprocessor_config.json asks for, or an image of a few pixels
            size = f"{images[0].width}×{images[0].height}"
            raise RunError(f"The model fails on an image of {size}: {_first_line(error)}") from error


def _transformers() -> Any:
    """The module, with every way to a network shut. Raises MissingError where it is not installed."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TRANSFORMERS_VERBOSITY="error")
    try:
        import torch  # noqa: F401 - transformers imports without it, and then has no models
        import transformers
    except ImportError as error:
        message = f"Making depth maps needs transformers and torch: {error}."
        raise MissingError(message, hint="pip install 'detui[depth]'") from error
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _versions() -> dict[str, str]:
    """The versions of what computes, and of detui."""
    found = {}
    for name in ("detui", "transformers", "torch", "torchvision"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _object(path: Path) -> dict[str, Any]:
    """A JSON object that a model's folder must hold. Raises MissingError, UsageError."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingError(f"The model's folder lacks {path.name}.", where=str(path.parent), hint=_SOURCE) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"The file is no JSON: {error}.", where=str(path), hint=_SOURCE) from None
    if not isinstance(value, dict):
        raise UsageError("The file is no JSON object.", where=str(path), hint=_SOURCE)
    return value


def _weights(path: Path) -> list[Path]:
    """The files of weights. Raises MissingError, UsageError."""
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if not (path / INDEX).is_file():
        pickled = sorted(p.name for p in path.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl"))
        why = f"; {pickled[0]} is not read: loading it could run code that is in it" if pickled else ""
        raise MissingError(f"The model's folder lacks {WEIGHTS}{why}.", where=str(path), hint=_SOURCE)
    listed = _object(path / INDEX).get("weight_map")
    names = sorted(set(map(str, listed.values()))) if isinstance(listed, dict) else []
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UsageError(f"It names {name!r}, which is no safetensors file beside it.", where=str(path / INDEX))
        if not (path / name).is_file():
            raise MissingError(f"The model's folder lacks {name}.", where=str(path), hint=_SOURCE)
    if not names:
        raise UsageError("It names no file of weights.", where=str(path / INDEX), hint=_SOURCE)
    return [path / name for name in names]


def _hash(files: Sequence[Path]) -> str:
    """SHA-256 of files, one after the other. Raises RunError for one that cannot be read."""
    try:
        return sha256_of(*files)
    except OSError as error:
        where = str(error.filename or files[0])
        raise RunError(f"Cannot read: {error.strerror}.", where=where, hint="check its owner") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
