"""What watches MMEngine's runner: measurements out, stop requests in, checkpoints and validation between the epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from detui.engine.backends.mmdet import state
from detui.engine.backends.mmdet.readback import group_of
from detui.engine.backends.torch_support import distributed
from detui.engine.backends.torch_support.generators import random_state, random_state_kept
from detui.engine.backends.torch_support.step_reports import StepReports
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

RATES = {"backbone": "lr/backbone", "neck": "lr/neck", "rpn_head": "lr/head", "roi_head": "lr/head"}
"""Part of the model → what its rate is reported as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an epoch is worth."""

    values: Mapping[str, float] = field(default_factory=dict)
    """The validation's own numbers."""
    path: Path | None = None
    """Detections in the run's validation pictures, where they were dumped,"""
    checkpoint: Path | None = None
    """and the weights that made them."""
    candidate: bool = True
    """Whether the run's checkpoint rule may choose them."""


class Watch(Hook):
    """Watches one stage of one attempt. MMEngine looks at the names of a hook's parameters: they are its own."""

    def __init__(
        self, report: Reporter, *, stage: str, index: int, last: bool, steps_before: int, epochs_before: int,
        text: str, save_every: int, begin: Callable[[Any], None], judge: Callable[[Any, int, int], Verdict],
    ) -> None:  # fmt: skip
        """Every process of a run has one. `last`: whether it is the run's last stage. `steps_before`, `epochs_before`:
        of the stages before it.

        `text`: the configuration as a file. `begin`: called with the runner before the first step. `judge`: called with
        the runner, the epoch and the step after each epoch, in the first process alone; may raise StopRequested, and is
        then called again by the attempt that goes on.
        """
        self.report, self.stage, self.index, self.last = report, stage, index, last
        self.steps_before, self.epochs_before, self.text = steps_before, epochs_before, text
        self.save_every, self._begin, self._judge = save_every, begin, judge
        self.steps = StepReports(report, stage)
        self.seconds: float | None = None
        """That the steps of the last epoch took."""
        self.checkpoint: Path | None = None
        """The newest one, once there is one."""
        self._rates: dict[str, int] = {}
        self._main = distributed.rank() == 0
        self._generators: list[Any] = []
        """Of every process, as they are between two epochs."""

    def before_train(self, runner: Any) -> None:
        """Everything is built: say what is used, before the first step."""
        held = group_of(runner.optim_wrapper.optimizer, state.unwrapped(runner.model))
        self._rates = {RATES.get(part, f"lr/{part}"): groups[0] for part, groups in held.items()}
        self._begin(runner)
        if distributed.any_process(self.report.stop_requested):
            raise StopRequested

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Report the step, with the rates that it was taken with: the schedules move them after this hook."""
        groups = runner.optim_wrapper.optimizer.param_groups
        rates = {name: float(groups[number]["lr"]) for name, number in self._rates.items()}
        losses = {f"train/{name}": value for name, value in (outputs or {}).items()}
        step, epoch = self.steps_before + runner.iter + 1, self.epochs_before + runner.epoch + 1
        self.steps.push(step, epoch, losses, {**rates, **_gradient(runner)})

    def between_steps(self, runner: Any) -> None:
        """Save where it is time to, and where a stop was asked for."""
        stop = distributed.any_process(self.report.stop_requested)
        if stop or (self.save_every and runner.iter % self.save_every == 0):
            self.save(runner)
        if stop:
            raise StopRequested

    def close_epoch(self, runner: Any) -> None:
        """Judge the epoch, report it, save. A stop meanwhile is saved with the epoch open."""
        self.steps.flush()
        epoch, step = self.epochs_before + runner.epoch, self.steps_before + runner.iter
        verdict, stopped = Verdict(), False
        self._generators = distributed.gathered(random_state())
        if self._main:
            try:
                with random_state_kept():
                    verdict = self._judge(runner, epoch, step)
            except StopRequested:
                stopped = True
        if distributed.any_process(stopped):  # the others wait here for the first one
            self.save(runner)
            raise StopRequested
        self.report.epoch(epoch, step, {**self.steps.means(), **verdict.values}, self.stage, self.seconds)
        if verdict.path is not None:
            self.report.evaluation(epoch, step, "val", verdict.path, verdict.checkpoint, verdict.candidate)
        self.steps.new_epoch()
        self.seconds = None
        runner.train_loop.epoch_open = False
        over = runner.epoch >= runner.max_epochs
        self.save(runner, over=over)
        if not over and distributed.any_process(self.report.stop_requested):
            raise StopRequested

    def save(self, runner: Any, *, over: bool = False) -> None:
        """Write the checkpoint of this moment. `over`: the stage has ended."""
        self.steps.flush()
        generators = distributed.gathered(random_state())
        step, epoch = self.steps_before + runner.iter, self.epochs_before + runner.epoch
        loop, folder = runner.train_loop, self.report.attempt.checkpoints
        self.checkpoint = path = state.checkpoint_path(folder, self.index, step)
        if self._main:
            own = {**self._own(runner), "epoch_open": loop.epoch_open, "random": generators}
            state.save({**state.weights(runner, self.text), **state.training(runner), state.KEY: own}, path)
            state.prune(folder)
        distributed.wait_for_all()  # the next stage begins with the file, in every process
        # The end of a stage is where the next one starts; the end of the last is where nothing is resumed.
        ended = epoch - 1 if loop.epoch_open else epoch
        stage = self.index + 1 if over and not self.last else self.index
        self.report.checkpoint(path, step, ended, not (over and self.last), stage)

    def keep(self, runner: Any, path: Path) -> None:
        """Write the weights at the end of this epoch for good, and what a branch can begin with; no momentum."""
        own = {**self._own(runner), "sums": {}, "summed": 0, "epoch_open": False, "random": self._generators}
        content = {**state.weights(runner, self.text), **state.training(runner, momentum=False), state.KEY: own}
        state.save(content, path)

    def _own(self, runner: Any) -> dict[str, Any]:
        return {
            "format": state.FORMAT,
            "stage": self.index,
            "steps_before": self.steps_before,
            "epochs_before": self.epochs_before,
            "step": runner.iter,
            "epoch": runner.epoch,
            "steps_per_epoch": len(runner.train_dataloader),
            "seed": runner.seed,
            **self.steps.state(),
            "seconds": self.seconds,
            "parameters": state.parameter_names(runner),
        }


def _gradient(runner: Any) -> dict[str, float]:
    """The norm of the gradient before it was clipped, where it is clipped."""
    name = "train/grad_norm"
    scalars = runner.message_hub.log_scalars
    return {"train/gradient_norm": float(scalars[name].current())} if name in scalars else {}
