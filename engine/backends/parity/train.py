"""The training half: a recipe's sections become model, loop and reports, stage after stage, in either framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.backends.parity.stored import checksum_of, shapes_checksum, store_operators
from detui.engine.backends.torch_support.stages import check_last_stage, data_of, even, facts_of, judged
from detui.engine.run.spec import RunSpec
from detui.engine.worker.arithmetic import jittor_tests, torch_tests
from detui.engine.worker.refusal import refuse_other_settings, refuse_wrong
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

if TYPE_CHECKING:
    from detui.engine.backends.parity.data import Pictures
    from detui.engine.backends.parity.loop import Loop, StagePlace

FIRST_BATCHES = 3
"""Batches of the first epoch whose checksums `begin` tells."""


class ParityTrainer:
    """Trains RT-DETR."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run. Raises StopRequested after a stop, RunError when asked and used settings differ."""
        from detui.engine.backends.parity.building import framework_of

        check_last_stage(spec)
        framework = framework_of(spec.config["model"], _device(spec.device.kind), spec.seed)
        first = int(report.resume.get("stage") or 0) if report.resume else 0
        start = Path(report.resume["checkpoint"]) if report.resume else None
        for index in range(first, len(spec.stages)):
            start = _Stage(spec, report, index, framework, begins=index == first).run(start)

    def predict(self, spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
        """Write COCO results of one split. Raises RunError for a checkpoint that cannot be read or does not fit."""
        from detui.engine.backends.parity.building import framework_of, size_of
        from detui.engine.backends.parity.detector import Detector
        from detui.engine.backends.parity.predict import predict, write
        from detui.engine.backends.parity.state import load

        config, data = spec.stages[-1].config, spec.data or {}
        framework = framework_of(config["model"], _device(device), spec.seed)
        detector = Detector(framework, size_of(config["model"], len(data["classes"])))
        detector.network.load(load(checkpoint).evaluated)
        train = config["train"]
        write(out, predict(detector, _pictures(config, data, split), train["batch"], train["threads"]))

    def speed(self, spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Measure a checkpoint (measuring.py)."""
        from detui.engine.backends.parity.measuring import speed

        return speed(spec, checkpoint, wanted, _device(device))

    def describe(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Say what the model is made of (measuring.py). Raises MissingError where its framework is absent."""
        from detui.engine.backends.parity.measuring import describe

        return describe(spec, bool(wanted["speed"]), _device(device))


class _Stage:
    """One stage of one attempt."""

    def __init__(self, spec: RunSpec, report: Reporter, index: int, framework: Any, *, begins: bool) -> None:
        """`begins`: the attempt begins with it."""
        self.spec, self.report, self.index, self.framework, self.begins = spec, report, index, framework, begins
        self.stage = spec.stages[index]
        self.config: Mapping[str, Any] = self.stage.config
        self.data = data_of(spec, index)
        self.first: dict[str, str] = {}
        """Checksums of the run's first weights, as the framework holds them and before the jitter; {} after a resume,
        where nobody holds them any more."""

    def run(self, start: Path | None) -> Path:
        """Train from the weights, or in the middle of this stage, that lie at `start`. Returns the last checkpoint."""
        from detui.engine.backends.parity import state
        from detui.engine.backends.parity.building import first_state, jittered, size_of
        from detui.engine.backends.parity.detector import Detector
        from detui.engine.backends.parity.loop import Loop

        model, train = self.config["model"], self.config["train"]
        size = size_of(model, len(self.data["classes"]))
        saved = state.load(start) if start is not None else None
        resumed = saved is not None and saved.told["progress"]["index"] == self.index
        detector, transfer = Detector(self.framework, size), None
        if saved is not None and resumed:
            detector.network.load(saved.weights)
        else:
            first, transfer = first_state(model, size, self.spec.seed, start)
            trained = [name for name, held in detector.network.held.items() if held.trainable]
            jitter = 0.0 if start is not None else train["jitter"]
            detector.network.load(jittered(first, trained, jitter, self.spec.seed))
            if self.begins and start is None:
                # Read back: what the framework holds, not what it was given.
                self.first = {"held": checksum_of(detector.network.state()), "unmoved": checksum_of(first)}
        pictures = _pictures(self.config, self.data, "train", (self.spec.seed, self.config["augment"]))
        loop = Loop(
            detector, pictures, train, self.stage.epochs, self.report,
            place=self._place(saved.told["progress"] if saved is not None and resumed else None),
            epoch_end=lambda epoch, step: self._epoch_end(loop, epoch, step),
        )  # fmt: skip
        if saved is not None and start is not None and resumed:
            loop.resume(saved, start, branch=self.spec.branch is not None and self.report.attempt.number == 1)
        self._begin(loop, transfer, resumed=resumed)
        if self.report.stop_requested:
            raise StopRequested
        loop.run()
        return loop.checkpoint or start or Path()  # none where every step was done before the attempt began

    def _place(self, before: Mapping[str, Any] | None) -> StagePlace:
        from detui.engine.backends.parity.loop import StagePlace

        steps, epochs = self.report.last_step, self.report.last_epoch
        if before is not None:
            steps, epochs = before["steps_before"], before["epochs_before"]
        last = self.index == len(self.spec.stages) - 1
        return StagePlace(name=self.stage.name, index=self.index, steps_before=steps, epochs_before=epochs, last=last)

    def _begin(self, loop: Loop, transfer: Any, *, resumed: bool) -> None:
        """Say what is used, and compare it with what was asked, before the first step."""
        from detui.engine.backends.parity import measuring
        from detui.engine.backends.parity.building import model_facts

        wanted, found = asked(self.config), used(loop, self.config)
        if self.begins:
            size, side = loop.detector.size, self.config["train"]["image_size"]
            tested = jittor_tests() if self.framework.name == "jittor" else torch_tests(self.framework.device)
            cost = measuring.cost(self.framework, size, loop.network.state(), side)
            store_operators(self.framework, self.report.attempt.path)
            self.report.begin(
                total_epochs=self.spec.total_epochs,
                steps_per_epoch=loop.per_epoch if even(self.spec) else None,
                model={**model_facts(size, self.config["model"]), "gflops": round(cost["gflops"], 3)},
                asked=wanted,
                used=found,
                device={"kind": self.framework.device, "name": measuring.device_name(self.framework)},
                framework=self.framework.version(),
                packages=measuring.packages(),
                tensors=shapes_checksum(loop.network.shapes()),
                batches=first_batches(loop),
                **({"first_weights": self.first} if self.first else {}),
                arithmetic=tested,
                **({"resumed": {"anew": []}} if resumed else {}),
            )
            refuse_wrong(tested, batch_of_one=False)  # the model makes its tokens in another way: see layers.py
        done = (self.report.last_step, self.report.last_epoch)
        more = {} if resumed else {"transfer": transfer}
        self.report.stage(
            self.stage.name, self.index, self.stage.epochs, *done, data=facts_of(self.spec, self.index),
            asked=wanted, used=found, **more,
        )  # fmt: skip
        refuse_other_settings(wanted, found)

    def _epoch_end(self, loop: Loop, epoch: int, step: int) -> None:
        """At a milestone, dump detections in the run's validation pictures, and keep the checkpoint that made them."""
        from detui.engine.backends.parity import state
        from detui.engine.backends.parity.predict import predict, weights_of, write

        how = judged(self.spec, self.index)
        if epoch not in self.spec.milestones or how == "not":
            return
        attempt, train = self.report.attempt, self.config["train"]
        pictures = _pictures(self.config, self.spec.data or {}, "val")
        with weights_of(loop.detector, loop.average):
            found = predict(
                loop.detector, pictures, train["batch"], train["threads"], lambda: self.report.stop_requested
            )
        path = attempt.predictions / f"val-epoch-{epoch:04}.json"
        write(path, found)
        kept = state.milestone_path(attempt.checkpoints, epoch)
        loop.keep(kept)
        self.report.evaluation(epoch, step, "val", path, kept, how == "own")


def asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's fields as `train.lr` → value; what it leaves to the published size is none of them."""
    return flat_settings(config, ("model", "train", "augment"))


def flat_settings(config: Mapping[str, Any], sections: tuple[str, ...]) -> dict[str, Any]:
    """The fields of some sections by their whole names, without those that are None."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                walk(f"{prefix}.{name}", inner)
        elif value is not None:
            flat[prefix] = value

    for section in sections:
        walk(section, config[section])
    return flat


def used(loop: Loop, config: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields; those that the built model, the optimiser and the data hold are read back from them."""
    from detui.engine.backends.parity.building import used_sizes

    size, flat = loop.detector.size, asked(config)
    rates = {name.startswith("backbone."): group.rate for group in loop.groups for name in group.names}
    decay = max(group.decay for group in loop.groups)
    own = {
        **used_sizes(loop.f, size),
        "model.backbone.depths": list(size.depths), "model.backbone.widths": list(size.widths),
        "model.backbone.stem": size.stem, "model.backbone.frozen": size.frozen_norms,
        "train.lr": rates[False], "train.weight_decay": decay, "train.image_size": loop.pictures.side,
        **{f"augment.{name}": value for name, value in (loop.pictures.augment or {}).items()},
    }  # fmt: skip
    if True in rates:
        own["train.backbone_lr"] = round(rates[True] / rates[False], 12)
    return {**flat, **own}


def first_batches(loop: Loop) -> list[str]:
    """Checksums of the first batches of epoch 1: two frameworks see the same where these are equal."""
    order, size = loop.pictures.order(1), loop.train["batch"]
    starts = range(0, min(FIRST_BATCHES * size, len(order)), size)
    return [loop.pictures.batch(order[start : start + size], 1).checksum() for start in starts]


def _pictures(
    config: Mapping[str, Any], data: Mapping[str, Any], role: str, changed: tuple[int, Mapping[str, Any]] | None = None
) -> Pictures:
    """A split as it is; `changed`: in the order and with the changes of a seed, to be trained on."""
    from detui.engine.backends.parity.data import Pictures, read_pictures

    seed, augment = changed or (0, None)
    return Pictures(read_pictures(data, role), config["train"]["image_size"], seed, augment)


def _device(kind: str) -> str:
    return "cpu" if kind == "cpu" else "cuda"
