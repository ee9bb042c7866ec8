"""The quick experiment of `size-weights/visdrone-rgbd`, end to end: four arms, two seeds, its record, document 003."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detui.engine.planning import Plan
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)

DETUI = str(Path(sys.executable).with_name("detui"))
RECIPE = "size-weights/visdrone-rgbd"
ARMS = ("baseline", "weighted", "uniform-scale", "small-2.5")
SIZES = ("small", "medium", "large")


def plan(folder: Path, profile: str = "full") -> Plan:
    return Workspace.open(str(folder)).plan(RECIPE, profile=profile, devices="cpu")


class TestTheRecipe:
    """What document 003 says, and the controls that it lacks."""

    def test_its_values_are_the_documents(self, tmp_path: Path) -> None:
        full = plan(tmp_path)
        assert [arm.name for arm in full.arms] == [*ARMS, "no-depth"] and full.seeds == (0, 1, 2)
        for arm in full.arms:
            train = arm.config["train"]
            assert (train["epochs"], train["batch"], train["imgsz"]) == (300, 16, 640)
            assert (train["patience"], train["cache"], train["workers"]) == (100, "ram", 8)
            assert arm.config["model"]["weights"] == "yolo12n.pt"
        assert full.resolved.milestones == (50, 100, 150, 200, 250, 300)
        file = full.recipe.file
        bounds = {(goal.metric, goal.at_least) for goal in file.goals if goal.at_least is not None}
        assert bounds == {("val/AP50", 0.42), ("val/AP_small", 0.33), ("model/fps", 30)}
        unchanged = {goal.metric for goal in file.goals if goal.unchanged}
        assert unchanged == {"model/parameters", "model/gflops"}
        (decision,) = file.decisions
        assert [step.at_least for step in decision.steps] == [0.02, 0.01, None]
        claims = {(claim.metric, claim.value) for claim in file.claims}
        assert {("model/parameters", 2700000), ("model/gflops", 11.95), ("val/AP_small", 0.3094)} <= claims

    def test_arms_differ_in_what_is_under_test_alone(self, tmp_path: Path) -> None:
        for profile in ("full", "quick", "smoke"):
            made = plan(tmp_path, profile)
            assert not [one for one in made.fairness if one.level == "confounder"], profile
        weights = {arm.name: tuple(arm.config["loss"]["by_size"]["weights"].values()) for arm in plan(tmp_path).arms}
        assert weights == {
            "baseline": (1, 1, 1), "weighted": (2, 1.5, 1), "uniform-scale": (2, 1.5, 1), "small-2.5": (2.5, 1.5, 1),
            "no-depth": (1, 1, 1),
        }  # fmt: skip

    def test_what_is_missing_is_said_with_the_next_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("DETUI_DATA", "DETUI_WEIGHTS"):
            monkeypatch.setenv(name, str(tmp_path))
        texts = {problem.where: f"{problem.text} {problem.hint}" for problem in plan(tmp_path).errors}
        assert any("visdrone" in text and "DETUI_DATA" in text for text in texts.values())
        assert "yolo12n.pt" in texts["model.weights"] and "sha256sum" in texts["model.sha256"]

    def test_quick_and_smoke_need_nothing(self, tmp_path: Path) -> None:
        assert [arm.name for arm in plan(tmp_path, "quick").arms] == list(ARMS)
        assert not plan(tmp_path, "quick").errors and not plan(tmp_path, "smoke").errors
        for profile in ("quick", "smoke"):
            assert [state.generated for state in plan(tmp_path, profile).data] == [True]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished quick experiment; its output lies beside it."""
    workspace = tmp_path_factory.mktemp("quick 数据")
    words = ("--workspace", str(workspace), "run", RECIPE, "--profile", "quick", "--devices", "cpu", "--yes")
    done = subprocess.run([DETUI, *words], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    (workspace / "stdout").write_text(done.stdout)
    return next(workspace.glob("size-weights.visdrone-rgbd-*"))


@pytest.fixture(scope="module")
def record(experiment: Path) -> str:
    return (experiment / "record.md").read_text()


def samples(experiment: Path, run: str) -> list[dict[str, Any]]:
    lines = read_lines(experiment / "runs" / run / "attempts" / "1" / "metrics.jsonl")
    return [line["values"] for line in lines if line["kind"] == "statistic" and "gradient/small" in line["values"]]


def section(record: str, heading: str) -> str:
    """A part of the record, from a heading that holds a word to the next heading of any level."""
    found = re.search(rf"^#+ [^\n]*{re.escape(heading)}.*?(?=^#+ |\Z)", record, re.M | re.S)
    assert found, f"no heading with {heading!r}"
    return found.group(0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
class TestTheQuickExperiment:
    """One experiment for all of these."""

    def test_it_trains_on_four_channels_with_the_weights_that_were_asked(self, experiment: Path) -> None:
        for arm in ARMS:
            for seed in (0, 1):
                begin = read_lines(experiment / "runs" / f"{arm}-s{seed}/attempts/1/metrics.jsonl")[0]
                assert begin["model"]["channels"] == 4
                asked = {name: value for name, value in begin["asked"].items() if name.startswith("loss.")}
                assert asked == {name: begin["used"][name] for name in asked} and len(asked) == 12

    def test_small_objects_really_got_more_gradient(self, experiment: Path) -> None:
        """At the same first step, with the same pictures and weights, so that nothing else differs."""
        first = {arm: samples(experiment, f"{arm}-s0")[0] for arm in ARMS}
        objects = {tuple(values[f"objects/{size}"] for size in SIZES) for values in first.values()}
        assert len(objects) == 1
        small = {arm: values["gradient/small"] for arm, values in first.items()}
        assert small["small-2.5"] > small["weighted"] > small["baseline"]
        assert small["uniform-scale"] == pytest.approx(small["baseline"], rel=1e-3)
        assert first["uniform-scale"]["weight/mean"] > 1.5 and first["weighted"]["weight/mean"] == 1.0

    def test_the_record_is_filled(self, experiment: Path, record: str) -> None:
        assert "quick run: not a result" in record
        holes = [line for line in record.splitlines() if "to be filled in" in line]
        assert len(holes) <= 12, "\n".join(holes)  # a person's: observations, causes, the paper
        figures = {path.stem for path in (experiment / "figures").glob("*.png")}
        assert {"losses", "ap", "pr", "detections"} <= figures and len(figures) >= 6
        assert "Parameters" in record and "FPS" in record
        assert (experiment / "record.zh.md").read_text().count("待填写") <= 16

    def test_the_speed_that_a_goal_waits_for_is_measured(self, experiment: Path, record: str) -> None:
        """Of the arm of the goal and of the reference, once each; and it stands in the final table."""
        measured = {path.parts[-4] for path in (experiment / "runs").glob("*/attempts/1/speed.json")}
        assert measured == {"baseline-s0", "weighted-s0"}
        assert re.search(r"^\| FPS \| `weighted` \| [\d.]+ \| [\d.]+ \| ", record, re.M)

    def test_goals_and_decisions_stand_with_their_intervals(self, record: str) -> None:
        assert re.search(r"parameters unchanged.*(met|reached)", record)
        assert "nothing is decided: fewer than 3 seeds a side" in record
        assert "- [ ] as expected" in record

    def test_filling_again_changes_nothing(self, experiment: Path, record: str) -> None:
        done = subprocess.run([DETUI, "record", "fill", str(experiment)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert (experiment / "record.md").read_text() == record

    def test_document_003_is_filled_from_it(self, experiment: Path, shared_data: Path, tmp_path: Path) -> None:
        document = next((shared_data.parent / "seeds").glob("003*"), None)
        if document is None:
            pytest.skip("needs document 003, which is absent")
        copy = tmp_path / "record.md"
        shutil.copy(document, copy)
        words = ("record", "fill", str(copy), "--experiment", str(experiment))
        done = subprocess.run([DETUI, *words], capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0, done.stderr
        after = copy.read_text()
        filled, left = (int(n) for n in re.findall(r"(\d+) (?:filled|left)", done.stdout + done.stderr)[-2:])
        assert filled >= 24 and left < 85, "what is left: epochs and classes that a quick run has not, and a person's"
        assert re.search(r"\| \*\*Small mAP\*\* .*\| \d+\.\d+% ", after)
        assert experiment.name in done.stdout + done.stderr
