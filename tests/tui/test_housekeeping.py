"""Freeing space: what is kept, what goes, and that nothing of a live run is touched."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detui.engine.errors import RunError
from detui.engine.experiment import Experiment
from detui.engine.housekeeping import remove, remove_experiment, superfluous, unused_data
from detui.engine.process.identity import Identity
from detui.engine.process.lease import run_resource, take
from detui.engine.run.directory import RunDir
from detui.engine.run.disk import disk_size
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter, read_lines

from .conftest import write_experiment

Detui = Callable[..., "subprocess.CompletedProcess[str]"]
KIB = b"x" * 65536


@pytest.fixture
def trained(workspace: Path) -> Experiment:
    """A finished run with checkpoints of epochs 4, 8 and 12 (the milestones; 8 is the best) and their second names."""
    path = write_experiment(workspace, runs={"base-s0": "finished", "base-s1": "stopped"})
    for name in ("base-s0", "base-s1"):
        attempt = RunDir(path / "runs" / name).attempt(1)
        (attempt.checkpoints / "resume.pt").unlink()
        attempt.evaluations_path.unlink()
        metrics, evaluations = LineWriter(attempt.metrics_path), LineWriter(attempt.evaluations_path)
        for epoch, ap in ((4, 0.1), (8, 0.3), (12, 0.2)):
            file = attempt.checkpoints / f"epoch-{epoch:04}.pt"
            file.write_bytes(KIB)
            os.link(file, attempt.checkpoints / f"s0-e{epoch:04}.pt")
            metrics.write({"kind": "checkpoint", "step": epoch * 8, "epoch": epoch, "resumable": epoch < 12,
                           "path": f"checkpoints/s0-e{epoch:04}.pt", "bytes": len(KIB)})  # fmt: skip
            metrics.write({"kind": "evaluation", "step": epoch * 8, "epoch": epoch, "split": "val", "path": "p.json",
                           "checkpoint": f"checkpoints/{file.name}"})  # fmt: skip
            evaluations.write({"kind": "evaluation", "epoch": epoch, "step": epoch * 8, "split": "val",
                               "values": {"val/AP": ap}, "checkpoint": f"checkpoints/{file.name}"})  # fmt: skip
        metrics.close()
        evaluations.close()
    return Experiment(path)


def epochs_left(experiment: Experiment, run: str) -> list[str]:
    return sorted(path.name for path in (experiment.path / "runs" / run / "attempts/1/checkpoints").iterdir())


def test_the_best_and_the_last_stay(trained: Experiment) -> None:
    going = [one for one in superfluous(trained) if one.run and one.run.name == "base-s0"]
    assert [one.path.name for one in going] == ["epoch-0004.pt", "s0-e0004.pt"]
    assert sum(one.bytes for one in going) == len(KIB), "two names of one file free its space once"
    freed, left = remove(going)
    assert (freed, left) == (len(KIB), [])
    assert epochs_left(trained, "base-s0") == ["epoch-0008.pt", "epoch-0012.pt", "s0-e0008.pt", "s0-e0012.pt"]
    noted = read_lines(trained.path / "runs/base-s0/removed.jsonl")
    assert [line["path"] for line in noted] == [f"attempts/1/checkpoints/{one.path.name}" for one in going]


@pytest.mark.parametrize(
    ("keep", "epochs"), [("last", {12}), ("best", {8}), ("milestones", {4, 8, 12}), ("all", {4, 8, 12})]
)
def test_what_is_asked_to_be_kept(trained: Experiment, keep: str, epochs: set[int]) -> None:
    going = {one.path.name for one in superfluous(trained, [keep]) if one.run and one.run.name == "base-s0"}
    both = {name for epoch in {4, 8, 12} - epochs for name in (f"epoch-{epoch:04}.pt", f"s0-e{epoch:04}.pt")}
    assert going == both


def test_an_unfinished_run_keeps_what_it_is_resumed_from(trained: Experiment) -> None:
    going = {one.path.name for one in superfluous(trained, ["last"]) if one.run and one.run.name == "base-s1"}
    assert going == set(), "4 and 8 are where it can be resumed, 12 is its last"


def test_a_live_run_is_not_touched(trained: Experiment) -> None:
    run = RunDir(trained.path / "runs" / "base-s0")
    going = superfluous(trained)
    lock = take(run_resource(run.path), "a supervisor")
    assert lock is not None
    freed, left = remove(going)
    assert freed == 0 and "it is live" in left[0] and len(epochs_left(trained, "base-s0")) == 6
    lock.remove()
    run.append_event("queued")
    me = Identity.of(os.getpid())
    assert me is not None
    write_json(run.path / "owner.json", me.to_json())
    assert [one for one in superfluous(trained) if one.run == run] == []
    with pytest.raises(RunError, match="base-s0 is live: queued") as caught:
        remove_experiment(trained)
    assert "detui stop" in str(caught.value) and trained.path.is_dir()


def test_prepared_data_that_nobody_uses(trained: Experiment, workspace: Path) -> None:
    for name in ("used", "unused", "fresh"):
        (workspace / ".data" / name).mkdir(parents=True)
        (workspace / ".data" / name / "val.json").write_bytes(KIB)
    facts = json.loads((trained.path / "experiment.json").read_text())
    write_json(trained.path / "experiment.json", facts | {"data": {"prepared": str(workspace / ".data" / "used")}})
    for name in ("used", "unused"):
        os.utime(workspace / ".data" / name, (time.time() - 1e6, time.time() - 1e6))
    assert [one.path.name for one in unused_data(workspace)] == ["unused"]


def test_the_command_shows_before_it_removes(detui: Detui, trained: Experiment) -> None:
    shown = detui("gc", "--dry-run")
    assert shown.returncode == 0 and "epoch-0004.pt" in shown.stdout and "64.0 KiB in 2 files" in shown.stderr
    refused = detui("gc", stdin=subprocess.DEVNULL)
    assert refused.returncode == 2 and "--yes" in refused.stderr and len(epochs_left(trained, "base-s0")) == 6
    found = json.loads(detui("gc", "--yes", "--json").stdout)
    assert found["freed"] == len(KIB) and found["left"] == []
    assert "nothing to free" in detui("gc", "--yes").stderr


def test_an_experiment_is_removed_whole(detui: Detui, trained: Experiment, workspace: Path) -> None:
    before = disk_size(trained.path)
    listed = json.loads(detui("ls", "--sizes", "--json").stdout)
    assert listed[0]["bytes"] == before >= 6 * len(KIB)
    assert "KiB" in detui("ls", "--sizes").stdout.splitlines()[0]
    done = detui("rm", "last", "--yes", "--json")
    assert json.loads(done.stdout) == [{"experiment": trained.id, "bytes": before}]
    assert list(workspace.iterdir()) == []


def test_a_link_to_an_experiment_is_not_followed(trained: Experiment, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(trained.path)
    with pytest.raises(RunError, match="link"):
        remove_experiment(Experiment(link))
    assert trained.path.is_dir()
