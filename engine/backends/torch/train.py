"""The training half: a recipe's sections become model, loop and reports, stage after stage."""

from __future__ import annotations

import platform
import random
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detui.engine.data.frames import Frames, open_frames
from detui.engine.errors import MissingError, RunError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.arithmetic import torch_tests
from detui.engine.worker.refusal import refuse_other_settings, refuse_wrong
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested


class TorchTrainer:
    """Trains the fusion detector."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run. Raises StopRequested after a stop, RunError when asked and used settings differ."""
        from detui.engine.backends.torch import state
        from detui.engine.backends.torch_support import distributed

        with distributed.joined(spec.device.kind, report):
            device = _device(spec.device.kind)
            state.seed_everything(spec.seed, distributed.rank())
            first = int(report.resume.get("stage") or 0) if report.resume else 0
            start = Path(report.resume["checkpoint"]) if report.resume else None
            for index in range(first, len(spec.stages)):
                start = _Stage(spec, report, index, device, begins=index == first).run(start)

    def predict(self, spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
        """Write the detections of one split (predict.py). Raises RunError for a checkpoint that cannot be read."""
        from detui.engine.backends.torch.build import build, evaluated_weights
        from detui.engine.backends.torch.predict import predict, write

        config, place = spec.stages[-1].config, _device(device)
        frames = _frames(spec, None, split)
        model = build(config["model"], len(frames.classes)).to(place)
        evaluated_weights(model, checkpoint)
        write(out, predict(model, frames, _collate(config), place, config["train"]["batch"]), frames.classes)

    def speed(self, spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Measure a checkpoint on frames of the validation split (measuring.py)."""
        from detui.engine.backends.torch.measuring import speed

        return speed(spec.stages[-1].config, _frames(spec, None, "val"), checkpoint, wanted, _device(device).type)

    def describe(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Say what the model is made of (measuring.py). Raises MissingError for a package that is absent here."""
        needed = ("torch",) if spec.config["model"]["camera"]["backbone"] == "small" else ("torch", "timm")
        if absent := [name for name in needed if find_spec(name) is None]:
            message = f"The package {absent[0]} is not installed in the environment that builds the models."
            raise MissingError(message, where=spec.python, hint="pip install -c constraints.txt 'detui[torch]'")
        from detui.engine.backends.torch.measuring import describe

        return describe(spec.config, spec.data or {}, spec.seed, bool(wanted["speed"]), _device(device).type)


class _Stage:
    """One stage of one attempt."""

    def __init__(self, spec: RunSpec, report: Reporter, index: int, device: Any, *, begins: bool) -> None:
        """`begins`: the attempt begins with it."""
        self.spec, self.report, self.index, self.device, self.begins = spec, report, index, device, begins
        self.stage = spec.stages[index]
        self.config: Mapping[str, Any] = self.stage.config
        self.frames = _frames(spec, self.stage.data, "train")
        self.loop: Any = None

    def run(self, start: Path | None) -> Path:
        """Train from the weights, or in the middle of this stage, that lie at `start`. Returns the last checkpoint."""
        from detui.engine.backends.torch import state
        from detui.engine.backends.torch.build import build, starting_weights
        from detui.engine.backends.torch.fusion.task import FusionTask
        from detui.engine.backends.torch.loop import Loop
        from detui.engine.backends.torch_support import distributed

        model, train = build(self.config["model"], len(self.frames.classes)), self.config["train"]
        facts: dict[str, Any] = {}
        resumed = start is not None and state.stage_of(start) == self.index
        if not resumed:
            facts = starting_weights(model, self.config["model"], start)
        aqr = self.config["model"]["aqr"]
        balance = (aqr["balance"]["ratio"], aqr["balance"]["strength"]) if aqr["balance"] else None
        task = FusionTask(self.report, train["statistics_every"], balance, tell=distributed.rank() == 0)
        self.loop = loop = Loop(
            model.to(self.device), task, self._batches(), _options(self.config, self.stage.epochs), self.report,
            device=self.device, place=self._place(start if resumed else None), epoch_end=self._epoch_end,
        )  # fmt: skip
        anew = loop.resume(start, branch=self._branched()) if resumed and start else []
        self._begin(loop, facts, {"anew": anew} if resumed else None)
        if distributed.any_process(self.report.stop_requested):
            raise StopRequested
        loop.run()
        if loop.checkpoint is None:
            return start or Path()  # every step of the stage was done before the attempt began
        return loop.checkpoint

    def _branched(self) -> bool:
        """Whether the attempt goes on from another run's checkpoint."""
        return self.spec.branch is not None and self.report.attempt.number == 1

    def _batches(self) -> Any:
        from detui.engine.backends.torch.batches import Batches
        from detui.engine.backends.torch.fusion.augment import changed, drawn
        from detui.engine.backends.torch_support import distributed

        collate, train = _collate(self.config), self.config["train"]
        augment = train["augment"]

        def load(indices: Sequence[int], generators: Sequence[random.Random]) -> Any:
            frames = [self.frames[index] for index in indices]
            if augment is not None:  # each frame has a generator of its own: resumed, it is changed in the same way
                pairs = zip(frames, generators, strict=True)
                frames = [changed(frame, drawn(augment, generator)) for frame, generator in pairs]
            return collate(frames)

        return Batches(
            list(range(len(self.frames))) * train["repeat"], load, distributed.share_of(train["batch"]), self.spec.seed,
            distributed.rank(), distributed.processes(), train["threads"],
        )  # fmt: skip

    def _place(self, resumed: Path | None) -> Any:
        from detui.engine.backends.torch import state
        from detui.engine.backends.torch.loop import StagePlace

        last = self.index == len(self.spec.stages) - 1
        if resumed is None:
            steps, epochs = self.report.last_step, self.report.last_epoch
        else:
            before = state.load(resumed)["progress"]
            steps, epochs = before["steps_before"], before["epochs_before"]
        name = self.stage.name
        return StagePlace(name=name, index=self.index, steps_before=steps, epochs_before=epochs, last=last)

    def _begin(self, loop: Any, facts: Mapping[str, Any], resumed: Mapping[str, Any] | None) -> None:
        """Say what is used, and compare it with what was asked, before the first step."""
        from detui.engine.backends.torch.build import asked, model_facts, used
        from detui.engine.backends.torch_support import distributed
        from detui.engine.backends.torch_support.device import device_facts

        wanted, found = asked(self.config), used(loop, self.config)
        together = distributed.facts(loop.model, loop.batches.size, self.device)
        tested = torch_tests(str(self.device)) if self.begins else {}  # every rank its own device
        if self.begins and distributed.rank() == 0:
            self.report.begin(
                total_epochs=self.spec.total_epochs,
                steps_per_epoch=len(loop.batches),
                model={**model_facts(loop.model, self.config["model"]), **self._gflops(loop.model), **facts},
                asked=wanted,
                used=found,
                device=device_facts(self.device),
                packages=_packages(),
                arithmetic=tested,
                **({"resumed": resumed} if resumed is not None else {}),
                **({"ranks": together} if together else {}),
            )
        if self.begins:
            refuse_wrong(tested, batch_of_one=False)  # the fusion detector flattens no output of a BatchNorm
        done = (self.report.last_step, self.report.last_epoch)
        self.report.stage(self.stage.name, self.index, self.stage.epochs, *done, asked=wanted, used=found)
        refuse_other_settings(wanted, found)

    def _gflops(self, model: Any) -> dict[str, float]:
        """Of the first frame; it draws nothing, and is no part of the training."""
        from detui.engine.backends.torch.measuring import gflops

        return {"gflops": gflops(model, self.frames[0], self.config, self.device)}

    def _epoch_end(self, model: Any, epoch: int, step: int) -> None:
        """At a milestone, dump predictions and keep the checkpoint that made them."""
        if epoch not in self.spec.milestones:
            return
        from detui.engine.backends.torch import state
        from detui.engine.backends.torch.predict import predict, write

        frames, attempt = _frames(self.spec, None, "val"), self.report.attempt
        train, stopped = self.config["train"], lambda: self.report.stop_requested
        entries = predict(model, frames, _collate(self.config), self.device, train["batch"], stopped)
        if len(entries) < len(frames):
            raise StopRequested  # it cannot wait for a validation; the resumed attempt begins with it
        path = attempt.predictions / f"val-epoch-{epoch:04}.json"
        write(path, entries, frames.classes)
        kept = state.milestone_path(attempt.checkpoints, epoch)
        self.loop.keep(kept)
        self.report.evaluation(epoch, step, "val", path, kept)


def _frames(spec: RunSpec, data: Mapping[str, Any] | None, split: str) -> Frames:
    told = data or spec.data
    if told is None:
        raise RunError("The run has no data.", where="data", hint="name data in the recipe")
    return open_frames(told, split)


def _collate(config: Mapping[str, Any]) -> Any:
    """What makes a batch of frames, by the recipe's settings."""
    from detui.engine.backends.torch.fusion.inputs import collate

    train = config["train"]
    space = tuple(config["model"]["space"])
    return partial(collate, scale=train["image_scale"], crop_top=train["crop_top"], space=space)


def _options(config: Mapping[str, Any], epochs: int) -> Any:
    from detui.engine.backends.torch.loop import LoopOptions

    train = config["train"]
    return LoopOptions(
        epochs=epochs, lr=train["lr"], weight_decay=train["weight_decay"], warmup_steps=train["warmup_steps"],
        last_lr=train["last_lr"], clip=train["clip"], amp=train["amp"] == "bf16", average=train["average"],
        factors={"cameras.backbone": ("backbone", train["backbone_lr"])}, save_every=train["save_every"],
    )  # fmt: skip


def _device(kind: str) -> Any:
    import torch

    return torch.device("cpu" if kind == "cpu" else "cuda")


def _packages() -> dict[str, str]:
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__}
