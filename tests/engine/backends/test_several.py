"""Several devices in one run, as a plan sees them: who can, and what of a step falls to each."""

from __future__ import annotations

from typing import Any

import pytest

from detui.engine.backends import BACKENDS, backend
from detui.engine.backends.base import Problem
from detui.engine.backends.several import Share, problems, ranks, share, threads


def found(name: str, batch: int, devices: int) -> list[Problem]:
    return list(problems(backend(name), {"train": {"batch": batch}}, devices))


@pytest.mark.parametrize("name", [name for name in BACKENDS if backend(name).distributes is None])
def test_a_backend_that_trains_on_one_device_says_so(name: str) -> None:
    (one,) = found(name, 4, 2)
    assert one.text == f"Runs of the backend {name} train on one device, and each would take 2."
    assert (one.level, one.where) == ("error", "devices") and "--devices 1" in str(one.hint)
    assert found(name, 4, 1) == [] and ranks(backend(name), 2) == 1


def test_who_can() -> None:
    said = {name: backend(name).distributes for name in BACKENDS}
    assert {name for name, how in said.items() if how == "torchrun"} == {"mmdet", "torch", "ultralytics"}
    assert {name for name, how in said.items() if how == "itself"} == {"command"}


@pytest.mark.parametrize(
    ("batch", "devices", "hint"),
    [(4, 3, "--set train.batch=6, or --devices 2"), (1, 2, "--set train.batch=2, or --devices 1"),
     (6, 4, "--set train.batch=8, or --devices 3")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["torch", "mmdet"])
def test_a_batch_that_cannot_be_shared_is_refused_with_what_can(name: str, batch: int, devices: int, hint: str) -> None:
    (one,) = found(name, batch, devices)
    assert (one.level, one.where, one.hint) == ("error", "train.batch", hint)
    assert f"A batch of {batch} is that of all devices together" in one.text


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "torch"])
@pytest.mark.parametrize("devices", [1, 2])
def test_a_backend_that_trains_on_one_node_says_so(name: str, devices: int) -> None:
    (one,) = problems(backend(name), {"train": {"batch": 4}}, devices, nodes=2)
    assert one.text == f"Runs of the backend {name} train on one node, and each would have 2."
    assert (one.level, one.where, one.hint) == ("error", "slurm.nodes", "--slurm nodes=1")


@pytest.mark.parametrize(
    ("batch", "devices", "hint"),
    [(6, 2, "--set train.batch=8, or --devices 1"), (5, 1, "--set train.batch=6, or --slurm nodes=1")],
)
def test_a_batch_is_shared_by_the_devices_of_all_nodes(batch: int, devices: int, hint: str) -> None:
    (one,) = problems(backend("torch"), {"train": {"batch": batch}}, devices, nodes=2)
    assert one.hint == hint and f"{2 * devices} cannot share it evenly" in one.text
    assert list(problems(backend("torch"), {"train": {"batch": 8}}, 2, nodes=2)) == []


def test_instances_of_a_gpu_train_alone() -> None:
    (one,) = problems(backend("torch"), {"train": {"batch": 4}}, 2, ("MIG-1", "MIG-2"))
    assert one.level == "error" and "NCCL connects whole GPUs" in one.text
    assert list(problems(backend("torch"), {"train": {"batch": 4}}, 1, ("MIG-1", "MIG-2"))) == []


def test_a_step_is_shared_evenly_and_its_batch_is_the_one_asked_for() -> None:
    config: dict[str, Any] = {"train": {"batch": 12}}
    torch, command = backend("torch"), backend("command")
    assert found("torch", 12, 4) == [] and ranks(torch, 4) == 4
    assert share(torch, config, 4) == Share(devices=4, images=3, batch=12)
    assert share(torch, config, 1) is None and share(command, {}, 4) is None and ranks(command, 4) == 1


def test_ranks_share_the_processors_and_not_what_a_gpu_has_beside_it() -> None:
    torch, command = backend("torch"), backend("command")
    assert threads(torch, "cpu", 2, 2) == 1 and threads(torch, "cpu", 1, 2) == 1
    assert threads(command, "cpu", 2, 2) == 2 and threads(torch, "cuda", 4, 2) == 4
