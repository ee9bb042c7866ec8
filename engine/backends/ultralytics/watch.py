"""The callbacks on an Ultralytics trainer: measurements out, stop requests in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support import distributed
from detui.engine.backends.torch_support.device import device_facts
from detui.engine.backends.torch_support.late import LateScalars
from detui.engine.backends.torch_support.stages import data_of, even, facts_of, judged
from detui.engine.backends.ultralytics import numbers, one_loss, settings
from detui.engine.backends.ultralytics.architectures import is_rtdetr
from detui.engine.backends.ultralytics.batches import smallest_batch
from detui.engine.backends.ultralytics.checkpoints import keep, keep_for_good, place
from detui.engine.backends.ultralytics.continuing import Continuation, complete, evaluated, own_state
from detui.engine.backends.ultralytics.facts import model_facts
from detui.engine.backends.ultralytics.predict import beside_training
from detui.engine.backends.ultralytics.predictions import Collector, write_predictions
from detui.engine.backends.ultralytics.readback import first_step
from detui.engine.backends.ultralytics.size_weights import SizeWeights
from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.arithmetic import torch_tests
from detui.engine.worker.refusal import refuse_wrong
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

EVENTS = ("on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end", "on_train_epoch_end",
          "on_val_start", "on_val_batch_start", "on_fit_epoch_end")  # fmt: skip


class OutOfMemoryError(RunError):
    """The device ran out of memory, and the framework would go on with another batch than was asked for."""


class Watch:
    """Watches one stage of one attempt.

    Counts run over the whole run. They continue what the reporter counted last, not what was planned: a stage that
    stopped early has fewer epochs than its plan.
    """

    def __init__(
        self,
        spec: RunSpec,
        report: Reporter,
        index: int,
        facts: dict[str, Any],
        first: bool,
        continuation: Continuation | None = None,
    ) -> None:
        """`facts`: what `begin` says beside the trainer's own values. `first`: of the stages of this attempt.

        `continuation`: of a stage that is resumed in its middle.
        """
        self.spec, self.report, self.index, self.facts, self.first = spec, report, index, facts, first
        self._continuation = continuation
        self.stage = spec.stages[index]
        self.config = self.stage.config
        self._judged = judged(spec, index)
        self._start: dict[str, Any] | None = None
        self.epochs_before = 0
        self.steps_before = 0
        self.last_checkpoint: Path | None = None
        self._collector: Collector | None = None
        self._late = LateScalars()
        by_size = self.config["loss"].get("by_size")
        self._sizes = SizeWeights(by_size) if by_size else None
        self._batch = -1
        self._epoch_seen = -1
        self._validated = False
        self._common_batches = 0
        self._epoch_start = time.monotonic()

    def attach(self, trainer: Any) -> None:
        """Register on a trainer that has not started."""
        for event in EVENTS:
            trainer.add_callback(event, getattr(self, event))

    def on_train_start(self, trainer: Any) -> None:
        """Say what is used, and compare it with what was asked, before the first step."""
        self._stop_if_asked()
        steps = len(trainer.train_loader)
        self.epochs_before = self.report.last_epoch - trainer.start_epoch
        self.steps_before = self.report.last_step - trainer.start_epoch * steps
        asked, used = settings.asked(self.config), settings.used(trainer, self.config)
        if self._sizes:
            self._sizes.install(trainer)
            used |= self._sizes.used()
        if self.first:
            several = distributed.facts(trainer.model, trainer.batch_size // distributed.processes(), trainer.device)
            resumed = {"resumed": self._continuation.facts(trainer)} if self._continuation else {}
            tested = torch_tests(str(trainer.device))
            self.report.begin(
                total_epochs=self.spec.total_epochs,
                steps_per_epoch=steps if even(self.spec) else None,
                model=model_facts(trainer, self.config["model"]["name"]),
                asked=asked,
                used=used,
                device=device_facts(trainer.device),
                predictions=settings.predictions(trainer),
                arithmetic=tested,
                **({"ranks": several} if several else {}),
                **resumed,
                **self.facts,
            )
            refuse_wrong(tested, batch_of_one=self._batch_of_one(trainer))
        self._start = {
            "step": self.report.last_step,
            "epoch": self.report.last_epoch,
            "steps_per_epoch": steps,
            "data": facts_of(self.spec, self.index),
            "asked": asked,
            "used": used,
            **self._transfer(trainer),
            **self._rebuilt(trainer),
        }
        settings.check(asked, used, self.config["train"]["accept"])
        settings.check_images(trainer, data_of(self.spec, self.index))
        self._collector = Collector(trainer.validator)
        one_loss.install(trainer)

    def _batch_of_one(self, trainer: Any) -> bool:
        """Whether one image alone passes RT-DETR's input projection; YOLO flattens no output of a BatchNorm."""
        images, batch = len(trainer.train_loader.dataset), self.config["train"]["batch"]
        return is_rtdetr(self.config["model"]["name"]) and smallest_batch(batch, images, distributed.processes()) == 1

    def _transfer(self, trainer: Any) -> dict[str, Any]:
        """What the weights of the stage's start are; None for random ones, nothing for a stage that is resumed."""
        if trainer.transfer is None:
            return {} if self._continuation else {"transfer": None}
        from ultralytics.utils.torch_utils import unwrap_model

        file = f"transfer-s{self.index}.json"
        if distributed.rank() == 0:
            trainer.transfer.write(self.report.attempt.path / file, unwrap_model(trainer.model))
        return {"transfer": {"file": file, **trainer.transfer.summary()}}

    def _rebuilt(self, trainer: Any) -> dict[str, Any]:
        """The model of a later stage on other data than the one before: its head may have other classes."""
        if self.first or facts_of(self.spec, self.index) == facts_of(self.spec, self.index - 1):
            return {}
        return {"model": model_facts(trainer, self.config["model"]["name"])}

    def _tell_stage(self, trainer: Any, rates: dict[str, float]) -> None:
        """The stage, once its first step has shown what it really uses."""
        if self._start is not None:
            first = first_step(trainer, rates)
            self.report.stage(self.stage.name, self.index, self.stage.epochs, **self._start, first_step=first)
            self._start = None

    def on_train_epoch_start(self, trainer: Any) -> None:
        """Decide whether this epoch is validated; notice when Ultralytics repeats one; go on where a resume begins."""
        self._stop_if_asked()
        self._check_batch(trainer)
        if self._continuation is not None:
            self._continuation.apply(trainer)
            self._continuation = None
        if trainer.epoch == self._epoch_seen:
            self.report.alarm("repeated", f"Ultralytics repeats epoch {self._epoch(trainer)}: its loss was not finite.")
        self._epoch_seen, self._batch, self._validated = trainer.epoch, -1, False
        self._epoch_start = time.monotonic()
        milestone = self._judged == "own" and self._epoch(trainer) in self.spec.milestones
        trainer.args.val = self.config["train"]["val"] or milestone

    def on_train_batch_start(self, trainer: Any) -> None:
        """Count what waits for the optimizer: a resume takes its next step where this attempt would have."""
        trainer.waiting_batches += 1

    def on_train_batch_end(self, trainer: Any) -> None:
        """Report the step; stop here if that was asked."""
        self._batch += 1
        self._check_batch(trainer)
        rates = settings.learning_rates(trainer.optimizer)
        self._tell_stage(trainer, rates)
        losses = numbers.losses(trainer.loss_items)
        for step, epoch, values in self._late.push(self._step(trainer), self._epoch(trainer), losses, rates):
            self.report.step(step, epoch, values, self.stage.name)
        if self._sizes:
            self._report_sizes(self._sizes.step_done(self._step(trainer), self._epoch(trainer)))
        self._stop_if_asked()

    def on_train_epoch_end(self, trainer: Any) -> None:
        """The values still on their way from the GPU belong to this epoch. Collect detections where they are needed."""
        self._flush()
        # The first process alone looks whether the training gets any better; all of them validate, or none.
        trainer.stopper.possible_stop = distributed.any_process(trainer.stopper.possible_stop)
        final = trainer.epoch + 1 >= trainer.epochs
        wanted = self._epoch(trainer) in self.spec.milestones or final or trainer.stopper.possible_stop
        if self._collector:
            self._collector.begin(wanted and self._judged == "own")

    def on_val_start(self, validator: Any) -> None:
        """This epoch's validation numbers are its own, not those of an earlier one."""
        self._validated = True
        self._common_batches = min(distributed.gathered(len(validator.dataloader)))

    def on_val_batch_start(self, validator: Any) -> None:
        """A validation can take longer than the grace of a stop. A process may have a batch more than another."""
        self._common_batches -= 1
        if self._common_batches >= 0:
            self._stop_if_asked()

    def _keep(self, trainer: Any) -> None:
        """Copy the checkpoint that Ultralytics just wrote. It is reported when the epoch's numbers are."""
        folder, epoch = self.report.attempt.checkpoints, self._epoch(trainer)
        states = distributed.gathered_by_first(own_state(trainer))
        if distributed.rank() == 0:
            keep(lambda path: complete(trainer.last, trainer, states, path), folder, self.index, epoch)
        self.last_checkpoint = place(folder, self.index, epoch)

    def on_fit_epoch_end(self, trainer: Any) -> None:
        """Keep and report the epoch; at a milestone, and when training ends, hand the predictions to the evaluator."""
        # The first process alone decides that, and Ultralytics tells the others later.
        trainer.stop = distributed.any_process(trainer.stop)
        self._keep(trainer)
        epoch, step = self._epoch(trainer), self._step(trainer)
        values = {name: float(value) for name, value in numbers.losses(trainer.tloss).items()}
        if self._validated and distributed.rank() == 0:
            values |= numbers.validation(trainer.metrics)
        self.report.epoch(epoch, step, values, self.stage.name, seconds=round(time.monotonic() - self._epoch_start, 3))
        last_stage = self.index == len(self.spec.stages) - 1
        if epoch in self.spec.milestones or (trainer.stop and last_stage):
            self._hand_over(trainer, epoch, step)
        self._report_checkpoint(trainer, epoch, step, last_stage)
        if trainer.stop and trainer.epoch + 1 < trainer.epochs:
            patience = self.config["train"]["patience"]
            text = (
                f"Stopped early, after epoch {epoch}: no better by Ultralytics' own validation for {patience} epochs."
            )
            self.report.alarm("early_stop", text)
        if not trainer.stop:
            self._stop_if_asked()
        distributed.wait_for_all()  # the next stage begins with the files of the first process

    def _hand_over(self, trainer: Any, epoch: int, step: int) -> None:
        """Write the detections in the run's validation pictures, keep this epoch's checkpoint for good, and say so."""
        if self._judged == "not" or (self._judged == "own" and not self._validated):
            return
        found = self._detections(trainer)
        if distributed.rank() > 0:
            return
        path = self.report.attempt.predictions / f"val-epoch-{epoch:04}.json"
        write_predictions(path, found)
        folder = self.report.attempt.checkpoints
        kept = keep_for_good(lambda path: evaluated(trainer.last, trainer, path), folder, epoch)
        self.report.evaluation(epoch, step, "val", path, kept, candidate=self._judged == "own")

    def _detections(self, trainer: Any) -> list[dict[str, Any]]:
        """Of the validation that Ultralytics just made, or of one on the run's data beside a stage on other data.

        All of them in the first process, which makes the latter alone.
        """
        if self._judged == "beside":
            folder = self.report.attempt.path / "ultralytics" / "judged"
            return beside_training(self.spec, trainer, folder) if distributed.rank() == 0 else []
        assert self._collector is not None
        return [one for part in distributed.gathered_by_first(self._collector.results) for one in part]

    def _report_checkpoint(self, trainer: Any, epoch: int, step: int, last_stage: bool) -> None:
        """The end of a stage is where the next one starts; the end of the last is where nothing is resumed."""
        if self.last_checkpoint is None:
            return
        stage = self.index + 1 if trainer.stop and not last_stage else self.index
        self.report.checkpoint(self.last_checkpoint, step, epoch, not (trainer.stop and last_stage), stage)

    def _stop_if_asked(self) -> None:
        """For all processes to call at the same moments: a stop that has reached one ends all."""
        if distributed.any_process(self.report.stop_requested):
            self._flush()
            raise StopRequested

    def _check_batch(self, trainer: Any) -> None:
        """After running out of memory Ultralytics halves the batch by itself: another experiment than was asked for."""
        asked = self.config["train"]["batch"]
        if trainer.batch_size != asked:
            message = f"Out of memory: Ultralytics would go on with a batch of {trainer.batch_size} instead of {asked}."
            raise OutOfMemoryError(message, hint=f"start a new run with --set train.batch={trainer.batch_size}")

    def _flush(self) -> None:
        for step, epoch, values in self._late.flush():
            self.report.step(step, epoch, values, self.stage.name)
        if self._sizes:
            self._report_sizes(self._sizes.flush())

    def _report_sizes(self, samples: Iterable[tuple[int, dict[str, float]]]) -> None:
        """Shares of objects and of gradient by size."""
        for step, values in samples:
            self.report.statistic(step, values)

    def _epoch(self, trainer: Any) -> int:
        """The epoch in progress, from 1, over the whole run."""
        return int(self.epochs_before + trainer.epoch + 1)

    def _step(self, trainer: Any) -> int:
        """The steps done, over the whole run."""
        return int(self.steps_before + trainer.epoch * len(trainer.train_loader) + self._batch + 1)
