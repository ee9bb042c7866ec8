"""The training half: Ultralytics' own trainer, watched through its callbacks.

Nothing of its training loop is replaced but the last validation, which would
strip the optimizer from the checkpoint and print numbers that never enter a
comparison. A stop is honoured after the step in progress; what can be resumed
is the last complete epoch, and `continuing.py` makes the resumed curve the interrupted one's.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics import settings
from detui.engine.backends.ultralytics.architectures import is_rtdetr, stem
from detui.engine.backends.ultralytics.checkpoints import readable, resumable, stage_of
from detui.engine.backends.ultralytics.continuing import Continuation
from detui.engine.backends.ultralytics.dataset import datasets, private_view
from detui.engine.backends.ultralytics.detectors import dictionary
from detui.engine.backends.ultralytics.inputs import RGB, RGBD, reads_depth, start_inputs
from detui.engine.backends.ultralytics.offline import go_offline, switch_off_trackers
from detui.engine.backends.ultralytics.watch import Watch
from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter


class UltralyticsTrainer:
    """Trains a YOLO or RT-DETR detector, stage after stage."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run. Raises StopRequested after a stop, RunError when asked and used settings differ."""
        folder = report.attempt.path / "ultralytics"
        go_offline(folder / "config")
        operators = ensure_torchvision()
        from ultralytics import settings as ultralytics_settings

        switch_off_trackers(ultralytics_settings)
        first, weights, resumed = _starting_point(spec, report)
        for index in range(first, len(spec.stages)):
            continuation = Continuation(resumable(resumed)) if resumed else None
            watch = Watch(spec, report, index, {"packages": packages(operators)}, index == first, continuation)
            trainer = _trainer(spec, index, folder, weights, resumed)
            watch.attach(trainer)
            trainer.train()
            weights, resumed = watch.last_checkpoint, None
            if weights is None:
                raise RunError(f"Stage {spec.stages[index].name!r} ended without a checkpoint.")
            # The same bytes as our own copy, and Ultralytics' own choice of a best epoch, which nothing reads.
            for file in (trainer.last, trainer.best):
                file.unlink(missing_ok=True)

    def predict(self, spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
        """Write COCO results of one split. Raises RunError for a checkpoint that cannot be read or does not fit."""
        from detui.engine.backends.ultralytics.predict import predict

        predict(spec, checkpoint, split, out, device)

    def speed(self, spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Measure speed and size. Raises RunError likewise, and for a precision or size that the model cannot take."""
        from detui.engine.backends.ultralytics.speed import speed

        return speed(spec, checkpoint, wanted, device)

    def describe(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Say what the model is made of. Raises MissingError for a package that is absent, RunError for one that
        cannot be built.
        """
        from detui.engine.backends.ultralytics.describe import describe

        return describe(spec, wanted, device)


def _starting_point(spec: RunSpec, report: Reporter) -> tuple[int, Path | None, Path | None]:
    """The first stage of this attempt, the weights it starts from, and the checkpoint it resumes in its middle."""
    if report.resume is None:
        return 0, _initial_weights(spec), None
    checkpoint, stage = Path(report.resume["checkpoint"]), int(report.resume.get("stage") or 0)
    if stage_of(checkpoint) < stage:
        return stage, checkpoint, None
    return stage, None, checkpoint


def _initial_weights(spec: RunSpec) -> Path | None:
    given = spec.config["model"]["weights"]
    return Path(given) if given else None


def _trainer(spec: RunSpec, index: int, folder: Path, weights: Path | None, resumed: Path | None) -> Any:
    """An Ultralytics trainer for one stage, told everything explicitly. `folder`: of the attempt, for all stages."""
    config = spec.stages[index].config
    data = private_view(spec.data or {}, folder / "data", channels=RGBD if reads_depth(config) else RGB)
    device = "cpu" if spec.device.kind == "cpu" else ",".join(map(str, range(spec.device.count)))
    own = folder / spec.stages[index].name
    limit = settings.detections(spec.data)
    arguments = settings.arguments(config, seed=spec.seed, data=data, folder=own, device=device, max_det=limit)
    name = stem(config["model"]["name"])
    arguments["model"] = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    if weights is not None:
        arguments["pretrained"] = str(readable(weights))
    if resumed is not None:
        found = str(readable(resumed))
        arguments |= {"resume": found, "model": found}
    trainer = _trainer_class(name)(overrides=arguments)
    trainer.section = config["model"]
    trainer.depth_filter = config["model"].get("depth_filter")
    trainer.weights_name = (weights or resumed or Path()).name
    return trainer


def _trainer_class(name: str) -> Any:
    if is_rtdetr(name):
        from ultralytics.models.rtdetr.train import RTDETRTrainer as Base
    else:
        from ultralytics.models.yolo.detect import DetectionTrainer as Base

    class Trainer(Base):  # type: ignore[misc]
        """Ultralytics' trainer, with validation as our evaluator needs it."""

        amp: bool
        transferred: tuple[int, int] | None = None
        """How many of the model's tensors came from the weights it was given, and how many it has."""
        depth_filter: str | None = None
        """What was asked of it; once the model is built, how it started. None: the model takes RGB alone."""
        weights_name: str = ""
        """What the file is called that the model starts from."""
        section: Mapping[str, Any] | None = None
        """The recipe's section of the model."""
        backbone_weights: dict[str, Any] | None = None
        """What the backbone got from a file of its own; None where it got nothing from one."""
        waiting_batches: int = 0
        """Batches whose gradients wait for the optimizer's next step."""
        _nominal: int = 1
        _ahead: int = 0

        @property
        def accumulate(self) -> int:
            """Batches from one optimizer step to the next, as the training loop compares it with its own count."""
            return self._nominal + self._ahead

        @accumulate.setter
        def accumulate(self, batches: int) -> None:
            self._nominal = batches

        def continue_accumulation(self, waiting: int) -> None:
            """Take the first step of a resume after as many batches as if nothing had been.

            The loop counts from its last step, which a resume takes to have been before the first batch of the run;
            the difference is added to what it compares that count with.
            """
            self.waiting_batches = waiting
            self._ahead = len(self.train_loader) * self.epoch - waiting

        def optimizer_step(self) -> None:
            """Ultralytics' own, which ends the wait of the gradients."""
            super().optimizer_step()
            self.waiting_batches = self._ahead = 0

        def check_resume(self, overrides: dict[str, Any]) -> None:
            """Ultralytics' own, but what was asked holds: it would take most values from the checkpoint."""
            super().check_resume({})
            if self.resume:
                for name, value in overrides.items():
                    if name not in ("model", "data", "resume", "pretrained"):
                        setattr(self.args, name, value)

        def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
            """Ultralytics' own, but the parameter groups keep what was asked: a branch may change rate and decay."""
            asked = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
            super()._load_checkpoint_state(ckpt)
            for group, values in zip(self.optimizer.param_groups, asked, strict=True):
                group.update(values)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            """Build the model; count what the weights gave. Raises RunError when they fit another model.

            Weights of the backbone alone are for a model that starts: what resumes, and what follows on another stage,
            has newer ones.
            """
            section = self.section or {}
            own = dictionary(section, self.data["channels"]) if section else None
            model = super().get_model(cfg=own or cfg, weights=weights, verbose=verbose)
            if weights is not None and not self.resume:
                self.transferred = count_transferred(weights, model)
            given, source = weights, self.weights_name
            if weights is None and (file := (section.get("backbone") or {}).get("weights")):
                from detui.engine.backends.ultralytics.backbone_weights import load_backbone

                given, source = load_backbone(model, Path(file)), Path(file).name
                self.backbone_weights = given.facts
            self.depth_filter = start_inputs(model, given, self.depth_filter or "mean", source)
            return model

        def build_dataset(self, *args: Any, **kwargs: Any) -> Any:
            """Ultralytics' own, with depth on its pictures where the run reads it."""
            with datasets(self.data):
                return super().build_dataset(*args, **kwargs)

        def validate(self) -> Any:
            """In full precision for every arm: Ultralytics would take fp16 where it trains with AMP, even with bf16."""
            amp, self.amp = self.amp, False
            try:
                return super().validate()
            finally:
                self.amp = amp

        def final_eval(self) -> None:
            """Our evaluator judges every arm on the dumped predictions; the optimizer stays in last.pt."""

    return Trainer


ENOUGH = 0.5
"""The part of a model's tensors that weights must give, to be called its weights."""


def count_transferred(weights: Any, model: Any) -> tuple[int, int]:
    """Tensors of `model` that have their name and shape in `weights`, and all. Raises RunError below half."""
    given, wanted = weights.state_dict(), model.state_dict()
    fitting = sum(1 for name, value in wanted.items() if name in given and given[name].shape == value.shape)
    if fitting < ENOUGH * len(wanted):
        message = f"The weights are another model's: {fitting} of {len(wanted)} tensors fit."
        raise RunError(message, where="model.weights", hint="name the weights of this architecture, or none")
    return fitting, len(wanted)


def packages(operators: str) -> dict[str, str]:
    """Versions of what trains, and which torchvision operators are in use."""
    import torch
    import torchvision
    import ultralytics

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": f"{torchvision.__version__} ({operators} operators)",
        "ultralytics": ultralytics.__version__,
    }
