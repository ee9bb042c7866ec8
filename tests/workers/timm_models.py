"""RT-DETR on backbones of timm: `python timm_models.py FOLDER` builds models there as a training does. Prints JSON."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from detui.engine.errors import DetuiError

SMALL = {"hidden": 64, "queries": 50, "layers": 2, "heads": 4, "points": 2, "feedforward": 96, "denoising": 20,
         "neck_blocks": 1}  # fmt: skip
TINY = "mobilenetv4_conv_small_050"
DATA = {"classes": ["round", "square", "long"], "depth": {"encoding": "uint8"}}


def main(folder: Path) -> None:
    """Everything, each under its name."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.backends.ultralytics.offline import go_offline

    go_offline(folder / "config")
    ensure_torchvision()
    print(json.dumps({
        "built": {name: built(folder, section) for name, section in SECTIONS.items()},
        "described": {name: described(SECTIONS[name]) for name in ("small", "small-l", "yolo")},
        "published": published(),
        "refused": {name: refused(folder, name) for name in ("mobilenetv4_hybrid_medum", "vit_tiny_patch16_224",
                                                             "swin_tiny_patch4_window7_224")},
        "norms": norms(folder),
        "weights": weights(folder),
        "facts": untouched(folder),
        "checkpoint": checkpoint(folder),
        "later": later(folder),
        "without": without_timm(folder),
    }))  # fmt: skip


SECTIONS: dict[str, dict[str, Any]] = {
    "hybrid": {"name": "rtdetr-mnv4-hybrid-m.yaml"},
    "conv": {"name": "rtdetr-mnv4-conv-s"},
    "small": {"name": "rtdetr-timm", "backbone": {"name": TINY}, "decoder": SMALL},
    "l": {"name": "rtdetr-l"},
    "small-l": {"name": "rtdetr-l", "decoder": SMALL},
    "timm-l": {"name": "rtdetr-timm", "backbone": {"name": "hgnetv2_b4"}},
    "yolo": {"name": "yolo12n"},
}


def trainer(folder: Path, section: dict[str, Any]) -> Any:
    """A trainer with its model built, for three classes."""
    from detui.engine.backends.ultralytics import train
    from detui.engine.backends.ultralytics.plan import UltralyticsConfig

    config = UltralyticsConfig.model_validate({"model": section, "train": {"imgsz": 64}}).model_dump(mode="json")
    spec: Any = SimpleNamespace(
        stages=[SimpleNamespace(name="main", config=config, data=None)],
        data=DATA,
        seed=0,
        device=SimpleNamespace(kind="cpu"),
    )
    channels = 4 if section.get("inputs") == "rgbd" else 3
    view = folder / "view.yaml"
    view.write_text(json.dumps({"path": str(folder), "train": "view.yaml", "val": "view.yaml",
                                "names": dict(enumerate(DATA["classes"])), "channels": channels}))  # fmt: skip
    train.private_view = lambda *args, **kwargs: view  # type: ignore[attr-defined]
    made = train._trainer(spec, 0, folder / "attempt", None, None)
    made.model = made.get_model(cfg=made.model, verbose=False)
    return made


