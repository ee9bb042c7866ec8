"""What is done with a checkpoint beside its training: detections in a split, speed and size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.mmdet import building, configuration
from detui.engine.backends.torch_support.speed import measure
from detui.engine.errors import MissingError, RunError
from detui.engine.run.spec import RunSpec


def predict(spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
    """Write COCO results of one split, made as the training makes those of its milestones.

    Raises RunError for a checkpoint that cannot be read or does not fit, MissingError where the data has no such split.
    """
    from detui.engine.backends.mmdet.facts import check_pictures
    from detui.engine.backends.mmdet.predictions import detect, make_loader, write_predictions

    config, data = spec.stages[-1].config, spec.data or {}
    if not (Path(data["prepared"]) / f"{split}.json").is_file():
        raise MissingError(f"The prepared data has no split {split!r}.", where=str(data["prepared"]))
    model = loaded(config["model"], data["classes"], checkpoint, device)
    loader = make_loader(configuration.loader(config, data, split, "val"))
    check_pictures(loader.dataset, data, split)
    write_predictions(out, detect(model, loader))


def loaded(section: Mapping[str, Any], classes: Any, checkpoint: Path, device: str) -> Any:
    """The detector of a recipe's `model` section with the weights of a checkpoint, in evaluation mode on its device."""
    from detui.engine.backends.torch_support.checkpoint_files import read_checkpoint

    model = building.build(section, len(classes))
    given = read_checkpoint(checkpoint, "checkpoint")
    if given.classes is not None and list(given.classes) != list(classes):
        message = f"The checkpoint is of other classes: {', '.join(given.classes)}."
        raise RunError(message, where=str(checkpoint), hint="name a checkpoint of the run's last stage")
    try:
        model.load_state_dict(given.tensors)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:300]
        raise RunError(f"The checkpoint does not fit the model: {text}", where=str(checkpoint)) from error
    return model.eval().to(device)


def speed(spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Measure a checkpoint: from normalised pictures to boxes and masks, suppression included.

    `wanted`: {"batch", "precision", "imgsz" (None: the training's), "fused"}. The pictures are the first of the
    validation split, padded to a common size: proposals and suppression take as long as there is something to see.
    Both come between the stages of the network, and so are in the pass itself. Raises RunError for a checkpoint that
    cannot be read, or a precision that the detector does not run in.
    """
    config, section = spec.stages[-1].config, spec.config["model"]
    if wanted["fused"]:
        raise RunError("Normalisation cannot be folded into this backend's models.", hint="leave --fused out")
    operators = building.ready()
    model = loaded(section, (spec.data or {})["classes"], checkpoint, device)
    side = wanted["imgsz"]
    sized = {**config, "train": {**config["train"], "image_size": [side, side], "workers": 0}} if side else config
    pictures = _pictures(model, sized, spec.data or {}, int(wanted["batch"]))
    learns = {name for name, value in model.named_parameters() if value.requires_grad}
    found = measure(
        _detector(model, pictures), pictures, None, precision=str(wanted["precision"]),
        frozen=lambda name: name.removeprefix("model.") not in learns,
    )  # fmt: skip
    return {
        **found,
        "model": section["name"],
        "weights": "trained",
        "fused": False,
        "postprocess": {
            "kind": f"in the pass: NMS of proposals and boxes ({operators} operators), masks pasted",
            "confidence": section["score"],
            "max_det": section["detections"],
        },
    }


def _pictures(model: Any, config: Mapping[str, Any], data: Mapping[str, Any], batch: int) -> Any:
    """The first pictures of the validation split as the network gets them; they begin anew where there are too few."""
    from detui.engine.backends.mmdet.predictions import make_loader

    dataset = make_loader(configuration.loader(config, data, "val", "val")).dataset
    chosen = [dataset[index % len(dataset)] for index in range(batch)]
    inputs = [one["inputs"] for one in chosen]
    samples = [one["data_samples"] for one in chosen]
    return model.data_preprocessor({"inputs": inputs, "data_samples": samples}, False)["inputs"]


def _detector(model: Any, pictures: Any) -> Any:
    """A module from pictures to detections, each picture of its whole size."""
    from mmdet.structures import DetDataSample
    from torch import nn

    height, width = pictures.shape[-2:]
    told = {"img_shape": (height, width), "ori_shape": (height, width), "batch_input_shape": (height, width),
            "pad_shape": (height, width), "scale_factor": (1.0, 1.0)}  # fmt: skip

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pictures: Any) -> list[Any]:
            """(batch, 3, height, width) → for each picture, its instances."""
            samples = [DetDataSample(metainfo=told) for _ in range(len(pictures))]
            return [one.pred_instances for one in self.model.predict(pictures, samples)]

    return Detector().eval()
