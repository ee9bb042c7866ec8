"""A run of four stages, and a trainer that notes beside it what is really in its hands; looked at in this process.

`python staged.py RUN_DIRECTORY` prints what each stage began with, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics.train import UltralyticsTrainer
from detui.engine.run.directory import RunDir
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter

NOTES, START, HANDED = "notes.jsonl", "start.pt", "handed.pt"


class ProbedTrainer(UltralyticsTrainer):
    """Trains as its parent, and writes into the stage's folder what Ultralytics' trainer holds."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run, with callbacks besides."""
        from detui.engine.backends.ultralytics import train as module

        build = module._trainer

        def probed(spec: RunSpec, index: int, folder: Path, weights: Path | None, resumed: Path | None) -> Any:
            trainer = build(spec, index, folder, weights, resumed)
            place = folder / spec.stages[index].name
            if weights is not None:
                os.link(weights, place / HANDED)
            _attach(trainer, place)
            return trainer

        module._trainer = probed
        super().train(spec, report)


def _attach(trainer: Any, place: Path) -> None:
    import torch

    def begin(trainer: Any) -> None:
        if not (place / START).exists():
            torch.save({"model": trainer.model.state_dict(), "ema": trainer.ema.ema.state_dict(),
                        "ema_updates": trainer.ema.updates, "moments": len(trainer.optimizer.state),
                        "names": trainer.model.names}, place / START)  # fmt: skip

    def note(trainer: Any) -> None:
        steps = trainer.train_loader.dataset.transforms.transforms
        mixing = {type(step).__name__: step.p for step in (*steps[0].transforms, *steps) if hasattr(step, "p")}
        line = {"epoch": trainer.epoch, "mixing": mixing, "images": len(trainer.train_loader.dataset),
                "val": trainer.test_loader.dataset.im_files[0], "asked_mosaic": trainer.args.mosaic,
                "rates": sorted({group["lr"] for group in trainer.optimizer.param_groups})}  # fmt: skip
        with (place / NOTES).open("a") as file:
            file.write(json.dumps(line) + "\n")

    trainer.add_callback("on_train_batch_start", begin)
    trainer.add_callback("on_train_batch_end", note)


def began(run: RunDir, index: int) -> dict[str, Any]:
    """How the weights of a stage's start, read from its trainer, stand to those that the stage before handed on."""
    import torch

    from detui.engine.backends.torch_support.transfer import digest

    attempt = run.attempt(1).path
    place = attempt / "ultralytics" / run.spec().stages[index].name
    start = torch.load(place / START, weights_only=False)
    handed = torch.load(place / HANDED, map_location="cpu", weights_only=False)["ema"]
    given, here = handed.state_dict(), start["model"]
    told = json.loads((attempt / f"transfer-s{index}.json").read_text())
    by_kind: dict[str, list[bool]] = {}
    for one in told["list"]:
        name, kind = one["name"], one["kind"]
        same = kind != "left_behind" and one["sha256"] == digest(here[name])
        if kind == "transferred":
            same = same and torch.equal(here[name], given[name])
        elif kind == "remapped":
            same = same and torch.equal(here[name][one["rows"]], given[name][one["from_rows"]])
            new = [row for row in range(len(here[name])) if row not in one["rows"]]
            same = same and not any(torch.equal(here[name][row], old) for row in new for old in given[name])
        by_kind.setdefault(kind, []).append(same)
    return {
        "kinds": {kind: [all(same), len(same)] for kind, same in by_kind.items()},
        "full_precision": all(value.dtype == torch.float32 for value in given.values() if value.is_floating_point()),
        "ema": all(torch.equal(value, start["ema"][name]) for name, value in here.items()),
        "ema_updates": start["ema_updates"], "moments": start["moments"],
        "names": [list(handed.names.values()), list(start["names"].values())],
    }  # fmt: skip


if __name__ == "__main__":
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    found = RunDir(Path(sys.argv[1]))
    print(json.dumps({found.spec().stages[index].name: began(found, index) for index in (1, 2, 3)}))
