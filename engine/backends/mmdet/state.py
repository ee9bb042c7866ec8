"""Checkpoints in MMEngine's own form, with what it leaves out, read without running a pickle.

MMEngine's keys are state_dict, optimizer, param_schedulers, meta and message_hub: its own tools read them. Under one
key of ours lie what a resume to the batch needs: the random generators of each process, the position in the data, and
the sums of the epoch in progress.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support import own_checkpoints
from detui.engine.errors import RunError

FORMAT = 2
"""1 had the generators of the one process there was."""
KEY = "detui"
"""What ours lies under in a checkpoint."""
_NAMES = own_checkpoints.Names(".pth")
checkpoint_path, milestone_path, prune = _NAMES.checkpoint, _NAMES.milestone, _NAMES.prune
save = own_checkpoints.write


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this backend onto the CPU. Raises RunError for a file that is torn, foreign, or newer."""
    found = own_checkpoints.read(path)
    if not isinstance(found, dict) or "state_dict" not in found or KEY not in found:
        raise RunError("The file is no checkpoint of this backend.", where=str(path))
    own_checkpoints.check_format(found[KEY]["format"], FORMAT, path)
    return found


def generators(own: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The random generators of each process that saved a checkpoint. `own`: what lies under our key."""
    told = own["random"]
    return [told] if own["format"] == 1 else list(told)


def weights(runner: Any, text: str) -> dict[str, Any]:
    """What makes the model: MMEngine's `state_dict` and `meta`. `text`: the configuration as a file."""
    import mmengine

    told = runner.train_dataloader.dataset.metainfo
    meta = {
        "epoch": runner.epoch,
        "iter": runner.iter,
        "seed": runner.seed,
        "cfg": text,
        "experiment_name": runner.experiment_name,
        "time": time.strftime("%Y%m%d_%H%M%S"),
        "mmengine_version": mmengine.__version__,
        "dataset_meta": {"classes": tuple(told["classes"]), "palette": list(told["palette"])},
    }
    return {"meta": meta, "state_dict": unwrapped(runner.model).state_dict()}


def training(runner: Any, *, momentum: bool = True) -> dict[str, Any]:
    """What continues its training: MMEngine's `optimizer`, `param_schedulers` and `message_hub`.

    `momentum`: whether the optimizer's own tensors are in it, which are as large as the weights.

    The history of values in the message hub is not kept: it is told in our own lines, and read by nobody else.
    """
    hub = {"log_scalars": {}, "runtime_info": {"epoch": runner.epoch, "iter": runner.iter}, "resumed_keys": {}}
    optimizer = runner.optim_wrapper.state_dict()
    return {
        "optimizer": optimizer if momentum else {**optimizer, "state": {}},
        "param_schedulers": [one.state_dict() for one in runner.param_schedulers or ()],
        "message_hub": hub,
    }


def parameter_names(runner: Any) -> list[str]:
    """The names of the optimizer's parameters, in the order in which its state counts them."""
    names = {id(value): name for name, value in unwrapped(runner.model).named_parameters()}
    groups = runner.optim_wrapper.optimizer.param_groups
    return [names[id(value)] for group in groups for value in group["params"]]


def restore(runner: Any, found: Mapping[str, Any], path: Path) -> list[str]:
    """Put model, optimizer and schedules where a checkpoint has them. Returns what of it begins anew.

    Rates, momentum and weight decay are those that were asked now, which in a branch may be others: the rates stand at
    the same part of their peaks as in the checkpoint. Raises RunError for one that does not fit the model.
    """
    try:
        unwrapped(runner.model).load_state_dict(found["state_dict"])
        _restore_optimizer(runner, found["optimizer"], found[KEY]["parameters"])
        for scheduler, saved in zip(runner.param_schedulers or (), found["param_schedulers"], strict=True):
            moved = {name: saved[name] for name in ("last_step", "_global_step")}
            base = [group["initial_lr"] for group in runner.optim_wrapper.param_groups]
            last = [group["lr"] for group in runner.optim_wrapper.param_groups]
            scheduler.load_state_dict({**scheduler.state_dict(), **moved, "base_values": base, "_last_value": last})
    except (RuntimeError, ValueError, KeyError) as error:
        raise RunError(f"The checkpoint does not fit the model: {error}", where=str(path)) from error
    return [] if found["optimizer"]["state"] else ["momentum"]


def _restore_optimizer(runner: Any, saved: Mapping[str, Any], names: list[str]) -> None:
    """By the names of parameters: with other factors by part, their groups are others."""
    wrapper, ours = runner.optim_wrapper, parameter_names(runner)
    state = wrapper.state_dict()
    moments = {names[number]: value for number, value in saved["state"].items()}
    state["state"] = {number: moments[name] for number, name in enumerate(ours) if name in moments}
    groups = {names[number]: group for group in saved["param_groups"] for number in group["params"]}
    for group in state["param_groups"]:
        before = groups.get(ours[group["params"][0]])
        if before is not None and "initial_lr" in before:
            peak = group.get("initial_lr", group["lr"])
            same = before["initial_lr"] == peak
            group["lr"] = before["lr"] if same else peak * before["lr"] / (before["initial_lr"] or 1.0)
    if "loss_scaler" in saved and "loss_scaler" in state:
        state["loss_scaler"] = saved["loss_scaler"]
    wrapper.load_state_dict(state)


def unwrapped(model: Any) -> Any:
    """The detector itself, without what distributes it."""
    return getattr(model, "module", model)


@contextmanager
def drawing_from(*numbers: int) -> Iterator[None]:
    """Within this, the generators of the augmentation start at a place of these numbers; after it, they are as before.

    Python's and numpy's alone: MMDetection's transforms draw from nothing else.
    """
    import numpy

    python, array = random.getstate(), numpy.random.get_state()
    sequence = numpy.random.SeedSequence(numbers)
    first, second = (int(number) for number in sequence.generate_state(2))
    random.seed(first)
    numpy.random.seed(second)
    try:
        yield
    finally:
        random.setstate(python)
        numpy.random.set_state(array)
