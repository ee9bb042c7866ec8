"""The training loop, the same for both frameworks: it speaks to them through `Framework` alone.

What a step depends on is in its checkpoint, or a function of seed and place: there is no generator with a state. So a
training that was stopped, or killed, and resumed computes what one that was not would have computed, as far as the
framework repeats itself: PyTorch on a CPU does to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.backends.parity import state
from detui.engine.backends.parity.criterion import Loss, losses
from detui.engine.backends.parity.data import NOISE, Batch, Pictures, generator
from detui.engine.backends.parity.denoising import make_denoising
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.groups import groups
from detui.engine.errors import RunError
from detui.engine.worker.epoch_means import EpochMeans
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

TERMS = {"class": "vfl", "l1": "bbox", "giou": "giou"}
"""Kinds of the criterion → what they are called in reports."""


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


EpochEnd = Callable[[int, int], None]
"""What is done after an epoch: epoch, step. May raise StopRequested, and is then done again."""


def rate_factor(step: int, total: int, train: Mapping[str, Any]) -> float:
    """What the rates of step number `step` (from 0) are multiplied with. `train`: the recipe's section."""
    warm = train["warmup_steps"]
    if step < warm:
        return float((step + 1) / warm)
    if train["schedule"] == "constant":
        return 1.0
    progress = min((step - warm) / max(total - warm - 1, 1), 1.0)
    last = train["last_lr"]
    return float(last + (1 - last) * 0.5 * (1 + math.cos(math.pi * progress)))


def terms_of(loss: Mapping[str, float], layers: int) -> dict[str, float]:
    """The loss's terms ("KIND/PLACE" → number) as `train/loss_…`, which add up to `train/loss`.

    `vfl`, `bbox` and `giou` are those of the last decoder layer, `aux` the sum of the others and of the selected
    tokens, `dn` that of the denoising queries.
    """
    found = {f"train/loss_{name}": 0.0 for name in (*TERMS.values(), "aux", "dn")}
    for name, value in loss.items():
        kind, _, place = name.partition("/")
        whose = "dn" if place.startswith("denoised") else TERMS[kind] if place == f"layer {layers - 1}" else "aux"
        found[f"train/loss_{whose}"] += value
    return {"train/loss": sum(found.values()), **found}


