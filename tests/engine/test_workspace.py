"""The façade: plans with their problems, experiments that are found again, starts that lose nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from detui.engine.configuration import Configuration
from detui.engine.errors import DetuiError, FormatError, MissingError, RecipeError, RunError, UsageError
from detui.engine.experiment import create, experiments
from detui.engine.measured import Measured, remember
from detui.engine.planning import Plan
from detui.engine.process.control import wait
from detui.engine.provenance import Code
from detui.engine.workspace import Workspace
from detui.tui.plan_text import built

LINE = '{{"kind": "step", "step": 1, "epoch": 1, "values": {{"train/loss_total": 1.5}}}}'
COMMAND = f"""\
schema: 1
title: {{en: a program, zh: 一个程序}}
question: does it run?
backend: command
base:
  command: ["{{python}}", -c, 'print(''{LINE}'')']
  epochs: 1
arms: {{only: {{}}}}
seeds: [0, 1]
"""


@pytest.fixture
def workspace(hostile_path: Path) -> Workspace:
    environ = {"HOME": str(hostile_path), "DETUI_WEIGHTS": str(hostile_path / "weights")}
    configuration = Configuration.load(workspace=str(hostile_path / "logs"), environ=environ)
    return Workspace(configuration.workspace, configuration)


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program.yaml"
    path.write_text(COMMAND, encoding="utf-8")
    return str(path)


def weighted(folder: Path, sha256: str) -> str:
    path = folder / "weighted.yaml"
    path.write_text(
        "schema: 1\ntitle: t\nquestion: q\ndata: {name: scenes}\narms: {only: {}}\n"
        f"base: {{model: {{name: yolo12n, weights: tiny.pt, sha256: '{sha256}'}}, train: {{workers: 0}}}}\n"
    )
    return str(path)


TWO = COMMAND.replace("arms: {only: {}}", "arms: {small: {}, large: {train: {width: 2}}}\nvaries: [train.width]")


class TestPlan:
    """A plan says what is wrong; a start refuses it."""

    def test_the_environment_of_an_evaluator_is_looked_for_before_the_launch(
        self, workspace: Workspace, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DETUI_ENVIRONMENTS", str(tmp_path / "none"))
        data = ["data={name: scenes, evaluator: nuscenes-devkit}"]
        (error,) = workspace.plan(program, devices="cpu", overrides=data).errors
        assert (error.where, error.hint, error.missing) == ("data.evaluator", "detui env create nuscenes", True)

    def test_data_that_cannot_be_judged_as_asked_is_not_trained_on(self, workspace: Workspace, program: str) -> None:
        data = ["data={name: scenes, train: {images: 1}, val: {images: 1}, evaluator: detui}"]
        with pytest.raises(RecipeError, match="detui does not compute the metric coco"):
            workspace.start(workspace.plan(program, devices="cpu", overrides=data))
        assert experiments(workspace.path) == []

    def test_models_that_were_built_before_are_compared_before_the_launch(
        self, workspace: Workspace, tmp_path: Path
    ) -> None:
        path = tmp_path / "two.yaml"
        path.write_text(TWO, encoding="utf-8")

        def plan() -> Plan:
            return workspace.plan(str(path), devices="cpu")

        assert next(built(plan())) == "small: not yet known; a first run or --preflight tells"
        for number, known in enumerate(plan().estimates.values()):
            facts = {"parameters": 20_000_000, "queries": 300 - 200 * number}
            remember(workspace.path, known.key, known.model, Measured(None, "host", 1.0, None, built=facts))
            if number == 0:
                assert plan().fairness[0].level == "varies" and len(plan().fairness) == 1, "one side is not yet known"
        found = {one.field: (one.level, one.values) for one in plan().fairness}
        assert found["built.queries"] == ("confounder", {"small": 300, "large": 100})
        assert "built.parameters" not in found and found["train.width"][0] == "varies"
        assert list(built(plan()))[1] == "large: parameters 20,000,000, queries 100"
        with pytest.raises(RecipeError, match="built.queries differs"):
            plan().raise_confounders()

    def test_absent_weights_name_every_place_and_exit_3(self, workspace: Workspace, tmp_path: Path) -> None:
        plan = workspace.plan(weighted(tmp_path, "0" * 64), devices="cpu")
        with pytest.raises(MissingError, match="no file tiny.pt") as caught:
            workspace.start(plan)
        assert caught.value.exit_code == 3
        assert str(workspace.path.parent / "weights" / "tiny.pt") in caught.value.message
        assert "config.yaml" in str(caught.value.hint)
        assert not workspace.path.exists()

    def test_other_bytes_than_the_recipe_names_are_refused(self, workspace: Workspace, tmp_path: Path) -> None:
        (workspace.path.parent / "weights").mkdir()
        (workspace.path.parent / "weights" / "tiny.pt").write_bytes(b"truncated")
        plan = workspace.plan(weighted(tmp_path, "0" * 64), devices="cpu")
        with pytest.raises(RunError, match="not the one that the recipe names") as caught:
            workspace.start(plan)
        assert hashlib.sha256(b"truncated").hexdigest() in caught.value.message

    def test_found_weights_reach_the_worker_as_a_path(self, workspace: Workspace, tmp_path: Path) -> None:
        file = workspace.path.parent / "weights" / "tiny.pt"
        file.parent.mkdir()
        file.write_bytes(b"x")
        plan = workspace.plan(weighted(tmp_path, hashlib.sha256(b"x").hexdigest()), devices="cpu")
        spec = plan.spec(plan.arms[0], 0, experiment="e", data={}, python="python")
        assert spec.stages[0].config["model"]["weights"] == str(file)
        assert plan.arms[0].config["model"]["weights"] == "tiny.pt"

    def test_absent_data_names_every_place_and_exit_3(self, workspace: Workspace) -> None:
        plan = workspace.plan("starter/blood-cells", devices="cpu")
        assert plan.data[0].problem
        with pytest.raises(MissingError, match="bccd") as caught:
            workspace.start(plan)
        assert "DETUI_DATA" in str(caught.value.hint)

    def test_frames_of_cameras_and_lidar_are_no_images(self, workspace: Workspace, tmp_path: Path) -> None:
        path = tmp_path / "frames.yaml"
        path.write_text("schema: 1\ntitle: t\nquestion: q\ndata: {name: fusion-scenes}\narms: {only: {}}\n"
                        "base: {model: {name: yolo12n}}\n")  # fmt: skip
        with pytest.raises(RecipeError, match=r"(?s)holds frames of cameras and LiDAR.*choose a data set of images"):
            workspace.plan(str(path), devices="cpu").raise_errors()

    def test_an_option_the_device_cannot_do(self, workspace: Workspace) -> None:
        plan = workspace.plan("starter/mosaic", devices="cpu")
        with pytest.raises(RecipeError, match="bf16 mixed precision needs a GPU") as caught:
            plan.raise_errors()
        assert caught.value.hint == "--set train.amp=false"

    def test_a_difference_that_is_not_declared_is_a_warning(self, workspace: Workspace) -> None:
        plan = workspace.plan("mosaic", profile="quick", overrides=["no-mosaic.train.lr0=0.1"], devices="cpu")
        assert [p.where for p in plan.problems if p.level == "warning"] == ["train.lr0"]
        plan.raise_errors()

    def test_the_command_says_the_same_again(self, workspace: Workspace) -> None:
        plan = workspace.plan(
            "mosaic", profile="quick", arms=["baseline"], seeds=[3], overrides=["train.lr0=0.1"], devices="cpu"
        )
        command = plan.command(name="two words")
        assert command == (
            "detui run starter/mosaic --profile quick --arm baseline --seeds 3 --set train.lr0=0.1"
            " --devices cpu --name 'two words'"
        )

    def test_the_command_names_the_arms_that_a_profile_leaves_out(self, workspace: Workspace, tmp_path: Path) -> None:
        path = tmp_path / "some.yaml"
        path.write_text(
            "schema: 1\ntitle: t\nquestion: q\nbackend: command\nbase: {command: ['true'], epochs: 1}\n"
            "arms: {one: {}, two: {}}\nprofiles: {few: {arms: [one]}}\n"
        )
        few, both = (workspace.plan(str(path), profile="few", arms=arms) for arms in (None, ["one", "two"]))
        assert "--arm" not in few.command()
        assert "--arm one --arm two" in both.command()

    def test_the_command_and_the_facts_keep_what_was_asked_of_the_queue(self, workspace: Workspace) -> None:
        plan = workspace.plan("mosaic", profile="quick", devices="cpu", on_busy="fail", cpu_slots=3)
        assert plan.command().endswith(" --devices cpu --on-busy fail --cpu-slots 3")
        facts = plan.placement.facts()
        assert (facts["count"], facts["on_busy"], len(facts["candidates"])) == (1, "fail", 3)

    def test_more_devices_than_the_backend_trains_on(self, workspace: Workspace) -> None:
        plan = workspace.plan("parity/operators", profile="quick", devices="2", cpu_slots=2)
        assert any("one device" in problem.text for problem in plan.errors)
        plan = workspace.plan("mosaic", profile="quick", devices="2", cpu_slots=2)
        assert plan.errors == []

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"devices": "0"}, "at least one"),
            ({"devices": "cpu", "min_free_memory": "20G"}, "go to the CPU"),
            ({"devices": "cpu", "min_free_memory": "much"}, "no size of memory"),
            ({"devices": "cpu", "on_busy": "cry"}, "neither wait nor fail"),
            ({"devices": "cpu", "cpu_slots": 0}, "at least one slot"),
        ],
    )
    def test_what_cannot_be_asked_of_the_queue(self, workspace: Workspace, asked: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            workspace.plan("mosaic", **asked)
        with pytest.raises(MissingError, match="there are 2"):
            workspace.plan("mosaic", devices="3", cpu_slots=2)

    def test_a_gpu_that_is_not_there(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        with pytest.raises(MissingError, match="no GPU 7"):
            workspace.plan("mosaic", devices="7,")
        with pytest.raises(UsageError, match="names no device"):
            workspace.plan("mosaic", devices="seven")


class TestStart:
    """Real programs through the real supervisor."""

    def test_runs_end_and_are_found_again(self, workspace: Workspace, program: str) -> None:
        experiment = workspace.start(workspace.plan(program, devices="cpu"), name="my name", tags=["a"])
        found = wait(experiment.runs(), 60, evaluated=True)
        assert [one.state.word for one in found] == ["finished", "finished"]
        for ref in (experiment.id, experiment.id[:-3], "my name", "last", str(experiment.path)):
            assert workspace.experiment(ref).path == experiment.path
        assert workspace.run("only-s1").path == workspace.run(f"{experiment.id}/only-s1").path
        assert experiment.record_path().exists() and experiment.record_path("zh").exists()
        assert json.loads((experiment.path / "experiment.json").read_text())["schema"] == 1

    def test_hooks_of_the_configuration_are_frozen_and_run(self, hostile_path: Path, program: str) -> None:
        (hostile_path / "config.yaml").write_text("hooks: {experiment_end: [tee, told], seconds: 20}\n")
        environ = {"HOME": str(hostile_path), "DETUI_CONFIG": str(hostile_path / "config.yaml")}
        configuration = Configuration.load(workspace=str(hostile_path / "logs"), environ=environ)
        workspace = Workspace(configuration.workspace, configuration)
        experiment = workspace.start(workspace.plan(program, devices="cpu"))
        wait(experiment.runs(), 60, evaluated=True)
        assert experiment.runs()[0].spec().hooks == {"experiment_end": ["tee", "told"], "seconds": 20.0}
        (told,) = [json.loads(path.read_text()) for path in experiment.path.glob("runs/*/told")]
        assert [run["state"] for run in told["runs"]] == ["finished", "finished"]
        assert experiment.record_path().exists(), "the record is written before"

    def test_the_directory_is_private(self, workspace: Workspace, program: str) -> None:
        experiment = workspace.start(workspace.plan(program, devices="cpu"))
        wait(experiment.runs(), 60, evaluated=True)
        assert experiment.path.stat().st_mode & 0o077 == 0

    def test_a_supervisor_that_cannot_start_leaves_no_run_in_the_queue(
        self, workspace: Workspace, program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "file" / "below"))
        with pytest.raises(DetuiError):
            workspace.start(workspace.plan(program, devices="cpu"))
        (experiment,) = workspace.experiments()
        assert {wait([run], 5)[0].state.word for run in experiment.runs()} == {"failed"}


class TestFinding:
    """Experiments in a workspace that other things lie in, too."""

    def test_names_that_are_none_say_what_to_try(self, workspace: Workspace) -> None:
        with pytest.raises(MissingError, match="no experiment in"):
            workspace.experiment("last")

    def test_two_in_one_second_get_two_directories(self, workspace: Workspace, program: str) -> None:
        plan = workspace.plan(program, devices="cpu")
        made = [create(workspace.path, plan, facts={}, code=Code("0", None, None, "")) for _ in range(3)]
        assert len({experiment.path for experiment in made}) == 3
        assert next(iter(experiments(workspace.path))).path == made[-1].path

    def test_a_damaged_one_does_not_hide_the_others(self, workspace: Workspace, program: str) -> None:
        plan = workspace.plan(program, devices="cpu")
        good = create(workspace.path, plan, facts={}, code=Code("0", None, None, ""))
        bad = create(workspace.path, plan, facts={}, code=Code("0", None, None, ""))
        (bad.path / "experiment.json").write_text('{"schema": 1, "runs": ')
        assert {e.path for e in workspace.experiments()} == {good.path, bad.path}
        assert workspace.experiment(good.id).path == good.path
        with pytest.raises(FormatError, match="experiment.json"):
            bad.facts()

    def test_a_newer_one_is_refused_by_name(self, workspace: Workspace, program: str) -> None:
        experiment = create(
            workspace.path, workspace.plan(program, devices="cpu"), facts={}, code=Code("0", None, None, "")
        )
        path = experiment.path / "experiment.json"
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 2', 1))
        with pytest.raises(FormatError, match=r"schema|version"):
            experiment.facts()

    def test_a_workspace_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="not a directory"):
            Workspace.open(str(tmp_path / "file"))

    def test_a_full_disk_is_a_message(self, program: str, tmp_path: Path) -> None:
        """A tmpfs of 64 KiB: the experiment cannot be written, and the message says where and why."""
        import subprocess

        mount = tmp_path / "small"
        mount.mkdir()
        if (
            shutil.which("mount") is None
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], capture_output=True
            ).returncode
        ):
            pytest.skip("needs the right to mount a tmpfs")
        try:
            (mount / "ballast").write_bytes(b"x" * 60_000)
            workspace = Workspace.open(str(mount / "logs"))
            with pytest.raises(DetuiError) as caught:
                workspace.start(workspace.plan(program, devices="cpu"))
            assert "space" in str(caught.value).lower()
        finally:
            subprocess.run(["umount", "-l", str(mount)], check=False)
