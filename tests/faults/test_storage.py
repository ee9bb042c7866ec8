"""A disk that is full or read-only: nothing lost that was acknowledged, no traceback, a next step."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toy_runs import steps_made, toy_spec, until

from detui.engine.errors import RunError
from detui.engine.process.control import status, supervised, wait
from detui.engine.process.launch import launch
from detui.engine.record.fill import fill
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.history import load_history
from detui.engine.workspace import Workspace

Mount = Callable[[str], Path]


@pytest.fixture
def mount(leases: Path, hostile_path: Path) -> Iterator[Mount]:
    """Mounts a file system in memory."""
    mounted: list[Path] = []

    def tmpfs(options: str) -> Path:
        folder = hostile_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("needs mount")
        if done.returncode:
            pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield tmpfs
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.fault("disk full while it trains", "trains on; measurements wait in memory and are written later")
def test_a_disk_that_is_full_for_a_while(mount: Mount) -> None:
    disk = mount("size=1m")
    config = {"seconds": 0.02, "steps": 150, "steps_per_epoch": 50, "checkpoint_every": 1000}
    run = RunDir.create(disk / "toy" / "runs" / "baseline-s0", toy_spec(config=config, milestones=()))
    launch(run)
    until(lambda: steps_made(run) >= 10)
    ballast = fill_up(disk)
    until(lambda: "cannot be written" in run.supervisor_log.read_text() or _lines_stand_still(run))
    assert not status(run).state.terminal, "the training goes on"
    ballast.unlink()
    assert wait([run], 30)[0].state.word == "finished"
    until(lambda: not supervised(run))
    history = load_history(run)
    assert history.series("train/loss_toy")[0] == list(range(1, 151)), "no acknowledged line is lost"
    assert history.damaged == 0 and {alarm["name"] for alarm in history.alarms} == {"disk", "disk_low"}


def _lines_stand_still(run: RunDir) -> bool:
    import time

    before = steps_made(run)
    time.sleep(0.3)
    return steps_made(run) == before


def fill_up(disk: Path) -> Path:
    """Leave not a byte free on a file system. Returns the file that takes it all."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    return ballast


@pytest.mark.fault("disk full while a checkpoint is written", "`failed`, named; resumes from the checkpoint before")
def test_a_checkpoint_that_finds_no_room(mount: Mount) -> None:
    disk = mount("size=1m")
    config = {"seconds": 0.05, "steps": 40, "checkpoint_every": 10}
    run = RunDir.create(disk / "toy" / "runs" / "baseline-s0", toy_spec(config=config, milestones=()))
    launch(run)
    until(lambda: steps_made(run) >= 12)
    ballast = fill_up(disk)
    state = wait([run], 30)[0].state
    until(lambda: not supervised(run))
    assert state.word == "failed" and "no space is left on its disk" in str(getattr(state, "reason", "")), state
    ballast.unlink()
    assert json.loads((run.attempt(1).checkpoints / "resume.json").read_text())["step"] == 10, "it is whole"
    launch(run, resume=True)
    assert wait([run], 30)[0].state.word == "finished"
    until(lambda: not supervised(run))
    assert (run.attempt(2).info() or {})["resume"]["step"] == 10
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 41))


@pytest.mark.fault("disk full while the record is written", "the old one stays whole; filled when there is room")
def test_a_record_that_finds_no_room(mount: Mount) -> None:
    disk = mount("size=8m")
    recipe = disk / "toy.yaml"
    recipe.write_text(RECORDED)
    workspace = Workspace.open(str(disk / "logs"))
    experiment = workspace.start(workspace.plan(str(recipe), devices="cpu"))
    assert wait(experiment.runs(), 60, evaluated=True)[0].state.word == "finished"
    record = experiment.record_path()
    until(lambda: "finished, 1 of 1 runs finished" in record.read_text())
    before = record.read_text().replace("finished, 1 of 1", "running, 0 of 1")
    record.write_text(before)  # so that there is something to write
    ballast = fill_up(disk)
    with pytest.raises(RunError, match="No space left") as caught:
        fill(experiment.path)
    assert "df -h" in str(caught.value) and record.read_text() == before
    ballast.unlink()
    fill(experiment.path)
    assert record.read_text() != before and "(待" not in record.read_text()


RECORDED = """\
schema: 1
title: toy
question: does a record survive a full disk?
backend: command
base: {command: ["{python}", -c, "print('{\\"step\\": 1, \\"train/loss\\": 0.5}')"], epochs: 1}
arms: {only: {}}
seeds: [0]
"""


@pytest.mark.fault("a read-only directory", "refused before the start, with the next step")
def test_a_read_only_directory(mount: Mount) -> None:
    disk = mount("size=1m")
    run = RunDir.create(disk / "toy" / "runs" / "baseline-s0", toy_spec())
    remount(disk, "ro")
    with pytest.raises(RunError, match="read-only") as caught:
        launch(run)
    assert str(run.path) in str(caught.value) and "--workspace" in str(caught.value)
    with pytest.raises(RunError, match="read-only"):
        write_json(run.path / "a.json", {})
    with pytest.raises(RunError, match="read-only"):
        RunDir.create(disk / "other", toy_spec())
    assert status(run).state.word == "queued", "what is there can still be read"


def test_a_disk_that_is_full_from_the_start(mount: Mount) -> None:
    disk = mount("size=1m")
    run = RunDir.create(disk / "toy" / "runs" / "baseline-s0", toy_spec())
    fill_up(disk)
    with pytest.raises(RunError, match="No space left") as caught:
        launch(run)
    assert "df -h" in str(caught.value)
    assert not supervised(run)
