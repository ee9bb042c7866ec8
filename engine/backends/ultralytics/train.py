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
from types import MappingProxyType
from typing import Any

from detui.engine.backends.torch_support.stages import data_of
from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics import settings
from detui.engine.backends.ultralytics.architectures import is_rtdetr, stem
from detui.engine.backends.ultralytics.checkpoints import place_of, readable, resumable
from detui.engine.backends.ultralytics.continuing import Continuation
from detui.engine.backends.ultralytics.dataset import datasets, private_view
from detui.engine.backends.ultralytics.detectors import dictionary
from detui.engine.backends.ultralytics.inputs import RGB, RGBD, reads_depth, start_inputs
from detui.engine.backends.ultralytics.offline import go_offline, switch_off_trackers
from detui.engine.backends.ultralytics.stagedata import check_stages
from detui.engine.backends.ultralytics.transfer import Built, Transfer, forget_other_classes
from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import own_rank
from detui.engine.worker.reporter import Reporter


class UltralyticsTrainer:
    """Trains a YOLO or RT-DETR detector, stage after stage."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run. Raises StopRequested after a stop, RunError when asked and used settings differ."""
        folder, rank = report.attempt.path / "ultralytics", own_rank()
        check_stages(spec)
        go_offline(folder / (f"config-rank{rank}" if rank else "config"))
        operators = ensure_torchvision()
        from ultralytics import settings as ultralytics_settings

        from detui.engine.backends.torch_support import distributed

        switch_off_trackers(ultralytics_settings)
        with distributed.joined(spec.device.kind, report):
            self._stages(spec, report, folder, packages(operators))

    def _stages(self, spec: RunSpec, report: Reporter, folder: Path, versions: Mapping[str, str]) -> None:
        """Train what is left of the stages. `versions`: of the packages that train."""
        from detui.engine.backends.torch_support import distributed
        from detui.engine.backends.ultralytics.watch import Watch

        first, weights, resumed = _starting_point(spec, report)
        for index in range(first, len(spec.stages)):
            continuation = Continuation(resumable(resumed)) if resumed else None
            watch = Watch(spec, report, index, {"packages": versions}, index == first, continuation)
            trainer = _trainer(spec, index, folder, weights, resumed)
            watch.attach(trainer)
            trainer.train()
            weights, resumed = watch.last_checkpoint, None
            if weights is None:
                raise RunError(f"Stage {spec.stages[index].name!r} ended without a checkpoint.")
            # The same bytes as our own copy, and Ultralytics' own choice of a best epoch, which nothing reads.
            for file in (trainer.last, trainer.best) if distributed.rank() == 0 else ():
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
    if place_of(checkpoint)[0] < stage:
        return stage, checkpoint, None
    return stage, None, checkpoint


def _initial_weights(spec: RunSpec) -> Path | None:
    given = spec.config["model"]["weights"]
    return Path(given) if given else None


def _trainer(spec: RunSpec, index: int, folder: Path, weights: Path | None, resumed: Path | None) -> Any:
    """An Ultralytics trainer for one stage, told everything explicitly. `folder`: of the attempt, for all stages."""
    from detui.engine.backends.torch_support import distributed

    config = spec.stages[index].config
    # Stages on the same data share a view of it, and with that Ultralytics' cache of its labels.
    place = folder / ("data" if spec.stages[index].data is None else f"data-s{index}")
    channels = RGBD if reads_depth(config) else RGB
    data = distributed.made_by_first(lambda: private_view(data_of(spec, index), place, channels=channels))
    # A GPU for each rank. Told of several, Ultralytics would start processes of its own, which nobody listens to.
    device = "cpu" if spec.device.kind == "cpu" else str(distributed.rank())
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
    trainer.source = _source(spec, index, weights) if weights is not None else {}
    return trainer


def _source(spec: RunSpec, index: int, weights: Path) -> dict[str, Any]:
    """What the weights are that a stage starts from: a file of the recipe's, or what the stage before left."""
    model = spec.stages[index].config["model"]
    if index == 0:
        return {"kind": "weights", "file": weights.name, "sha256": model.get("sha256")}
    before, epoch = place_of(weights)
    return {"kind": "stage", "weights": "EMA", "stage": spec.stages[before].name, "epoch": epoch, "file": weights.name}


def _trainer_class(name: str) -> Any:
    if is_rtdetr(name):
        from ultralytics.models.rtdetr.train import RTDETRTrainer as Base
    else:
        from ultralytics.models.yolo.detect import DetectionTrainer as Base

    from detui.engine.backends.ultralytics.ranks import Ranked

    class Trainer(Ranked, Base):  # type: ignore[misc]
        """Ultralytics' trainer, with validation as our evaluator needs it."""

        amp: bool
        transfer: Transfer | None = None
        """What the model got from the weights that it was given; None where it was given none, or goes on."""
        source: Mapping[str, Any] = MappingProxyType({})
        """What those weights are, for the report."""
        depth_filter: str | None = None
        """What was asked of it; once the model is built, how it started. None: the model takes RGB alone."""
        weights_name: str = ""
        """What the file is called that the model starts from."""
        section: Mapping[str, Any] | None = None
        """The recipe's section of the model."""
        waiting_batches: int = 0
        """Batches whose gradients wait for the optimizer's next step."""
        _nominal: int = 1
        _ahead: int = 0
        _built: Built

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

        def set_model_names_for_load(self, model: Any) -> Any:
            """Ultralytics' own, between the building of a model and the loading of its weights."""
            self._built = Built(model)
            return super().set_model_names_for_load(model)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            """Build the model; find out what the weights gave. Raises RunError when they fit another model.

            Weights of the backbone alone are for a model that starts: what resumes, and what follows on another stage,
            has newer ones.
            """
            section = self.section or {}
            own = dictionary(section, self.data["channels"]) if section else None
            model = super().get_model(cfg=own or cfg, weights=weights, verbose=verbose)
            if weights is not None:
                forget_other_classes(model, weights, self._built)
            given, name, source = weights, self.weights_name, self.source
            if weights is None and (file := (section.get("backbone") or {}).get("weights")):
                from detui.engine.backends.ultralytics.backbone_weights import load_backbone

                given = load_backbone(model, Path(file))
                name, source = Path(file).name, given.facts
            self.depth_filter = start_inputs(model, given, self.depth_filter or "mean", name)
            if given is not None and not self.resume:
                self.transfer = Transfer(model, given, source, self._built)
                if given is weights:
                    self.transfer.check()
            del self._built
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
