"""A checkpoint on a split: what Ultralytics' validator finds, as it does at the milestones of the training.

Model, pictures and post-processing are those of `Trainer.validate` in train.py: EMA weights in full precision, not
fused, batches of the same size and shape, the same limits. So the detections of a milestone's checkpoint are the ones
that the training dumped.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics import settings
from detui.engine.backends.ultralytics.checkpoints import load
from detui.engine.backends.ultralytics.continuing import random_states, set_random_states
from detui.engine.backends.ultralytics.dataset import datasets, private_view, reading
from detui.engine.backends.ultralytics.inputs import input_channels
from detui.engine.backends.ultralytics.offline import go_offline, switch_off_trackers
from detui.engine.backends.ultralytics.predictions import results, write_predictions
from detui.engine.backends.ultralytics.transfer import class_rows
from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A checkpoint that was read."""

    model: Any
    """The EMA weights' module: full precision, evaluation mode, on its device, not fused."""
    imgsz: int
    """Side of the square network input, in pixels."""
    batch: int
    """Pictures in a batch of the training, on each of its devices; a validation takes twice as many."""
    max_det: int
    """Detections of a picture at most: as the data's metric has it, or as many as the training took, if those were more
    (Ultralytics raises its 300 where a picture of the data has more objects)."""
    freeze: int
    """How many of the first layers stayed as they were."""
    channels: int
    """Of the pictures that it takes: 3, or 4 with depth."""


