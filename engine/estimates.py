"""What a planned arm will probably need, by what its configuration needed before on such a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.measured import Estimate, configuration_key, recall
from detui.engine.placement import Placement
from detui.engine.recipe.resolve import Resolved, ResolvedArm
from detui.engine.recipe.schema import DataSelection


def estimate(resolved: Resolved, arm: ResolvedArm, placement: Placement, workspace: Path, done: int = 0) -> Estimate:
    """Return what is remembered of an arm's configuration on the device model that it would get.

    `done`: epochs that a branch does not train, because its origin has.
    """
    backend = resolved.recipe.backend
    stages = [
        {**_without(stage.config, backend.epochs_key()), **({"data": _told(stage.data)} if stage.data else {})}
        for stage in arm.stages
    ]
    key = configuration_key(backend.name, _told(arm.data), placement.kind, placement.devices, stages)
    model = device_model(placement)
    return Estimate(key, model, arm.epochs - done, recall(workspace, key, model))


def _told(data: DataSelection | None) -> dict[str, Any] | None:
    if data is None:
        return None
    told = data.model_dump(mode="json", exclude={"test"})
    for part in (told["train"], told["val"]):
        # A list is what its hash says, wherever it lies; selections from before there were lists keep their key.
        ids = part.pop("ids")
        part.update({"ids": ids["sha256"]} if ids else {})
    return told


def _without(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A configuration without the field at `keys`."""
    copy = dict(config)
    if len(keys) == 1:
        copy.pop(keys[0], None)
    elif isinstance(copy.get(keys[0]), Mapping):
        copy[keys[0]] = _without(copy[keys[0]], keys[1:])
    return copy


def device_model(placement: Placement) -> str:
    """The name of the GPU, of the first that may be chosen, or of the processor."""
    if placement.kind != "cuda":
        from detui.engine.devices.host import processor

        return processor()
    if placement.slurm is not None:  # which one is known when it runs
        return ""
    from detui.engine.devices.nvml import list_gpus

    return next((gpu.name for gpu in list_gpus() if gpu.uuid in placement.candidates), "")


def gpus(placement: Placement) -> tuple[tuple[str, int | None, int | None], ...]:
    """Return (name as in "GPU 3", free bytes, all bytes) of the GPUs that a run may get; None for what is unknown."""
    if placement.kind != "cuda" or placement.slurm is not None:
        return ()
    from detui.engine.devices.nvml import sample_gpus

    found = []
    for name, sample in zip(placement.names, sample_gpus(placement.candidates), strict=True):
        used, total = sample.get("memory_used"), sample.get("memory_total")
        found.append((name.split(",")[0], None if used is None or total is None else total - used, total))
    return tuple(found)
