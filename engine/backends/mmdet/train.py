"""The training half: MMEngine's runner, stage after stage, watched by one hook and continued to the batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.mmdet import configuration
from detui.engine.backends.torch_support.stages import check_last_stage, data_of, even, facts_of, judged
from detui.engine.errors import RunError
from detui.engine.run.files import write_whole
from detui.engine.run.spec import RunSpec
from detui.engine.worker.arithmetic import torch_tests
from detui.engine.worker.refusal import refuse_wrong
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested


class MmdetTrainer:
    """Trains Mask R-CNN."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run. Raises StopRequested after a stop, RunError when asked and used settings differ."""
        from detui.engine.backends.mmdet.building import ready
        from detui.engine.backends.torch_support import distributed

        check_last_stage(spec)
        with distributed.joined(spec.device.kind, report):
            operators = ready()
            first = int(report.resume.get("stage") or 0) if report.resume else 0
            start = Path(report.resume["checkpoint"]) if report.resume else None
            for index in range(first, len(spec.stages)):
                start = _Stage(spec, report, index, operators, begins=index == first).run(start)

    def predict(self, spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
        """Write COCO results of one split. Raises RunError for a checkpoint that cannot be read or does not fit."""
        from detui.engine.backends.mmdet.measuring import predict

        predict(spec, checkpoint, split, out, device)

    def speed(self, spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Measure speed and size. Raises RunError likewise, and for a precision that the model cannot take."""
        from detui.engine.backends.mmdet.measuring import speed

        return speed(spec, checkpoint, wanted, device)

    def describe(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Say what the model is made of. Raises MissingError for a package that is absent."""
        from detui.engine.backends.mmdet.building import describe

        return describe(spec, wanted, device)

    def check_weights(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Say what models would get of their weights. Needs no device: shapes alone are built."""
        from detui.engine.backends.mmdet.weights_check import check_weights

        return check_weights(spec, wanted)


class _Stage:
    """One stage of one attempt."""

    def __init__(self, spec: RunSpec, report: Reporter, index: int, operators: str, *, begins: bool) -> None:
        """`operators`: which are in use. `begins`: the attempt begins with it."""
        from detui.engine.backends.torch_support import distributed

        self.spec, self.report, self.index, self.operators, self.begins = spec, report, index, operators, begins
        self.stage = spec.stages[index]
        self.config: Mapping[str, Any] = self.stage.config
        self.data = data_of(spec, index)
        self.folder = report.attempt.path / "mmdet"
        self._share = distributed.share_of(self.config["train"]["batch"])
        self._main = distributed.rank() == 0
        self.place = "cpu" if spec.device.kind == "cpu" else "cuda"
        self._start: Path | None = None
        self._found: dict[str, Any] | None = None
        self._restored: dict[str, list[str]] = {}
        self._transfer: dict[str, Any] | None = None
        self._watch: Any = None
        self._loaders: dict[str, Any] = {}

    def run(self, start: Path | None) -> Path:
        """Train from the weights, or in the middle of this stage, that lie at `start`. Returns the last checkpoint."""
        from detui.engine.backends.mmdet import state
        from detui.engine.backends.mmdet.building import quiet
        from detui.engine.backends.mmdet.hooks import Watch
        from detui.engine.backends.mmdet.loop import runner_of
        from detui.engine.backends.torch_support import distributed

        own = state.load(start) if start is not None else None
        self._start, self._found = start, own if own and own[state.KEY]["stage"] == self.index else None
        self._settings = settings = configuration.configured(
            self.config, self.data, seed=self.spec.seed, epochs=self.stage.epochs, folder=self.folder,
            devices=distributed.processes(),
        )  # fmt: skip
        text = self._write(settings)
        before = self._found[state.KEY] if self._found else {}
        self._watch = Watch(
            self.report, stage=self.stage.name, index=self.index, last=self.index == len(self.spec.stages) - 1,
            steps_before=before.get("steps_before", self.report.last_step),
            epochs_before=before.get("epochs_before", self.report.last_epoch),
            text=text, save_every=self.config["train"]["save_every"], begin=self._begin, judge=self._judge,
        )  # fmt: skip
        if distributed.any_process(self.report.stop_requested):
            raise StopRequested
        with quiet():
            runner = runner_of(
                settings, self._watch, place=self.place, resumed=self._found is not None, starting=self._weights
            )
            runner.train()
        if self._watch.checkpoint is None:
            return start or Path()  # every step of the stage was done before the attempt began
        return Path(self._watch.checkpoint)

    def _write(self, settings: Mapping[str, Any]) -> str:
        """Write the configuration beside MMEngine's log; the last stage's is the run's. Returns its text."""
        text = configuration.text(settings, self.config)
        if not self._main:
            return text
        name = "config.py" if self.index == len(self.spec.stages) - 1 else f"config-s{self.index}.py"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / name, text.encode())
        return text

    def _weights(self, runner: Any) -> None:
        """Give the built model what it starts with, or the whole training what it had."""
        from detui.engine.backends.mmdet import state
        from detui.engine.backends.mmdet.weights import begin_with
        from detui.engine.backends.torch_support import distributed
        from detui.engine.backends.torch_support.generators import seed_everything

        if not self._main:  # MMEngine starts all of them at the same place, for weights that are drawn alike
            seed_everything(self.spec.seed, distributed.rank())
        model = state.unwrapped(runner.model)
        if self._found is not None:
            self._continue(runner, self._found)
            return
        names = tuple(self.data["classes"])
        before = self.spec.stages[self.index - 1].name if self.index else None
        transfer = begin_with(model, self.config["model"], self._start, names, self.spec.seed, stage=before)
        if transfer is not None:
            file = f"transfer-s{self.index}.json"
            if self._main:
                transfer.write(self.report.attempt.path / file, model)
            self._transfer = {"file": file, **transfer.summary()}

    def _continue(self, runner: Any, found: Mapping[str, Any]) -> None:
        from detui.engine.backends.mmdet import state
        from detui.engine.backends.torch_support import distributed
        from detui.engine.backends.torch_support.generators import set_random_state

        own, path = found[state.KEY], self._start or Path()
        steps = len(runner.train_dataloader)
        if own["steps_per_epoch"] != steps:
            message = f"The checkpoint is of another training: {own['steps_per_epoch']} steps an epoch, not {steps}."
            raise RunError(message, where=str(path), hint="start a new run")
        anew = state.restore(runner, found, path)
        runner.train_loop.go_on(own["epoch"], own["step"], own["epoch_open"])
        self._watch.steps.restore(own)
        self._watch.seconds = own["seconds"]
        generators = state.generators(own)
        if len(generators) == distributed.processes():
            set_random_state(generators[distributed.rank()])
        else:
            anew.append("random generators: another number of processes")
        restored = ["weights", "momentum", "rates and their schedule", "random generators", "position in the data",
                    "augmentation of each picture"]  # fmt: skip
        lost = [one.partition(":")[0] for one in anew]
        self._restored = {"restored": [one for one in restored if one not in lost], "anew": anew}

    def _begin(self, runner: Any) -> None:
        """Say what is used, and compare it with what was asked, before the first step."""
        import torch

        from detui.engine.backends.mmdet import facts, readback
        from detui.engine.backends.mmdet.state import unwrapped
        from detui.engine.backends.torch_support import distributed
        from detui.engine.backends.torch_support.device import device_facts

        wanted, found = readback.asked(self.config, self.stage.epochs), readback.used(runner)
        told = {"asked": wanted, "used": found}
        steps = len(runner.train_dataloader)
        other = not self.begins and facts_of(self.spec, self.index) != facts_of(self.spec, self.index - 1)
        # Counting FLOPs is a whole pass: only where somebody is told.
        model = facts.model_facts(runner, self.config, self.data) if self._main and (self.begins or other) else None
        if self.begins:
            tested, device = torch_tests(self.place), torch.device(self.place)  # every rank its own device
            together = distributed.facts(unwrapped(runner.model).train(), self._share, device)
            self.report.begin(
                total_epochs=self.spec.total_epochs,
                steps_per_epoch=steps if even(self.spec) else None,
                model=model,
                **told,
                device=device_facts(device),
                predictions=facts.predictions(runner),
                packages=facts.packages(),
                operators=self.operators,
                arithmetic=tested,
                **({"resumed": self._restored} if self._found is not None else {}),
                **({"ranks": together} if together else {}),
            )
            refuse_wrong(tested, batch_of_one=False)  # Mask R-CNN flattens no output of a BatchNorm
        self.report.stage(
            self.stage.name, self.index, self.stage.epochs, self.report.last_step, self.report.last_epoch,
            steps_per_epoch=steps,
            data=facts_of(self.spec, self.index),
            **told,
            **({} if self._found is not None else {"transfer": self._transfer}),
            **({"model": model} if other else {}),
        )  # fmt: skip
        readback.check(wanted, found)
        facts.check_pictures(runner.train_dataloader.dataset.inner, self.data, "train")

    def _judge(self, runner: Any, epoch: int, step: int) -> Any:
        """The validation losses of the stage's data; at a milestone, detections in the run's validation pictures."""
        from detui.engine.backends.mmdet import state
        from detui.engine.backends.mmdet.hooks import Verdict
        from detui.engine.backends.mmdet.predictions import detect, write_predictions
        from detui.engine.backends.mmdet.validation import validation_losses

        model, stopped = state.unwrapped(runner.model), lambda: self.report.stop_requested
        values: dict[str, float] = {}
        if self.config["train"]["validation_loss"]:
            values = validation_losses(model, self._loader("loss", self.data), stopped)
        how = judged(self.spec, self.index)
        if epoch not in self.spec.milestones or how == "not":
            return Verdict(values=values)
        path = self.report.attempt.predictions / f"val-epoch-{epoch:04}.json"
        write_predictions(path, detect(model, self._loader("val", self.spec.data or {}), stopped))
        kept = state.milestone_path(self.report.attempt.checkpoints, epoch)
        self._watch.keep(runner, kept)
        return Verdict(values=values, path=path, checkpoint=kept, candidate=how == "own")

    def _loader(self, kind: configuration.Kind, data: Mapping[str, Any]) -> Any:
        """A loader of validation pictures, made once. For losses a batch is as large as one that a device trains on."""
        from detui.engine.backends.mmdet.facts import check_pictures
        from detui.engine.backends.mmdet.predictions import make_loader

        devices = self.config["train"]["batch"] // self._share
        if kind not in self._loaders:
            self._loaders[kind] = make_loader(configuration.loader(self.config, data, "val", kind, devices))
            check_pictures(self._loaders[kind].dataset, data, "val")
        return self._loaders[kind]