def predict(spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
    """Write the detections of a split to `out`. Raises RunError for a checkpoint that cannot be read or does not fit.

    `split`: a role of the run's prepared data. `device`: "cpu" or "cuda".
    """
    with prepared(spec, checkpoint, device) as (loaded, _, folder):
        found = _detections(spec, loaded, split, folder)
    write_predictions(out, found)


def beside_training(spec: RunSpec, trainer: Any, folder: Path) -> list[dict[str, Any]]:
    """COCO results of the run's validation pictures from the EMA weights of a training on other data, which goes on.

    `folder`: for the view of the run's data. The training's random generators, modes and weights stay as they are.
    """
    states = random_states()
    model = copy.deepcopy(trainer.ema.ema).float().eval()  # what inference has touched cannot be trained on
    loaded = Loaded(
        model=model,
        imgsz=trainer.args.imgsz,
        batch=trainer.batch_size // spec.ranks,
        max_det=max(settings.detections(spec.data), int(trainer.args.max_det)),
        freeze=0,
        channels=input_channels(model),
    )
    try:
        return _detections(spec, loaded, "val", folder)
    finally:
        set_random_states(states)


def _detections(spec: RunSpec, loaded: Loaded, split: str, folder: Path) -> list[dict[str, Any]]:
    import torch

    validator = make_validator(spec, loaded, split, folder)
    loader = validator.dataloader
    try:
        _check_images(loader.dataset, split, spec.data or {})
        found: list[dict[str, Any]] = []
        with torch.inference_mode():
            for read in loader:
                batch = validator.preprocess(read)
                found += results(validator, validator.postprocess(loaded.model(batch["img"])), batch)
        return found
    finally:
        if hasattr(loader, "close"):
            loader.close()  # its processes would wait beside the training


@contextmanager
def prepared(spec: RunSpec, checkpoint: Path, device: str) -> Iterator[tuple[Loaded, str, Path]]:
    """Read a checkpoint, with Ultralytics off the network and its files in a folder that is removed afterwards.

    Yields the checkpoint, which torchvision operators are in use, and the folder.
    """
    with tempfile.TemporaryDirectory(prefix="detui-ultralytics-") as name:
        folder = Path(name)
        go_offline(folder / "config")
        operators = ensure_torchvision()
        from ultralytics import settings as ultralytics_settings
        from ultralytics.utils.torch_utils import init_seeds

        switch_off_trackers(ultralytics_settings)
        init_seeds(spec.seed, deterministic=spec.config["train"]["deterministic"])  # the kernels of the training
        yield _loaded(spec, checkpoint, device), operators, folder


def _loaded(spec: RunSpec, checkpoint: Path, device: str) -> Loaded:
    import torch

    content = load(checkpoint)
    model = content.get("ema") or content.get("model")
    if not isinstance(model, torch.nn.Module):
        message = "The file holds no model of Ultralytics."
        raise RunError(message, where=str(checkpoint), hint="name a .pt file that Ultralytics saved")
    check_classes(model.names, list((spec.data or {}).get("classes") or ()), checkpoint)
    _forget_anchors(model.model[-1])
    saved = content.get("train_args") or {}
    imgsz, batch = _sizes(spec, saved)
    return Loaded(
        model=model.float().eval().to(torch.device(device)),
        imgsz=imgsz,
        batch=batch,
        max_det=max(settings.detections(spec.data), int(saved.get("max_det") or 0)),
        freeze=int(saved.get("freeze") or 0),
        channels=input_channels(model),
    )


def check_classes(names: Mapping[int, str], classes: list[str], checkpoint: Path) -> None:
    """Raise RunError for a checkpoint of other classes than those that it would be judged on: of an earlier stage, say.

    One that was trained on names of its own for the same things may have some in common.
    """
    if len(names) != len(classes):
        message = f"The checkpoint knows {len(names)} classes, the run's data has {len(classes)}."
    elif class_rows(names, dict(enumerate(classes))) == {}:
        message = "The checkpoint knows none of the run's classes by name."
    else:
        return
    raise RunError(message, where=str(checkpoint), hint="name a checkpoint that was trained on these classes")


def _forget_anchors(head: Any) -> None:
    """Let a head make its anchors anew: those it keeps for the next picture of a size were saved in half precision."""
    for name in ("shape", "shapes"):
        if hasattr(head, name):
            setattr(head, name, None)


def _sizes(spec: RunSpec, saved: Mapping[str, Any]) -> tuple[int, int]:
    """Input size and batch of a device: those of the stage that saved the checkpoint, of the last one for a file from
    elsewhere.
    """
    stages = [(int(stage.config["train"]["imgsz"]), int(stage.config["train"]["batch"])) for stage in spec.stages]
    own = (saved.get("imgsz"), saved.get("batch"))
    imgsz, batch = next((stage for stage in stages if stage == own), stages[-1])
    return imgsz, batch // spec.ranks


def make_validator(spec: RunSpec, loaded: Loaded, split: str, folder: Path, imgsz: int | None = None) -> Any:
    """Ultralytics' validator for a split, ready to pre- and post-process; with `imgsz` for squares of that side."""
    import torch

    view = private_view(spec.data or {}, folder / "data", (split,), loaded.channels)
    device = next(loaded.model.parameters()).device
    arguments = settings.arguments(spec.config, seed=spec.seed, data=view, folder=folder, device=str(device))
    arguments |= {"imgsz": imgsz or loaded.imgsz, "max_det": loaded.max_det, "cache": False}
    arguments |= {"rect": imgsz is None, "mode": "val", "model": None}
    validator = _validator_class(loaded.model)(save_dir=folder, args=arguments)
    names = loaded.model.names
    validator.data = {"names": names, "nc": len(names), **reading(spec.data or {}, loaded.channels)}
    validator.device, validator.stride = device, max(int(torch.as_tensor(loaded.model.stride).max()), 32)
    if device.type == "cpu":
        validator.args.workers = 0
    if hasattr(loaded.model, "end2end"):
        loaded.model.end2end = validator.args.nms is False
    if hasattr(loaded.model, "set_head_attr"):
        loaded.model.set_head_attr(max_det=loaded.max_det)
    with datasets(validator.data):
        validator.dataloader = validator.get_dataloader(str(folder / "data" / f"{split}.txt"), 2 * loaded.batch)
    validator.init_metrics(loaded.model)
    return validator


def _validator_class(model: Any) -> Any:
    from ultralytics.nn.tasks import RTDETRDetectionModel

    if isinstance(model, RTDETRDetectionModel):
        from ultralytics.models.rtdetr.val import RTDETRValidator as Validator
    else:
        from ultralytics.models.yolo.detect import DetectionValidator as Validator
    return Validator


def _check_images(dataset: Any, split: str, data: Mapping[str, Any]) -> None:
    """Raise RunError when Ultralytics left out images: unseen ones would score as misses."""
    wanted, found = data["splits"][split]["images"], len(dataset)
    if found != wanted:
        message = f"Ultralytics takes {found} of the {wanted} {split} images."
        raise RunError(message, where=f"data.{split}", hint="detui data check NAME --decode finds damaged images")
