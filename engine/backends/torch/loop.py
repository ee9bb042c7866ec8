"""A training loop for models in plain PyTorch. It knows steps, epochs and checkpoints, and nothing of any model.

A step: rates for this step, losses under autocast, backward, the task's look at the gradients, clipping, the
optimizer, the moving average, a line. What it depends on is in its checkpoint, so that a training that was stopped and
resumed computes the same numbers, to the bit, as one that was not; on a GPU as far as the model's own kernels repeat
themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from detui.engine.backends.torch import state
from detui.engine.backends.torch.average import MovingAverage
from detui.engine.backends.torch.batches import Batches
from detui.engine.backends.torch.optimiser import adamw, parameter_groups, rate_factor, set_rates
from detui.engine.backends.torch_support import distributed
from detui.engine.backends.torch_support.step_reports import StepReports
from detui.engine.errors import RunError
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """How a stage is trained."""

    epochs: int
    lr: float = 1e-4
    """Rate of the parts that have no factor of their own."""
    weight_decay: float = 0.01
    warmup_steps: int = 0
    """Steps over which the rates rise."""
    last_lr: float = 0.0
    """The last rate, as a part of the full one."""
    clip: float = 35.0
    """The largest norm of the gradient; 0: it is not clipped."""
    amp: bool = False
    """Losses are computed in bf16 where that is safe. It needs no scaling of the gradients."""
    average: float = 0.999
    """How slow the moving average is; 0: there is none, and the weights themselves are evaluated."""
    factors: Mapping[str, tuple[str, float]] | None = None
    """Parts of the model with a rate of their own: `parameter_groups`."""
    save_every: int = 0
    """Steps between checkpoints within an epoch; 0: only at its end, and when a stop is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlace:
    """Where a stage lies in its run."""

    name: str = "main"
    index: int = 0
    steps_before: int = 0
    """Steps of the stages before it."""
    epochs_before: int = 0
    last: bool = True
    """Whether nothing comes after it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Which step a task is asked about."""

    step: int
    """From 1, over the whole run."""
    epoch: int
    """From 1, over the whole run."""
    progress: float
    """Of this stage: 0 at its first step, 1 at its last."""


class Task(Protocol):
    """What a model has of its own."""

    def losses(self, model: nn.Module, batch: Any, moment: Moment) -> dict[str, Tensor]:
        """The terms of the loss, each a scalar; their sum is minimised. They are reported as `train/loss_<term>`."""

    def after_backward(self, model: nn.Module, moment: Moment) -> None:
        """Look at the gradients, before they are clipped. May raise RunError."""

    def after_step(self, moment: Moment) -> None:
        """The step is done and reported: the time for statistics of the task's own."""


EpochEnd = Callable[[nn.Module, int, int], None]
"""What is done after an epoch: evaluated model, epoch, step. May raise StopRequested, and is then done again."""


