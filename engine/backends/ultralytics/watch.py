"""The callbacks on an Ultralytics trainer: measurements out, stop requests in."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics import settings
from detui.engine.backends.ultralytics.predictions import Collector, write_predictions
from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

EVENTS = ("on_train_start", "on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end", "on_val_start",
          "on_model_save", "on_fit_epoch_end")  # fmt: skip


class Watch:
    """Watches one stage. Counts run over the whole run: epochs and steps of earlier stages are added."""

    def __init__(self, spec: RunSpec, report: Reporter, index: int, facts: dict[str, Any]) -> None:
        """`facts`: what `begin` says beside the trainer's own values."""
        self.spec, self.report, self.index, self.facts = spec, report, index, facts
        self.stage = spec.stages[index]
        self.epochs_before = sum(stage.epochs for stage in spec.stages[:index])
        self.steps_before = 0
        self.last_checkpoint: Path | None = None
        self._collector: Collector | None = None
        self._late = LateScalars()
        self._batch = -1
        self._epoch_seen = -1
        self._validated = False
        self._epoch_start = time.monotonic()

    def attach(self, trainer: Any) -> None:
        """Register on a trainer that has not started."""
        for event in EVENTS:
            trainer.add_callback(event, getattr(self, event))

    def on_train_start(self, trainer: Any) -> None:
        """Say what is used, compare it with what was asked, and collect detections from now on."""
        steps = len(trainer.train_loader)
        # Resuming, the count goes on; a later stage counts on from the one before.
        self.steps_before = self.report.last_step - trainer.start_epoch * steps
        config = self.stage.config
        asked, used = settings.asked(config), settings.used(trainer, config)
        if self.index == 0 or self.report.resume:
            self._begin(trainer, steps, asked, used)
        self.report.stage(self.stage.name, self.index, self.stage.epochs, self.report.last_step, self.report.last_epoch)
        settings.check(asked, used, config["train"]["accept"])
        self._collector = Collector(trainer.validator)

    def _begin(self, trainer: Any, steps: int, asked: dict[str, Any], used: dict[str, Any]) -> None:
        self.report.begin(
            total_epochs=self.spec.total_epochs,
            steps_per_epoch=steps,
            model=model_facts(trainer, self.stage.config["model"]["name"]),
            asked=asked,
            used=used,
            device=device_facts(trainer.device),
            **self.facts,
        )

    def on_train_epoch_start(self, trainer: Any) -> None:
        """Decide whether this epoch is validated; notice when Ultralytics repeats one."""
        if trainer.epoch == self._epoch_seen:
            self.report.alarm("repeated", f"Ultralytics repeats epoch {self._epoch(trainer)}: its loss was not finite.")
        self._epoch_seen, self._batch, self._validated = trainer.epoch, -1, False
        self._epoch_start = time.monotonic()
        trainer.args.val = self.stage.config["train"]["val"] or self._epoch(trainer) in self.spec.milestones

    def on_train_batch_end(self, trainer: Any) -> None:
        """Report the step; stop here if that was asked."""
        self._batch += 1
        if trainer.batch_size != self.stage.config["train"]["batch"]:
            asked = self.stage.config["train"]["batch"]
            message = f"Out of memory: Ultralytics would go on with a batch of {trainer.batch_size} instead of {asked}."
            raise RunError(message, hint=f"start a new run with --set train.batch={trainer.batch_size}")
        rates = settings.learning_rates(trainer.optimizer)
        losses = {f"train/loss_{_term(name)}": value for name, value in trainer.loss_items.items()}
        for step, epoch, values in self._late.push(self._step(trainer), self._epoch(trainer), losses, rates):
            self.report.step(step, epoch, values, self.stage.name)
        if self.report.stop_requested:
            self._flush()
            raise StopRequested

    def on_train_epoch_end(self, trainer: Any) -> None:
        """The values still on their way from the GPU belong to this epoch."""
        self._flush()

    def on_val_start(self, validator: Any) -> None:
        """Collect detections in every validation: only then is known whether the epoch was the last."""
        self._validated = True
        if self._collector:
            self._collector.begin(True)

    def on_model_save(self, trainer: Any) -> None:
        """Keep a whole copy to resume from: last.pt is overwritten in place."""
        target = self.report.attempt.checkpoints / "resume.pt"
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".tmp")
        shutil.copyfile(trainer.last, temporary)
        _sync(temporary)
        temporary.replace(target)
        self.last_checkpoint = target
        more = self._epoch(trainer) - self.epochs_before < self.stage.epochs
        self.report.checkpoint(target, self._step(trainer), self._epoch(trainer), more, self.index)

    def on_fit_epoch_end(self, trainer: Any) -> None:
        """Report the epoch; at a milestone, and when training ends, hand the predictions to the evaluator."""
        epoch, step = self._epoch(trainer), self._step(trainer)
        values = {f"train/loss_{_term(name)}": float(value) for name, value in trainer.tloss.items()}
        if self._validated:
            values |= {_metric(name): float(value) for name, value in trainer.metrics.items()}
        self.report.epoch(epoch, step, values, self.stage.name, seconds=round(time.monotonic() - self._epoch_start, 3))
        last = trainer.stop and self.index == len(self.spec.stages) - 1
        if self._validated and (epoch in self.spec.milestones or last):
            self._hand_over(epoch, step)
        if self.report.stop_requested and not trainer.stop:
            raise StopRequested

    def _hand_over(self, epoch: int, step: int) -> None:
        """Write the predictions, keep the checkpoint that made them, and say so."""
        path = self.report.attempt.predictions / f"val-epoch-{epoch:04}.json"
        write_predictions(path, self._collector.results if self._collector else [])
        kept = self.report.attempt.checkpoints / f"epoch-{epoch:04}.pt"
        kept.unlink(missing_ok=True)
        # A link costs nothing: resume.pt is replaced, never written again.
        os.link(self.report.attempt.checkpoints / "resume.pt", kept)
        self.report.evaluation(epoch, step, "val", path, kept)

    def _flush(self) -> None:
        for step, epoch, values in self._late.flush():
            self.report.step(step, epoch, values, self.stage.name)

    def _epoch(self, trainer: Any) -> int:
        """The epoch in progress, from 1, over the whole run."""
        return int(self.epochs_before + trainer.epoch + 1)

    def _step(self, trainer: Any) -> int:
        """The steps done, over the whole run."""
        return int(self.steps_before + trainer.epoch * len(trainer.train_loader) + self._batch + 1)