class Loop:
    """One stage's training."""

    def __init__(
        self, detector: Detector, pictures: Pictures, train: Mapping[str, Any], epochs: int, report: Reporter, *,
        place: StagePlace, epoch_end: EpochEnd | None = None,
    ) -> None:  # fmt: skip
        """`detector`: with its first weights. `train`: the recipe's section. `epochs`: of the stage."""
        self.detector, self.network, self.pictures, self.train = detector, detector.network, pictures, train
        self.f = self.network.framework
        self.report, self.place, self.epoch_end = report, place, epoch_end
        self.per_epoch = pictures.steps(train["batch"])
        self.total = epochs * self.per_epoch
        self.step = 0
        """Steps of this stage that are done."""
        self.weights = self.network.trainable()
        self.groups = groups(self.weights, train["lr"], decay=train["weight_decay"], backbone=train["backbone_lr"])
        self.optimiser = self.f.optimiser(self.weights, self.groups)
        self.average: dict[str, Array] | None = self.network.state() if train["average"] else None
        self.checkpoint: Path | None = None
        """The newest, once there is one."""
        self._means = EpochMeans()
        self._epoch_open = False
        """Whether an epoch's steps are done, and what comes after them is not."""

    def run(self) -> None:
        """Train to the end of the stage. Raises StopRequested after saving, when a stop was asked for."""
        if self._epoch_open:
            self._close_epoch()
        while self.step < self.total:
            epoch, done = divmod(self.step, self.per_epoch)
            begun = time.monotonic()
            self._steps(epoch, done)
            self._end_epoch(round(time.monotonic() - begun, 3))

    def _steps(self, epoch: int, done: int) -> None:
        self.detector.train()
        number, asked = self._epoch(epoch), time.perf_counter()
        for batch in self.pictures.epoch(number, self.train["batch"], done, self.train["threads"]):
            waited = time.perf_counter() - asked
            values = self.take(batch)
            self.step += 1
            self._tell(number, {**values, "seconds/data": waited})
            if self.step % self.per_epoch:
                self._between_steps()
            asked = time.perf_counter()

    def take(self, batch: Batch) -> dict[str, float]:
        """One step: noise, losses, gradients, clipping, the optimiser, the average. Returns what was measured."""
        begun, f, size = time.perf_counter(), self.f, self.detector.size
        side = batch.images.shape[-1]
        own = generator(NOISE, self.pictures.seed, self.place.index, self.step)
        queries = self.detector.selected_count(side, side)
        denoising = make_denoising(batch.targets, size, queries, own) if size.denoising else None
        output = self.detector(f.tensor(batch.images), denoising)
        loss = losses(f, output, batch.targets, denoising)
        told = time.perf_counter()  # the assignment has waited for the outputs
        factor = rate_factor(self.step, self.total, self.train)
        gradients = f.gradients(loss.total, self.weights)
        norm = self.optimiser.step(gradients, clip=self.train["clip"] or None, scale=factor)
        f.synchronise()
        moved = time.perf_counter()
        self._follow()
        values = terms_of(self._numbers(loss), size.decoder_layers)
        values["train/gradient_norm"] = self._number(norm)
        rate = self.train["lr"] * factor
        values |= {"lr/head": rate, "lr/backbone": rate * self.train["backbone_lr"]}
        return {**values, "seconds/forward": told - begun, "seconds/update": moved - told}

    def _numbers(self, loss: Loss) -> dict[str, float]:
        return {name: self._number(term) for name, term in loss.terms.items()}

    def _number(self, tensor: Any) -> float:
        return float(self.f.array(self.f.detach(tensor)).reshape(-1)[0])

    def _follow(self) -> None:
        """Let the average follow the weights; at the beginning it does so faster."""
        if self.average is None:
            return
        keep = np.float32(self.train["average"] * (1 - math.exp(-(self.step + 1) / 2000)))
        for name, value in self.network.state().items():
            self.average[name] = keep * self.average[name] + (1 - keep) * value

    def _tell(self, epoch: int, values: Mapping[str, float]) -> None:
        self._means.add(values)
        self.report.step(self.place.steps_before + self.step, epoch, dict(values), self.place.name)

    def _between_steps(self) -> None:
        """Save where it is time to, and where a stop was asked for."""
        due = self.train["save_every"] and self.step % self.train["save_every"] == 0
        if self.report.stop_requested or due:
            self.save()
        if self.report.stop_requested:
            raise StopRequested

    def _end_epoch(self, seconds: float) -> None:
        number, step = self._epoch(self.step // self.per_epoch - 1), self.place.steps_before + self.step
        self.report.epoch(number, step, self._means.means(), self.place.name, seconds)
        self._means.clear()
        self._epoch_open = True
        self._close_epoch()

    def _close_epoch(self) -> None:
        """Do what comes after an epoch, then save.

        A stop may come in the middle of that. Then the epoch is saved as open, and the resumed attempt begins here.
        """
        number, step = self._epoch(self.step // self.per_epoch - 1), self.place.steps_before + self.step
        if self.epoch_end is not None:
            try:
                self.epoch_end(number, step)
            except StopRequested:
                self.save()
                raise
        self._epoch_open = False
        over = self.step >= self.total
        self.save(over=over)
        if not over and self.report.stop_requested:
            raise StopRequested

    def keep(self, path: Path) -> None:
        """Write a checkpoint for good, from within `epoch_end`: a branch may begin at it, as if it had just ended."""
        state.save(self._state(epoch_open=False), path)

    def save(self, *, over: bool = False) -> None:
        """Write the checkpoint of this moment. `over`: the stage has ended."""
        step, epochs = self.place.steps_before + self.step, self._epoch(self.step // self.per_epoch) - 1
        folder = self.report.attempt.checkpoints
        path = state.checkpoint_path(folder, self.place.index, step)
        state.save(self._state(epoch_open=self._epoch_open), path)
        state.prune(folder)
        self.checkpoint = path
        # The end of a stage is where the next one starts; the end of the last is where nothing is resumed.
        stage = self.place.index + 1 if over and not self.place.last else self.place.index
        self.report.checkpoint(path, step, epochs, not (over and self.place.last), stage)

    def resume(self, saved: state.Saved, path: Path, *, branch: bool = False) -> None:
        """Continue from a checkpoint, of whichever framework.

        `branch`: it is another run's, and this one may be longer, or have other rates. Raises RunError where it is of
        another stage or model, or of an epoch with another number of steps; without `branch` also of another length.
        """
        wanted, found = self._schedule(), saved.told.get("schedule", {})
        fixed = ("stage", "steps_per_epoch") if branch else tuple(wanted)
        other = [f"{name} {found.get(name)} instead of {wanted[name]}" for name in fixed
                 if found.get(name) != wanted[name]]  # fmt: skip
        if other:
            message = f"The checkpoint is of another training: {', '.join(other)}."
            hint = "start a new run, or detui branch where only its length differs"
            raise RunError(message, where=str(path), hint=hint)
        try:
            self.network.load(saved.weights)
            self.optimiser.load(saved.optimiser)
        except KeyError as error:
            raise RunError(f"The checkpoint does not fit the model: {error} is missing.", where=str(path)) from error
        if self.average is not None:  # a branch may have one where its origin had none: it begins at the weights
            self.average = saved.evaluated
        progress = saved.told["progress"]
        self.step, self._epoch_open = progress["stage_step"], progress["epoch_open"]
        self._means.restore(saved.told)

    def _state(self, *, epoch_open: bool) -> state.Saved:
        told = {
            "framework": self.f.name,
            "schedule": self._schedule(),
            "progress": {**asdict(self.place), "stage_step": self.step, "epoch_open": epoch_open},
            **self._means.state(),
        }
        return state.Saved(self.network.state(), self.optimiser.state(), dict(self.average or {}), told)

    def _schedule(self) -> dict[str, Any]:
        kept = {name: self.train[name] for name in ("warmup_steps", "schedule", "last_lr")}
        return {"stage": self.place.index, "steps": self.total, "steps_per_epoch": self.per_epoch, **kept}

    def _epoch(self, before: int) -> int:
        """The number of an epoch over the whole run, from 1, with `before` epochs of this stage before it."""
        return self.place.epochs_before + before + 1
