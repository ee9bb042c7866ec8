"""MMEngine's runner and its training loop, with what they lack: quiet, a start from our weights, and a resume to the
batch.

Nothing of a step is replaced: losses, optimizer and schedules are MMEngine's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mmengine.config import Config
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner

from detui.engine.backends.mmdet.data import seeded
from detui.engine.backends.mmdet.hooks import Watch
from detui.engine.backends.mmdet.sharing import shared
from detui.engine.backends.torch_support import distributed


class DetuiRunner(Runner):
    """MMEngine's runner for one stage."""

    watch: Watch
    place: str = "cpu"
    """The device: what the run was given, whatever else the machine has."""
    resumed: bool = False
    """Whether a stage goes on: then no weights are drawn anew."""
    starting: Callable[[Any], None]
    """Gives the built model its weights, and the optimizer its state where a stage is resumed."""

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Nothing: MMEngine would ask a compiler and git for their versions."""

    def dump_config(self) -> None:
        """Nothing: it lies in the attempt's folder already."""

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        """On the run's device, and together with those of its other devices."""
        return shared(model.to(self.place))

    def _init_model_weights(self) -> None:
        if not self.resumed:
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        """Our own reading, that runs nothing of a file."""
        self.starting(self)


@LOOPS.register_module(force=True)
class DetuiEpochLoop(EpochBasedTrainLoop):
    """A loop over epochs that can begin at any batch, and end after any.

    The runner's `watch` reports, saves, and knows whether a stop was asked for.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.watch: Watch = self.runner.watch
        rank, processes = distributed.rank(), distributed.processes()
        self.dataloader: Any = seeded(self.dataloader, self.runner.seed, rank, processes)
        self.epoch_open = False
        """Whether an epoch's steps are done, and what comes after them is not."""

    def go_on(self, epoch: int, step: int, epoch_open: bool) -> None:
        """Begin where a checkpoint was saved: after so many epochs and steps of the stage."""
        self._epoch, self._iter, self.epoch_open = epoch, step, epoch_open

    def run(self) -> Any:
        """Train to the end of the stage. Raises StopRequested after saving, when a stop was asked for."""
        self.runner.call_hook("before_train")
        if self.epoch_open:
            self.close_epoch()
        while self._epoch < self._max_epochs:
            self.run_epoch()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """The batches of one epoch that are not done yet, then what comes after an epoch."""
        started = time.monotonic()
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        self.dataloader.batch_sampler.start(self._epoch, done)
        for index, batch in enumerate(self.dataloader, done):
            self.run_iter(index, batch)
            if index + 1 < len(self.dataloader):
                self.watch.between_steps(self.runner)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        self.epoch_open = True
        self.watch.seconds = round(time.monotonic() - started, 3)
        self.close_epoch()

    def close_epoch(self) -> None:
        """What comes after an epoch's steps; a stop in its middle leaves it to the resumed attempt."""
        self.watch.close_epoch(self.runner)


def runner_of(
    settings: dict[str, Any], watch: Watch, *, place: str, resumed: bool, starting: Callable[[Any], None]
) -> Any:
    """A runner by the whole configuration of a stage, whose random numbers start at its seed.

    Validation is ours, and so are the hooks but that of the schedules: MMEngine's others would wait for the GPU after
    each step to log its losses, and write checkpoints and files of their own. Processes that train together have joined
    each other before.
    """

    class Placed(DetuiRunner):
        """With its device known before it builds anything."""

    Placed.place, Placed.resumed, Placed.starting = place, resumed, staticmethod(starting)
    ours = {
        **settings,
        "val_dataloader": None, "val_cfg": None, "val_evaluator": None,
        "train_cfg": {"type": "DetuiEpochLoop", "max_epochs": settings["train_cfg"]["max_epochs"]},
        "default_hooks": {**dict.fromkeys(_SILENT), "param_scheduler": {"type": "ParamSchedulerHook"}},
        "visualizer": {"type": "Visualizer", "vis_backends": [], "name": watch.stage},
        "experiment_name": f"{watch.stage}-s{watch.index}",
        "launcher": "none" if distributed.processes() == 1 else "pytorch",
    }  # fmt: skip
    runner: Any = Placed.from_cfg(Config(ours))
    runner.watch = watch
    runner.register_hook(watch, priority="NORMAL")
    return runner


_SILENT = ("runtime_info", "timer", "sampler_seed", "logger", "checkpoint")