class LateScalars:
    """Loss values on a GPU are read one step late, so that training never waits for them.

    On a CPU they are there at once. Allocator memory goes with the step it was read at.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[int, int, dict[str, Any], Any, Any]] = []

    def push(self, step: int, epoch: int, losses: dict[str, Any], more: dict[str, float]) -> list[Any]:
        """Hand in one step's losses (scalar tensors); returns the steps whose values have arrived."""
        import torch

        names, tensors = list(losses), [value.detach().float() for value in losses.values()]
        if not tensors or tensors[0].device.type != "cuda":
            return [(step, epoch, {**{n: float(t) for n, t in zip(names, tensors, strict=True)}, **more})]
        host = torch.stack(tensors).to("cpu", non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        memory = {
            "memory/allocated": torch.cuda.memory_allocated(),
            "memory/reserved": torch.cuda.memory_reserved(),
            "memory/peak": torch.cuda.max_memory_allocated(),
        }
        arrived = self._take(lambda e: e.query())
        self._pending.append((step, epoch, {**more, **memory}, (names, host), event))
        return arrived

    def flush(self) -> list[Any]:
        """Wait for what is still on its way."""

        def wait(event: Any) -> bool:
            event.synchronize()
            return True

        return self._take(wait)

    def _take(self, ready: Any) -> list[Any]:
        done = []
        while self._pending and ready(self._pending[0][4]):
            step, epoch, more, (names, host), _ = self._pending.pop(0)
            done.append((step, epoch, {**dict(zip(names, host.tolist(), strict=True)), **more}))
        return done


def model_facts(trainer: Any, name: str) -> dict[str, Any]:
    """Parameters, GFLOPs at the training size (None where they cannot be counted) and layers of the built model."""
    from ultralytics.utils.torch_utils import get_flops, unwrap_model

    model = unwrap_model(trainer.model)
    flops = get_flops(model, trainer.args.imgsz)
    return {
        "name": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflops": round(float(flops), 3) or None,
        "layers": len(list(model.modules())),
        "imgsz": trainer.args.imgsz,
    }


def device_facts(device: Any) -> dict[str, Any]:
    """Kind and name of the device, and torch's CUDA version."""
    import torch

    if device.type != "cuda":
        return {"kind": "cpu", "name": "CPU", "cuda": None}
    return {"kind": "cuda", "name": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}


def _term(name: str) -> str:
    """`box_loss` → `box`."""
    return name.removesuffix("_loss")


def _metric(name: str) -> str:
    """Ultralytics' own validation numbers carry its name: `ultralytics/mAP50-95`."""
    return "ultralytics/" + name.removeprefix("metrics/").removesuffix("(B)").replace("val/", "val_")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
