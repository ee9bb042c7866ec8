"""Launching in Slurm without a cluster: what is refused, frozen and said before anything is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_runs import toy_spec

from detui.engine.configuration import Configuration
from detui.engine.errors import MissingError, UsageError
from detui.engine.executor.runs import go_on, look
from detui.engine.executor.slurm.submit import words
from detui.engine.executor.start import call_off, start
from detui.engine.plan_text import plan_json
from detui.engine.planning import Plan
from detui.engine.run.directory import RunDir
from detui.engine.run.slurm import SlurmJob
from detui.engine.slurm_options import SlurmOptions
from detui.engine.workspace import Workspace
from detui.tui.plan_text import device_text

RECIPE = """\
schema: 1
title: t
question: q
backend: command
base: {command: ["{python}", -c, pass], epochs: 1}
arms: {one: {}, two: {train: {width: 2}}}
varies: [train.width]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    file = tmp_path / "config.yaml"
    file.write_text("slurm: {partition: gpu, recipes: {own/mine: {time: 01:00:00}}}\n")
    environ = {"HOME": str(tmp_path), "DETUI_CONFIG": str(file)}
    configuration = Configuration.load(workspace=str(tmp_path / "logs"), environ=environ)
    return Workspace(configuration.workspace, configuration)


@pytest.fixture
def plan(workspace: Workspace, tmp_path: Path) -> Plan:
    return workspace.plan(recipe(tmp_path), devices="2", executor="slurm", slurm=["cpus=3"])


def recipe(folder: Path) -> str:
    path = folder / "mine.yaml"
    path.write_text(RECIPE)
    return str(path)


def test_a_plan_says_and_freezes_what_slurm_is_asked(plan: Plan) -> None:
    frozen = plan_json(plan)["executor"]
    assert (frozen["name"], frozen["options"]["partition"], frozen["options"]["cpus"]) == ("slurm", "gpu", 3)
    assert plan.command().endswith("--devices 2 --executor slurm --slurm cpus=3"), (
        "the configuration's go without saying"
    )
    spec = plan.spec(plan.arms[0], 0, data={}, experiment="e", python="python3")
    assert spec.device.granted and (spec.device.kind, spec.device.count, spec.device.candidates) == ("cuda", 2, ())
    assert plan.gpus == () and plan.errors == []


def test_every_process_of_a_run_has_its_threads(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detui.engine.placement._cpu_build", lambda: False)
    plan = workspace.plan("aqr/configurations", profile="quick", devices="2", executor="slurm")
    spec = plan.spec(plan.arms[0], 0, data={}, experiment="e", python="python3")
    assert spec.ranks == 2 and spec.threads > 1
    asked = f"--cpus-per-task={2 * spec.threads}"
    run = RunDir.create(workspace.path / "e" / "runs" / spec.name, spec)
    assert asked in words(Path("1.sh"), run, SlurmOptions(), 1)
    assert asked in device_text(plan), "what is shown is what is asked"


def test_a_plan_of_this_machine_says_so(workspace: Workspace, tmp_path: Path) -> None:
    plan = workspace.plan(recipe(tmp_path), devices="cpu")
    assert plan_json(plan)["executor"] == {"name": "local"} and "executor" not in plan.command()


@pytest.mark.parametrize(
    ("asked", "where"),
    [({"executor": "cloud"}, "--executor"), ({"slurm": ["partition=gpu"]}, "--slurm"),
     ({"executor": "slurm", "slurm": ["tmie=1"]}, "--slurm tmie=1")],
)  # fmt: skip
def test_what_no_executor_understands_is_refused(
    workspace: Workspace, tmp_path: Path, asked: dict[str, object], where: str
) -> None:
    with pytest.raises(UsageError) as raised:
        workspace.plan(recipe(tmp_path), **asked)  # type: ignore[arg-type]
    assert raised.value.where == where and raised.value.hint


def test_without_slurms_programs_nothing_is_made(
    workspace: Workspace, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="no sbatch"):
        workspace.start(plan)
    assert workspace.experiments() == []


def test_what_measures_on_this_machine_is_refused(workspace: Workspace, plan: Plan) -> None:
    with pytest.raises(UsageError, match="preflight measures on this machine"):
        workspace.preflight(plan)


def test_an_interrupted_submission_leaves_nothing_queued(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "e" / "runs" / "baseline-s0", toy_spec())
    start([run], lambda: True, SlurmOptions())
    call_off([run])
    assert look(run).state.word == "failed"


def test_a_run_of_this_machine_goes_on_here(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "e" / "runs" / "baseline-s0", toy_spec())
    with pytest.raises(UsageError, match="not given to Slurm"):
        go_on(run, slurm=SlurmOptions(partition="gpu"))


def test_a_run_that_ended_is_not_asked_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.create(tmp_path / "e" / "runs" / "baseline-s0", toy_spec())
    SlurmJob(job="7").write(run)
    run.append_event("finished", attempt=1)
    monkeypatch.setenv("PATH", str(tmp_path))  # squeue would not be found
    assert look(run).state.word == "finished" and look(run).notes == ()
