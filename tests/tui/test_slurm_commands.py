"""What docs/cluster.md says can be typed is typed, against a real Slurm and with the real command."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detui.tui.commands import doctor
from detui.tui.context import Session

if TYPE_CHECKING:
    from slurm_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Detui = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def typed(detui: Detui, slurm: Cluster, own_leases: None) -> Detui:
    """Runs detui in the cluster; each call is a process of its own, so that detui is restarted in between."""
    return detui


def documented(repository: Path) -> list[list[str]]:
    """The words of every command of the document's chapter on Slurm."""
    text = (repository / "docs" / "cluster.md").read_text(encoding="utf-8")
    chapter = text.split("\n## Slurm\n")[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", chapter, re.S) for line in block.splitlines()]
    return [words[1:] for line in lines if (words := shlex.split(line, comments=True))]


def runs(typed: Detui) -> dict[str, dict[str, Any]]:
    listed = json.loads(typed("ls", "last", "--json").stdout)
    return {run["run"].rpartition("/")[2]: run for run in listed[0]["runs"]}


def until(typed: Detui, condition: Callable[[dict[str, dict[str, Any]]], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition(found := runs(typed)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def states(found: dict[str, dict[str, Any]]) -> set[str]:
    return {run["state"] for run in found.values()}


def test_every_documented_command(
    typed: Detui, slurm: Cluster, repository: Path, toy_recipe: Callable[..., Path], workspace: Path
) -> None:
    recipe = str(toy_recipe(epochs=200, pause=0.1))
    said: dict[str, str] = {}
    for words in documented(repository):
        arguments = [recipe if word == "mosaic" else word for word in words]
        if words[0] == "stop":  # one trains, the other has saved something, too
            until(typed, lambda found: all(run["epoch"] >= 2 for run in found.values()))
        if words[0] == "kill":
            until(typed, lambda found: all(run["attempt"] == 2 and run["state"] == "running" for run in found.values()))
        if words[0] == "retry":
            until(typed, lambda found: states(found) == {"killed"})
        done = typed(*arguments)
        said[words[0]] = done.stdout + done.stderr
        assert done.returncode == (1 if words[0] == "retry" else 0), (words, done.stdout, done.stderr)
        if words[0] == "ls":
            assert "Slurm job " in done.stdout
        if words[0] == "stop":
            until(typed, lambda found: states(found) == {"stopped"})
    assert set(said) == {"show", "run", "ls", "stop", "resume", "kill", "retry"}
    assert "Slurm: --gres=gpu:2" in said["show"], "two GPUs, where this machine has none"
    assert "was ended on request" in said["retry"]
    facts = json.loads(next(workspace.glob("*/experiment.json")).read_text())
    assert facts["executor"]["name"] == "slurm" and facts["executor"]["options"]["time"] == "08:00:00"
    assert "--executor slurm --slurm partition=gpu --slurm time=08:00:00" in facts["command"]
    kept = json.loads(next(workspace.glob("*/runs/baseline-s0/slurm.json")).read_text())
    assert kept["options"]["time"] == "23:00:00" and kept["options"]["partition"] == "gpu"
    deadline = time.monotonic() + 60  # each fills its record yet
    while slurm.jobs():
        assert time.monotonic() < deadline, slurm.jobs()
        time.sleep(0.2)


def test_a_run_that_is_waited_for_ends_with_its_record(
    typed: Detui, toy_recipe: Callable[..., Path], workspace: Path
) -> None:
    done = typed("run", str(toy_recipe(epochs=2)), "--executor", "slurm", "--slurm", "cpus=1")
    assert done.returncode == 0, done.stderr
    assert "A toy program" in done.stdout
    (asked,) = (line for line in done.stdout.splitlines() if "started by" in line)
    attempts = [json.loads(path.read_text()) for path in workspace.glob("*/runs/*/attempts/1/attempt.json")]
    (job,) = {attempt["slurm"].partition("_")[0] for attempt in attempts}
    assert f"{job}_0" in asked and f"{job}_1" in asked and "cpus=1" in asked
    assert "2 runs on Slurm: --gres=gpu:1 --signal=B:USR1@120 --cpus-per-task=1" in done.stderr
    assert states(runs(typed)) == {"finished"}
    assert typed("resume", "last", "--yes").returncode == 1, "there is nothing to resume"


def test_what_slurm_refuses_is_said_in_its_words(typed: Detui, toy_recipe: Callable[..., Path]) -> None:
    done = typed("run", str(toy_recipe()), "--executor", "slurm", "--slurm", "partition=nope")
    assert done.returncode == 1 and "invalid partition specified: nope" in done.stderr
    assert "--slurm key=value" in done.stderr
    assert states(runs(typed)) == {"failed"}
    done = typed("run", str(toy_recipe()), "--executor", "slurm", "--slurm", "partitoin=gpu")
    assert done.returncode == 2 and "no option 'partitoin'" in done.stderr
    done = typed("run", str(toy_recipe()), "--slurm", "partition=gpu")
    assert done.returncode == 2 and "--executor slurm" in done.stderr


def test_doctor_says_what_slurm_answers(slurm: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part about Slurm by itself: the whole tests every environment of this machine."""
    assert doctor._slurm in doctor._PARTS
    (found,) = doctor._slurm(Session())
    assert found.state == "ok" and found.found.startswith("partitions gpu, preemptible; ")
    monkeypatch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    (silent,) = doctor._slurm(Session())
    assert silent.state == "note" and silent.found and str(silent.hint).startswith("sinfo; ")
    monkeypatch.setenv("PATH", "/nowhere")
    assert not list(doctor._slurm(Session())), "most machines have no Slurm"