class Loop:
    """Trains one stage of a run."""

    def __init__(
        self, model: nn.Module, task: Task, batches: Batches[Any, Any], options: LoopOptions, report: Reporter,
        *, device: torch.device, place: StagePlace | None = None, epoch_end: EpochEnd | None = None,
    ) -> None:  # fmt: skip
        """`model`: on its device. `epoch_end`: called on the first process alone."""
        self.task, self.batches, self.options, self.report = task, batches, options, report
        self.device, self.place, self.epoch_end = device, place or StagePlace(), epoch_end
        self.model = model
        groups = parameter_groups(model, options.lr, options.weight_decay, options.factors or {})
        self.optimizer = adamw(groups)
        self.trained = distributed.wrapped(model)
        # After that: every process has the weights of the first one now, and so has the average.
        self.average = MovingAverage(model, options.average) if options.average else None
        self.total = options.epochs * len(batches)
        self.step = 0
        """Steps of this stage that are done."""
        self.checkpoint: Path | None = None
        """The newest one, once there is one."""
        self._epoch_open = False
        """Whether an epoch's steps are done, and what comes after them is not."""
        self._generators: list[Any] = []
        """Of every process, as they are between two epochs."""
        self._steps = StepReports(report, self.place.name)
        self._main = distributed.rank() == 0
        self._epoch_started = time.monotonic()

    @property
    def evaluated(self) -> nn.Module:
        """The model that is judged: the moving average, where there is one."""
        return self.average.model if self.average else self.model

    def run(self) -> None:
        """Train to the end of the stage. Raises StopRequested after saving, when a stop was asked for."""
        per_epoch = len(self.batches)
        if self._epoch_open:
            self._close_epoch(self.step // per_epoch - 1)
        while self.step < self.total:
            epoch, done = divmod(self.step, per_epoch)
            self._epoch_started = time.monotonic()
            self.trained.train()
            for batch in self.batches.epoch(self._epoch(epoch), done):
                self._one_step(batch, epoch)
                if self.step % per_epoch:
                    self._between_steps()
            self._end_epoch(epoch)

    def resume(self, path: Path, *, branch: bool = False) -> list[str]:
        """Continue from a checkpoint. Returns what of it could not be restored and begins anew.

        `branch`: it is another run's, and this one may be longer, or have other rates. Raises RunError where it is of
        another stage or model, or of an epoch with another number of steps; without `branch` also of another length.
        """
        told = state.load(path)
        wanted, found = self._schedule(), told.get("schedule", {})
        fixed = ("stage", "steps_per_epoch") if branch else tuple(wanted)
        if other := [
            f"{name} {found.get(name)} instead of {wanted[name]}" for name in fixed if found.get(name) != wanted[name]
        ]:
            message = f"The checkpoint is of another training: {', '.join(other)}."
            raise RunError(
                message, where=str(path), hint="start a new run, or detui branch where only its length differs"
            )
        asked = [
            {key: value for key, value in group.items() if key != "params"} for group in self.optimizer.param_groups
        ]
        try:
            self.model.load_state_dict(told["model"])
            if self.average:  # a branch may have one where its origin had none: it begins at the weights
                self.average.model.load_state_dict(told["average"] or told["model"])
                self.average.steps = int(told["average_steps"])
            self.optimizer.load_state_dict(told["optimizer"])
            for group, values in zip(self.optimizer.param_groups, asked, strict=True):
                group.update(values)
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(f"The checkpoint does not fit the model: {error}", where=str(path)) from error
        progress = told["progress"]
        self.step, self._epoch_open = progress["stage_step"], progress["epoch_open"]
        self._steps.restore(told)
        generators = told["random"]
        if len(generators) != distributed.processes():
            return ["random generators: another number of processes"]
        state.set_random_state(generators[distributed.rank()])
        return []

    def _one_step(self, batch: Any, epoch: int) -> None:
        moment = Moment(self.place.steps_before + self.step + 1, self._epoch(epoch), self.step / max(self.total - 1, 1))
        options = self.options
        factor = rate_factor(self.step, self.total, options.warmup_steps, options.last_lr)
        rates = set_rates(self.optimizer, factor)
        batch = batch.to(self.device) if hasattr(batch, "to") else batch
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options.amp):
            losses = self.task.losses(self.trained, batch, moment)
            total = torch.stack([value.float() for value in losses.values()]).sum()
        total.backward()
        self.task.after_backward(self.model, moment)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), options.clip or float("inf"))
        self.optimizer.step()
        if self.average:
            self.average.update(self.model)
        self.step += 1
        values = {f"train/loss_{name}": value for name, value in distributed.means_over_processes(losses).items()}
        self._steps.push(moment.step, moment.epoch, {**values, "train/gradient_norm": norm}, rates)
        self.task.after_step(moment)

    def _between_steps(self) -> None:
        """Save where it is time to, and where a stop was asked for."""
        stop = distributed.any_process(self.report.stop_requested)
        due = self.options.save_every and self.step % self.options.save_every == 0
        if stop or due:
            self._save()
        if stop:
            raise StopRequested

    def _end_epoch(self, epoch: int) -> None:
        self._steps.flush()
        number, step = self._epoch(epoch), self.place.steps_before + self.step
        means = self._steps.means()
        self._steps.new_epoch()
        self.report.epoch(number, step, means, self.place.name, round(time.monotonic() - self._epoch_started, 3))
        self._epoch_open = True
        self._close_epoch(epoch)

    def _close_epoch(self, epoch: int) -> None:
        """Do what comes after an epoch, then save.

        A stop may come in the middle of that. Then the epoch is saved as open, and the resumed attempt begins here.
        """
        number, step = self._epoch(epoch), self.place.steps_before + self.step
        stopped = False
        self._generators = distributed.gathered(state.random_state())
        if self.epoch_end and self._main:
            try:
                with state.random_state_kept():
                    self.epoch_end(self.evaluated, number, step)
            except StopRequested:
                stopped = True
        if distributed.any_process(stopped):  # the others wait here for the first one
            self._save()
            raise StopRequested
        self._epoch_open = False
        over = self.step >= self.total
        self._save(over=over)
        if not over and distributed.any_process(self.report.stop_requested):
            raise StopRequested

    def keep(self, path: Path) -> None:
        """Write a checkpoint for good, from within `epoch_end`: a branch may begin at it, as if it had just ended."""
        told = self._state()
        told["progress"]["epoch_open"] = False
        state.save({**told, "random": self._generators}, path)

    def _save(self, *, over: bool = False) -> None:
        """Write the checkpoint of this moment. `over`: the stage has ended."""
        self._steps.flush()
        generators = distributed.gathered(state.random_state())
        step, epochs_done = self.place.steps_before + self.step, self._epoch(self.step // len(self.batches)) - 1
        folder = self.report.attempt.checkpoints
        self.checkpoint = path = state.checkpoint_path(folder, self.place.index, step)
        if self._main:
            state.save({**self._state(), "random": generators}, path)
            state.prune(folder)
        distributed.wait_for_all()  # the next stage begins with the file, in every process
        # The end of a stage is where the next one starts; the end of the last is where nothing is resumed.
        stage = self.place.index + 1 if over and not self.place.last else self.place.index
        self.report.checkpoint(path, step, epochs_done, not (over and self.place.last), stage)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
            "average_steps": self.average.steps if self.average else 0,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule(),
            "progress": {**asdict(self.place), "stage_step": self.step, "epoch_open": self._epoch_open},
            **self._steps.state(),
        }

    def _schedule(self) -> dict[str, Any]:
        return {
            "stage": self.place.index,
            "steps": self.total,
            "steps_per_epoch": len(self.batches),
            "warmup_steps": self.options.warmup_steps,
            "last_lr": self.options.last_lr,
        }

    def _epoch(self, before: int) -> int:
        """The number of an epoch over the whole run, from 1, with `before` epochs of this stage before it."""
        return self.place.epochs_before + before + 1