def built(folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    """What the worker says of a model, and what the model says of a picture."""
    import torch

    from detui.engine.backends.ultralytics.facts import model_facts

    made = trainer(folder, section)
    facts = model_facts(made, section["name"])
    with torch.no_grad():
        found = made.model.eval()(torch.rand(1, 3, 64, 64))
    head = made.model.model[-1]
    return {**facts, "detections": list(found[0].shape), "config": made.model.yaml.get("yaml_file"),
            "denoising": getattr(head, "num_denoising", None), "hidden": getattr(head, "hidden_dim", None)}  # fmt: skip


def described(section: dict[str, Any]) -> dict[str, Any]:
    """What is said of a model that is built without a run; and what enters the neck, by stride, in a pass."""
    import torch

    from detui.engine.backends.ultralytics.describe import build
    from detui.engine.backends.ultralytics.facts import made_of
    from detui.engine.backends.ultralytics.plan import UltralyticsConfig

    config = UltralyticsConfig.model_validate({"model": section, "train": {"imgsz": 64}}).model_dump(mode="json")
    model = build(config, DATA["classes"]).eval()
    layers, backbone = list(model.model), len(model.yaml["backbone"])
    given: dict[int, Any] = {}
    for layer in layers[:backbone]:
        layer.register_forward_hook(lambda module, _, output: given.update({module.i: output}))
    with torch.no_grad():
        model(torch.rand(1, 3, 64, 64))
    taken = {source if source >= 0 else layer.i + source for layer in layers[backbone:]
             for source in (layer.f if isinstance(layer.f, list) else [layer.f])}  # fmt: skip
    entering = {64 // given[layer].shape[-1]: given[layer].shape[1] for layer in taken if layer < backbone}
    return {"facts": made_of(model, section["name"], 64), "entering": entering}


def published() -> dict[str, Any]:
    """Whether the defaults of the decoder's sizes give the model that Ultralytics ships, and what timm counts."""
    import timm
    from ultralytics.nn.tasks import RTDETRDetectionModel

    from detui.engine.backends.ultralytics.detectors import dictionary
    from detui.engine.backends.ultralytics.plan import Decoder

    section = {"name": "rtdetr-l", "decoder": Decoder().model_dump()}
    models = [RTDETRDetectionModel(cfg, nc=3, verbose=False) for cfg in ("rtdetr-l.yaml", dictionary(section, 3))]
    shapes = [{name: list(value.shape) for name, value in model.state_dict().items()} for model in models]
    fields = [[vars(module).get(name) for name in ("num_heads", "dropout", "eps")]
              for model in models for module in model.modules()]  # fmt: skip
    head = [[getattr(model.model[-1], name) for name in ("num_queries", "num_denoising", "nhead", "hidden_dim")]
            for model in models]  # fmt: skip
    half = len(fields) // 2
    alone = timm.create_model("mobilenetv4_hybrid_medium", features_only=True)
    return {"same": shapes[0] == shapes[1] and fields[:half] == fields[half:] and head[0] == head[1],
            "features": sum(p.numel() for p in alone.parameters())}  # fmt: skip


def refused(folder: Path, name: str) -> str:
    """What is said of a backbone that does not fit."""
    return told(lambda: trainer(folder, {"name": "rtdetr-timm", "backbone": {"name": name}}))


def told(act: Callable[[], Any]) -> str:
    """The error of an act."""
    try:
        act()
    except DetuiError as error:
        return str(error)
    return "nothing"


def norms(folder: Path) -> dict[str, list[list[float]]]:
    """(eps, momentum) of the normalisations of a ResNet: alone, and in a detector; and of the detector's neck."""
    import timm
    import torch

    def found(model: Any) -> list[list[float]]:
        return sorted({(m.eps, m.momentum) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)})  # type: ignore[return-value]

    made = trainer(folder, {"name": "rtdetr-timm", "backbone": {"name": "resnet18"}, "decoder": SMALL}).model
    return {"timm": found(timm.create_model("resnet18")), "here": found(made.model[0]), "neck": found(made.model[4:])}


def weights(folder: Path) -> dict[str, Any]:
    """Files of a whole classifier, damaged and whole, in both formats, into backbones of three and four channels."""
    import timm
    import torch
    from safetensors.torch import save_file

    from detui.engine.backends.ultralytics.backbone_weights import load_backbone

    torch.manual_seed(1)
    values = timm.create_model(TINY).state_dict()
    for value in values.values():
        if value.is_floating_point():
            value.add_(0.01)  # no value is one that a new model starts with
    first = "conv_stem.weight"
    files: dict[str, Any] = {
        "whole.safetensors": values,
        "wrapped.pth": {"state_dict": {f"module.{name}": value for name, value in values.items()}, "epoch": 3},
        "lacking.safetensors": {name: value for name, value in values.items() if name != first},
        "shape.safetensors": {**values, first: values[first][:, :2].contiguous()},
        "foreign.safetensors": {**values, "neck.weight": torch.zeros(3)},
    }
    for name, content in files.items():
        if name.endswith(".safetensors"):
            save_file(content, folder / name)
        else:
            torch.save(content, folder / name)
    (folder / "code.pth").write_bytes(pickle.dumps(_Runs(folder / "it ran"), protocol=2))
    (folder / "damaged.safetensors").write_bytes(b"no tensors at all")
    resnet = timm.create_model("convnext_atto").state_dict()
    save_file(resnet, folder / "convnext.safetensors")

    def load(name: str, backbone: str = TINY, **more: Any) -> Any:
        section = {"name": "rtdetr-timm", "backbone": {"name": backbone, "weights": str(folder / name)}, **more}
        return trainer(folder, {**section, "decoder": SMALL})

    def same(made: Any, given: dict[str, Any]) -> bool:
        here = {name.replace(".", "_"): value for name, value in made.model.model[0].net.state_dict().items()}
        return all(torch.equal(here[name.replace(".", "_")], value) for name, value in given.items()
                   if name.replace(".", "_") in here)  # fmt: skip

    whole, wrapped = load("whole.safetensors"), load("wrapped.pth")
    renamed = load("convnext.safetensors", "convnext_atto")
    deep = load("whole.safetensors", inputs="rgbd")
    filters = deep.model.model[0].net.conv_stem.weight
    return {
        **{name: {**made.transfer.summary(), "left": [one["name"] for one in made.transfer.left],
                  "anew_in_backbone": sum(one["kind"] != "transferred" for one in made.transfer.tensors
                                          if one["name"].startswith("model.0."))}
           for name, made in (("whole", whole), ("wrapped", wrapped), ("renamed", renamed))},
        "same": [same(whole, values), same(wrapped, values), same(renamed, resnet)],
        "rgb": torch.equal(filters[:, :3], values[first]),
        "depth": float((filters[:, 3] - values[first].mean(1)).detach().abs().max()),
        "said": deep.depth_filter,
        "refused": {name: told(lambda name=name: load_backbone(whole.model, folder / name)) for name in (
            "lacking.safetensors", "shape.safetensors", "foreign.safetensors", "code.pth", "damaged.safetensors",
            "absent.safetensors", "convnext.safetensors")},
        "ran": (folder / "it ran").exists(),
        "would_run": pickle.loads((folder / "code.pth").read_bytes()) is None and (folder / "it ran").exists(),
    }  # fmt: skip


class _Runs:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _touch, (str(self.path),)


def _touch(path: str) -> None:
    Path(path).touch()


def untouched(folder: Path) -> dict[str, Any]:
    """Whether looking at a model leaves it, and the random numbers, as they were."""
    import torch

    from detui.engine.backends.ultralytics.facts import structure

    model = trainer(folder, SECTIONS["small"]).model
    model.model[0].eval()  # what somebody froze stays frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes, random = [module.training for module in model.modules()], torch.get_rng_state()
    structure(model, "rtdetr-timm")
    return {"weights": all(torch.equal(value, before[name]) for name, value in model.state_dict().items()),
            "modes": modes == [module.training for module in model.modules()] and len(set(modes)) == 2,
            "random": torch.equal(random, torch.get_rng_state())}  # fmt: skip


def checkpoint(folder: Path) -> dict[str, Any]:
    """A checkpoint as a training leaves one, whose backbone had weights of its own; what it finds in one picture."""
    import torch

    section = {**SECTIONS["small"], "backbone": {"name": TINY, "weights": str(folder / "whole.safetensors")}}
    model = trainer(folder, section).model.eval()
    picture = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    model.args = {}
    torch.save({"model": model, "train_args": {"model": "rtdetr-timm.yaml", "task": "detect"}}, folder / "small.pt")
    with torch.no_grad():
        return {"sum": float(model(picture)[0].double().sum()),
                "names_the_file": b"whole.safetensors" in (folder / "small.pt").read_bytes()}  # fmt: skip


def later(folder: Path) -> dict[str, Any]:
    """A model that goes on from another's weights, when the file that the backbone started from is gone."""
    import torch

    gone = {**SECTIONS["small"], "backbone": {"name": TINY, "weights": str(folder / "gone.safetensors")}}
    before = trainer(folder, SECTIONS["small"])
    fresh = before.transfer
    before.section = gone
    after = before.get_model(cfg=before.model.yaml, weights=before.model, verbose=False)
    values = before.model.state_dict()
    return {"same": all(torch.equal(value, values[name]) for name, value in after.state_dict().items()),
            "fresh": fresh, "tensors": before.transfer.summary()["tensors"]}  # fmt: skip


def without_timm(folder: Path) -> str:
    """What is said of a checkpoint where timm is not installed. The last act of this process: timm is gone after it."""
    from detui.engine.backends.ultralytics.checkpoints import load

    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        del sys.modules[name]
    sys.modules["timm"] = None  # type: ignore[assignment]
    return told(lambda: load(folder / "small.pt"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
