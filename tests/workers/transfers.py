"""Weights into models of other classes, in a process of its own: what came is printed as JSON. ARGUMENT: a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from timm_models import SMALL, TINY

from detui.engine.errors import DetuiError

RTDETR = {"name": "rtdetr-timm", "backbone": {"name": TINY}, "decoder": SMALL}
YOLO = {"name": "yolo12n"}
BEFORE = ["disc", "box", "triangle", "cross"]
OTHERS = {
    "fewer": ["Cross ", "ring", "disc"],  # two of the same name, in any case, in another order
    "same number": ["cross", "ring", "star", "disc"],
    "strangers": ["ring", "star"],
    "strangers, same number": ["ring", "star", "moon", "sun"],
    "order": ["cross", "triangle", "box", "disc"],
    "same": BEFORE,
}


def trainer(folder: Path, section: dict[str, Any], classes: list[str]) -> Any:
    """A trainer that has built no model yet."""
    from detui.engine.backends.ultralytics import train
    from detui.engine.backends.ultralytics.plan import UltralyticsConfig

    config = UltralyticsConfig.model_validate({"model": section, "train": {"imgsz": 64}}).model_dump(mode="json")
    stage = SimpleNamespace(name="main", config=config, data=None)
    spec: Any = SimpleNamespace(stages=[stage], data={"classes": classes}, seed=0, device=SimpleNamespace(kind="cpu"))
    view = folder / "view.yaml"
    view.write_text(json.dumps({"path": str(folder), "train": "view.yaml", "val": "view.yaml",
                                "names": dict(enumerate(classes)), "channels": 3}))  # fmt: skip
    train.private_view = lambda *args, **kwargs: view  # type: ignore[attr-defined]
    made = train._trainer(spec, 0, folder / "attempt", None, None)
    made.source = {"kind": "stage", "stage": "first"}
    return made


def taught(folder: Path, section: dict[str, Any], classes: list[str] = BEFORE) -> Any:
    """A model of the classes before, none of whose values is one that a new model starts with."""
    import torch

    made = trainer(folder, section, classes)
    model = made.get_model(cfg=made.model, verbose=False)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(torch.rand_like(value) + 0.5 if value.is_floating_point() else 7)
    return model


def continued(folder: Path, section: dict[str, Any], model: Any, classes: list[str]) -> dict[str, Any]:
    """What a model of `classes` got from `model`, as it says itself and as its values are."""
    import torch

    from detui.engine.backends.ultralytics.transfer import class_tensors

    made = trainer(folder, section, classes)
    after = made.get_model(cfg=made.model, weights=model, verbose=False)
    made.transfer.write(folder / "transfer.json", after)
    written = json.loads((folder / "transfer.json").read_text())
    given, here, heads = model.state_dict(), after.state_dict(), set(class_tensors(after))
    before = list(model.names.values())
    rows = {new: before.index(name.strip().lower()) for new, name in enumerate(classes)
            if name.strip().lower() in before}  # fmt: skip
    kept = all(torch.equal(here[name][row], given[name][old]) for name in heads for row, old in rows.items())
    strange = any(torch.equal(here[name][row], other) for name in heads for row in range(len(classes))
                  if row not in rows for other in given[name])  # fmt: skip
    body = all(torch.equal(value, given[name]) for name, value in here.items() if name not in heads)
    return {
        "summary": made.transfer.summary(), "heads": sorted(heads), "kept": kept, "strange": strange, "body": body,
        "kinds": {one["name"]: one["kind"] for one in written["list"]},
        "remapped": next((one for one in written["list"] if one["kind"] == "remapped"), None),
        "listed": len(written["list"]), "parameters": sum(p.numel() for p in after.parameters()),
    }  # fmt: skip


def refused(folder: Path) -> str:
    """What is said of weights of another model."""
    weights = taught(folder, YOLO)
    try:
        continued(folder, RTDETR, weights, BEFORE)
    except DetuiError as error:
        return str(error)
    return "nothing"


def main(folder: Path) -> None:
    """Both families, for each of the other sets of classes."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.backends.ultralytics.offline import go_offline

    go_offline(folder / "config")
    ensure_torchvision()
    found: dict[str, Any] = {}
    for name, section in (("rtdetr", RTDETR), ("yolo", YOLO)):
        model = taught(folder, section)
        found[name] = {what: continued(folder, section, model, classes) for what, classes in OTHERS.items()}
    many = taught(folder, YOLO, [f"kind {number}" for number in range(80)])
    wide = continued(folder, YOLO, many, ["ring", "kind 7"])
    print(json.dumps({**found, "refused": refused(folder), "wide": wide}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
