"""The recipes of `scratch-vs-pretrained`: what the document says, audited; each tried, one to its whole record."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from family_plans import Planner, arms, planner, undeclared

from detui.engine.analysis.fairness import audit
from detui.engine.data.scene_draw import draw_scene
from detui.engine.data.scene_options import SceneOptions
from detui.engine.errors import RecipeError
from detui.engine.recipe.resolve import ResolvedArm
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)

DETUI = str(Path(sys.executable).with_name("detui"))
FAMILY = "scratch-vs-pretrained"
RECIPES = ("scratch-l-vs-mnv4", "initialisation", "mnv4-tuning", "l-tuning", "curriculum", "progressive")
TUNING = ("mnv4-tuning", "l-tuning")
CHANGES = {
    "train.lr0": (0.0018, 0.0005),
    "train.warmup_epochs": (3, 10),
    "train.weight_decay": (0.00045, 0.0001),
    "train.batch": (4, 6),
    "train.epochs": (100, 300),
    "augment.mosaic": (0.0, 0.5),
    "augment.mixup": (0.0, 0.15),
}
"""Field → as it was, tuned. The targets are the document's; the starts of mosaic and mixup are ours."""
SCHEMES = {
    ("initialisation", "l-coco"): {0.235},
    ("initialisation", "mnv4-home"): {0.18, 0.22},
    ("l-tuning", "tuned"): {0.15, 0.18},
    ("mnv4-tuning", "tuned"): {0.10, 0.12},
    ("mnv4-tuning", "as-it-was"): {0.053},
}
"""Recipe and arm of the document's five schemes, in its order → the AP that it states."""
CROSSED = ("l-crowded", "mnv4-crowded", "l-simple", "mnv4-simple")
ABSENT = re.compile(r"data set|There is no file|pickle|mixed precision needs a GPU")
"""What a full plan may lack on a machine without data, weights and GPU."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    return planner(FAMILY, tmp_path_factory.mktemp("plans"))


def changed(first: ResolvedArm, second: ResolvedArm) -> dict[str, tuple[Any, Any]]:
    """The fields in which two arms differ, with both values."""
    a, b = first.flat(), second.flat()
    return {field: (a.get(field), b.get(field)) for field in {*a, *b} if a.get(field) != b.get(field)}


class TestEveryRecipe:
    """What holds for all six."""

    @pytest.mark.parametrize("name", RECIPES)
    def test_nothing_differs_but_what_is_declared(self, plan: Planner, name: str) -> None:
        assert undeclared(plan, name) == []

    @pytest.mark.parametrize("name", RECIPES)
    def test_the_smoke_profile_needs_nothing(self, plan: Planner, name: str) -> None:
        full, smoke = plan(name), plan(name, "smoke")
        assert [arm.name for arm in smoke.arms] == [arm.name for arm in full.arms], "an arm is not audited"
        assert not smoke.errors and all(state.generated for state in smoke.data)

    @pytest.mark.parametrize("name", RECIPES)
    def test_a_full_run_lacks_files_alone(self, plan: Planner, name: str) -> None:
        made = plan(name)
        assert made.errors and [one.text for one in made.errors if not ABSENT.search(one.text)] == []

    @pytest.mark.parametrize("name", RECIPES)
    def test_what_the_framework_would_choose_is_chosen(self, plan: Planner, name: str) -> None:
        for arm in plan(name).arms:
            for stage in arm.stages:
                train = stage.config["train"]
                assert (train["optimizer"], train["warmup_bias_lr"]) == ("AdamW", 0.0)
                assert (train["amp"], train["deterministic"], train["imgsz"]) == ("bf16", False, 640)

    @pytest.mark.parametrize("name", RECIPES)
    def test_convergence_can_be_told(self, plan: Planner, name: str) -> None:
        """Each arm is evaluated in each of its last ten epochs, and early enough to say when it was half way."""
        made = plan(name)
        for arm in made.arms:
            mine = {stone for stone in made.resolved.milestones if stone <= arm.epochs}
            assert {*range(arm.epochs - 9, arm.epochs + 1)} <= mine and {1, 10} <= mine
        assert (made.seeds, made.resolved.checkpoint_rule["rule"]) == ((0, 1, 2), "best")

    @pytest.mark.parametrize("name", RECIPES)
    def test_every_claim_says_where_it_stands_and_can_be_set_beside_a_run(self, plan: Planner, name: str) -> None:
        made = plan(name)
        lengths = {arm.of: arm.epochs for arm in made.arms}
        for claim in made.recipe.file.claims:
            assert claim.source.startswith("从零训练对比分析") and claim.arm in lengths
            if claim.epoch is not None:
                assert claim.epoch <= lengths[claim.arm]
                assert claim.metric.startswith("train/") or claim.epoch in made.resolved.milestones
            assert claim.metric.startswith("train/") == (claim.epoch is not None and claim.metric != "val/AP")

    def test_the_five_schemes_are_claimed(self, plan: Planner) -> None:
        """Where `detui compare` of the guide looks for them: of the chosen checkpoint."""
        for (name, arm), values in SCHEMES.items():
            claims = plan(name).recipe.file.claims
            told = {one.value for one in claims if (one.arm, one.metric, one.epoch) == (arm, "val/AP", None)}
            assert told == values, (name, arm)

    def test_the_five_schemes_differ_in_what_the_guide_names(self, plan: Planner) -> None:
        found = {f"{name}/{arm}": arms(plan(name))[arm].config for name, arm in SCHEMES}
        assert {one.field for one in audit(found, ())} == {"model.name", "model.weights", *CHANGES}

    def test_milestones_beyond_a_shorter_arm_do_not_keep_it_from_running(self, plan: Planner, tmp_path: Path) -> None:
        made = Workspace.open(str(tmp_path)).plan(f"{FAMILY}/mnv4-tuning", arms=["as-it-was"], devices="cpu")
        assert made.resolved.milestones[-1] == 100
        assert set(made.resolved.milestones) < set(plan("mnv4-tuning").resolved.milestones)


class TestLargeAgainstLight:
    """`scratch-l-vs-mnv4`."""

    def test_the_model_is_all_that_differs_on_each_data_set(self, plan: Planner) -> None:
        made = arms(plan("scratch-l-vs-mnv4"))
        assert tuple(made) == CROSSED
        for role in ("crowded", "simple"):
            assert changed(made[f"l-{role}"], made[f"mnv4-{role}"]) == {
                "model.name": ("rtdetr-l", "rtdetr-mnv4-hybrid-m")
            }
        assert {name: arm.data.name for name, arm in made.items() if arm.data} == {
            "l-crowded": "coco-indoor", "mnv4-crowded": "coco-indoor",
            "l-simple": "homeobjects", "mnv4-simple": "homeobjects",
        }  # fmt: skip

    def test_the_losses_of_the_document_stand_at_their_epochs(self, plan: Planner) -> None:
        claims = plan("scratch-l-vs-mnv4").recipe.file.claims
        told = {(one.arm, one.metric.rpartition("/")[2], one.epoch): one.value for one in claims if one.epoch}
        assert told == {
            ("l", "loss_cls", 1): 0.78, ("l", "loss_giou", 1): 0.96, ("l", "loss_cls", 10): 0.68,
            ("l", "loss_giou", 10): 0.70, ("l", "loss_cls", 50): 0.53, ("l", "loss_giou", 50): 0.52,
            ("l", "AP", 80): 0.235,
            ("mnv4", "loss_cls", 1): 0.38, ("mnv4", "loss_giou", 1): 1.67, ("mnv4", "loss_cls", 10): 0.58,
            ("mnv4", "loss_giou", 10): 1.35, ("mnv4", "loss_cls", 50): 0.73, ("mnv4", "loss_giou", 50): 1.08,
            ("mnv4", "loss_cls", 100): 0.77, ("mnv4", "AP", 100): 0.053,
        }  # fmt: skip
        final = {(one.arm, one.data_set, one.value) for one in claims if one.metric == "val/AP" and one.epoch is None}
        assert {
            ("l", "simple", 0.216),
            ("mnv4", "simple", 0.269),
            ("l", "crowded", 0.15),
            ("mnv4", "crowded", 0.08),
        } <= final

    def test_expectations_are_questions_about_one_data_set(self, plan: Planner) -> None:
        file = plan("scratch-l-vs-mnv4").recipe.file
        for goal in file.goals:
            assert goal.data_set and not isinstance(goal.title, str) and goal.title is not None
            assert goal.title.en.endswith("?") and str(goal.title.zh).endswith("？")
        assert {decision.data_set for decision in file.decisions} == {"crowded", "simple"}

    def test_the_quick_scenes_have_the_documents_densities(self, plan: Planner) -> None:
        for role, wanted in (("crowded", 20), ("simple", 10)):
            data = plan("scratch-l-vs-mnv4", "quick").resolved.data_sets[role]
            options = SceneOptions.model_validate(data.options)
            counts = [
                len(draw_scene(options, split, index).objects) for split in ("train", "val") for index in range(6)
            ]
            assert abs(sum(counts) / len(counts) - wanted) <= 0.1 * wanted, role

    def test_the_quick_models_keep_what_is_under_test(self, plan: Planner) -> None:
        made = arms(plan("scratch-l-vs-mnv4", "quick"))
        assert {arm.config["model"]["name"] for name, arm in made.items() if "mnv4" in name} == {"rtdetr-mnv4-conv-s"}
        large, light = made["l-crowded"], made["mnv4-crowded"]
        assert {field.split(".")[1] for field in changed(large, light)} == {"name", "backbone"}
        assert large.config["model"]["decoder"] == light.config["model"]["decoder"]


class TestTuning:
    """Ablations of one field an arm."""

    @pytest.mark.parametrize("name", TUNING)
    @pytest.mark.parametrize("profile", ["full", "smoke"])
    def test_each_arm_changes_one_field(self, plan: Planner, name: str, profile: str) -> None:
        first, tuned, *single = plan(name, profile).arms
        assert (first.name, tuned.name) == ("as-it-was", "tuned")
        varies = plan(name, profile).recipe.file.varies
        audits = [audit({first.name: first.config, arm.name: arm.config}, varies) for arm in single]
        fields = [[(one.level, one.field) for one in findings if one.level != "note"] for findings in audits]
        assert [len(one) for one in fields] == [1] * len(CHANGES)
        assert {one for (one,) in fields} == {("varies", field) for field in CHANGES}
        assert set(changed(first, tuned)) == set(CHANGES)

    @pytest.mark.parametrize("name", TUNING)
    def test_from_what_to_what_is_the_documents(self, plan: Planner, name: str) -> None:
        first, tuned, *single = plan(name).arms
        assert changed(first, tuned) == CHANGES
        assert {field: values for arm in single for field, values in changed(first, arm).items()} == CHANGES

    def test_both_models_are_treated_alike(self, plan: Planner) -> None:
        large, light = arms(plan("l-tuning")), arms(plan("mnv4-tuning"))
        assert list(large) == list(light)
        assert all(set(changed(large[name], light[name])) == {"model.name"} for name in large)


class TestStarts:
    """`initialisation`."""

    def test_each_model_has_every_start_and_its_own_control(self, plan: Planner) -> None:
        made = arms(plan("initialisation"))
        assert list(made) == [
            "l-random", "l-timm-random", "l-backbone", "l-coco", "l-home",
            "mnv4-random", "mnv4-backbone", "mnv4-coco", "mnv4-home",
        ]  # fmt: skip
        pairs = {"l-backbone": "l-timm-random", "l-coco": "l-random", "l-home": "l-random",
                 "mnv4-backbone": "mnv4-random", "mnv4-coco": "mnv4-random", "mnv4-home": "mnv4-random"}  # fmt: skip
        for name, control in pairs.items():
            differs = {field.removeprefix("model.") for field in changed(made[control], made[name])}
            assert differs <= {"weights", "backbone", "backbone.weights", "backbone.name", "backbone.sha256"}, name
            assert made[name].config["model"]["name"] == made[control].config["model"]["name"]
        goals = {goal.arm: goal.against for goal in plan("initialisation").recipe.file.goals if goal.against}
        assert goals == pairs

    def test_the_expected_gain_is_over_a_control_with_the_tuned_settings(self, plan: Planner) -> None:
        left = min(SCHEMES["initialisation", "mnv4-home"]) - max(SCHEMES["mnv4-tuning", "tuned"])
        for name, arm, control in (
            ("initialisation", "mnv4-home", "mnv4-random"),
            ("progressive", "progressive", "scratch"),
        ):
            made = plan(name)
            differs = changed(arms(plan("mnv4-tuning"))["tuned"], arms(made)[control])
            assert set(differs) == {"train.epochs"}, "else another number is expected of it"
            file = made.recipe.file
            (goal,) = (one for one in file.goals if (one.arm, one.against) == (arm, control))
            (decision,) = (one for one in file.decisions if (one.arm, one.against) == (arm, control))
            assert goal.delta_at_least == decision.steps[0].at_least == pytest.approx(left)

    def test_what_is_absent_is_said_by_name(self, plan: Planner) -> None:
        said = " ".join(problem.text for problem in plan("initialisation").errors)
        for file in ("hgnetv2_b4.safetensors", "mobilenetv4_hybrid_medium.safetensors", "rtdetr-l.pt",
                     "rtdetr-mnv4-hybrid-m-coco.pt", "rtdetr-l-homeobjects.pt"):  # fmt: skip
            assert f"There is no file {file}" in said


class TestStages:
    """`curriculum` and `progressive`."""

    def test_the_curriculum_has_the_documents_borders_and_rates_that_meet(self, plan: Planner) -> None:
        made = arms(plan("curriculum"))
        assert [stage.epochs for stage in made["staged"].stages] == [50, 100, 150]
        assert made["flat"].epochs == made["staged"].epochs == 300
        trains = [stage.config["train"] for stage in made["staged"].stages]
        rates = [train["lr0"] for train in trains]
        assert rates == sorted(rates, reverse=True) and len(set(rates)) == 3
        for before, after in pairwise(trains):
            assert before["lr0"] * before["lrf"] == pytest.approx(after["lr0"])
        simple, full, light = (stage.config["augment"]["mosaic"] for stage in made["staged"].stages)
        assert simple < light < full

    def test_progressive_trains_on_homeobjects_and_is_judged_on_coco_indoor(
        self, plan: Planner, tmp_path: Path
    ) -> None:
        made = arms(plan("progressive"))
        first, second = made["progressive"].stages
        assert (first.epochs, second.epochs, made["scratch"].epochs) == (120, 100, 220)
        assert first.data and first.data.name == "homeobjects" and second.data is None
        assert {arm.data.name for arm in made.values() if arm.data} == {"coco-indoor"}
        assert changed(made["scratch"], made["progressive"]) == {}

    @pytest.mark.parametrize("profile", ["full", "smoke"])
    def test_progressive_is_not_judged_on_the_simple_data(self, tmp_path: Path, profile: str) -> None:
        """Its last stage would still train on the crowded ones."""
        workspace = Workspace.open(str(tmp_path))
        with pytest.raises(RecipeError, match="trains on crowded, and the arm is judged on simple"):
            workspace.plan(f"{FAMILY}/progressive", profile=profile, overrides=["data=simple"], devices="cpu")


def detui(*words: str, timeout: int = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DETUI, *words], capture_output=True, text=True, timeout=timeout, check=False)


def block(record: str, name: str) -> str:
    """What detui wrote between the marks of a block."""
    found = re.search(rf"<!-- detui:begin {name} -->(.*?)<!-- detui:end {name} -->", record, re.S)
    assert found, name
    return found.group(1)


def rows_of(block: str) -> list[dict[str, str]]:
    """The rows of the one table of a block, each as heading → cell."""
    head, _, *rows = (re.split(r"\s*\|\s*", line.strip("| ")) for line in block.splitlines() if line.startswith("|"))
    return [dict(zip(head, row, strict=True)) for row in rows]


TWO = {
    "scratch-l-vs-mnv4": ("l-crowded", "mnv4-crowded"),
    "initialisation": ("l-coco", "mnv4-home"),
    "mnv4-tuning": ("as-it-was", "tuned"),
    "l-tuning": ("as-it-was", "tuned"),
    "curriculum": ("flat", "staged"),
    "progressive": ("scratch", "progressive"),
}
"""The two arms of each recipe that its smoke profile runs here; the five schemes are among them."""
NAMES = {"initialisation": "weights", "l-tuning": "l-tuned", "mnv4-tuning": "mnv4-tuned"}
"""How the guide calls the experiments that it compares."""
HOLE = {"en": re.compile("to be filled in|not measured yet"), "zh": re.compile("待填写|尚未测得")}
A_PERSONS = 3
"""Placeholders of the template that are left to a person: why, the conclusion, the next steps."""


Smoke = Callable[[str], Path]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """`smoke(recipe)`: the folder of its finished smoke experiment, all in one workspace; each is run once."""
    workspace = tmp_path_factory.mktemp("smoke")

    @cache
    def ran(name: str) -> Path:
        chosen = [word for arm in TWO[name] for word in ("--arm", arm)]
        words = ("run", f"{FAMILY}/{name}", "--profile", "smoke", *chosen, "--name", NAMES.get(name, name))
        done = detui("--workspace", str(workspace), *words, "--devices", "cpu", "--yes")
        assert done.returncode == 0, done.stderr[-4000:]
        (folder,) = workspace.glob(f"{FAMILY}.{name}-*")
        return folder

    return ran


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_its_smoke_profile_runs(smoke: Smoke, name: str) -> None:
    folder = smoke(name)
    info = json.loads((folder / "experiment.json").read_text())
    assert info["runs"] == [f"{arm}-s0" for arm in TWO[name]]
    for file, hole in (("record.md", HOLE["en"]), ("record.zh.md", HOLE["zh"])):
        text = (folder / file).read_text()
        assert "🛑" not in text, "what was built and used differs in more than what is declared"
        holes = [line for line in text.splitlines() if hole.search(line)]
        assert len(holes) == A_PERSONS, "\n".join(holes)


@pytest.mark.slow
def test_progressive_goes_on_from_its_first_stage_by_the_names_of_classes(smoke: Smoke) -> None:
    rows = rows_of(block((smoke("progressive") / "record.md").read_text(), "transfer"))
    first, second = (row for row in rows if row["arm"] == "`progressive`")
    assert (first["stage"], first["starts from"]) == ("simple", "random weights")
    assert second["stage"] == "crowded" and "stage simple, epoch 1" in second["starts from"]
    taken, of = re.findall(r"\d[\d,]*", second["tensors taken over"])[:2]
    assert taken == of, "both stages have the same layers"
    assert second["classes taken over by name"] == "box", "the one class of both data sets"


@pytest.mark.slow
def test_the_curriculum_switches_rate_and_augmentation_at_each_border(smoke: Smoke) -> None:
    """As read back from the trainer."""
    text = (smoke("curriculum") / "record.md").read_text()
    used = [row for row in rows_of(block(text, "stages")) if row["arm"] == "`staged`"]
    assert [row["stage"] for row in used] == ["simple", "full", "light"]
    assert [float(row["learning rate used"].split(",")[0]) for row in used] == [0.001, 0.0005, 0.0001]
    simple, full, light = (row["augmentation used"] for row in used)
    assert "mosaic" not in simple and "mixup" not in simple and "hsv" not in simple
    assert "mosaic 1," in full and "mixup 0.15" in full
    assert "mosaic 0.2," in light and "mixup" not in light
    starts = [row["starts from"] for row in rows_of(block(text, "transfer")) if row["arm"] == "`staged`"]
    assert starts[0] == "random weights"
    assert "stage simple, epoch 1" in starts[1] and "stage full, epoch 2" in starts[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_five_schemes_are_compared_as_the_guide_says(smoke: Smoke, repository: Path) -> None:
    """Its own command, on smoke runs of the three recipes: what was measured, what is claimed, and what differs."""
    guide = (repository / "docs/scratch-vs-pretrained.md").read_text()
    (command,) = re.findall(r"^detui (compare .*)$", guide, re.M)
    folders = {name: smoke(name) for name in NAMES}
    workspace = str(folders["initialisation"].parent)
    done = detui("--workspace", workspace, *shlex.split(command), "--replicates", "0", "--json")
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    sides = {f"{folders[name].name}/{arm}": (name, arm) for name, arm in SCHEMES}
    assert [side["name"] for side in told["sides"]] == [*sides]
    first, *others = sides
    rows = [(row["side"], row["reference"]) for row in told["metrics"] if row["metric"] == "val/AP"]
    assert rows == [(other, first) for other in others], "one set of images, one reference"
    assert {one["field"] for one in told["findings"]} >= {"model.backbone.name", *CHANGES}
    claims = [one for one in told["claims"] if one["metric"] == "val/AP" and one["epoch"] is None]
    for side, (name, arm) in sides.items():
        own = [one for one in claims if one["side"] == side]
        assert {one["value"] for one in own} == SCHEMES[name, arm]
        lines = read_lines(folders[name] / "runs" / f"{arm}-s0/attempts/1/evaluations.jsonl")
        measured = max(line["values"]["val/AP"] for line in lines)
        assert all(one["measured"]["points"] == [measured] for one in own)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished quick experiment."""
    workspace = tmp_path_factory.mktemp("quick 数据")
    words = ("run", f"{FAMILY}/scratch-l-vs-mnv4", "--profile", "quick", "--devices", "cpu", "--yes")
    done = detui("--workspace", str(workspace), *words)
    assert done.returncode == 0, done.stderr[-4000:]
    return next(workspace.glob(f"{FAMILY}.scratch-l-vs-mnv4-*"))


@pytest.fixture(scope="module")
def record(experiment: Path) -> str:
    return (experiment / "record.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
class TestTheQuickExperiment:
    """One experiment for all of these: two models, two data sets, two seeds."""

    def test_both_models_learn_something(self, experiment: Path) -> None:
        for arm in CROSSED:
            scores = []
            for seed in (0, 1):
                lines = read_lines(experiment / "runs" / f"{arm}-s{seed}/attempts/1/evaluations.jsonl")
                scores.append(max(line["values"]["val/AP50"] for line in lines))
            assert max(scores) > 0.05, (arm, scores)

    def test_the_record_has_no_hole_that_a_run_could_have_filled(self, experiment: Path, record: str) -> None:
        assert "quick run: not a result" in record
        for text, hole in ((record, HOLE["en"]), ((experiment / "record.zh.md").read_text(), HOLE["zh"])):
            holes = [line for line in text.splitlines() if hole.search(line)]
            assert len(holes) == A_PERSONS, "\n".join(holes)
        figures = {path.stem for path in (experiment / "figures").glob("*.png")}
        assert {"losses", "ap", "pr", "detections"} <= figures

    def test_models_are_told_as_they_were_built(self, record: str) -> None:
        assert "hgnetv2_b0" in block(record, "models") and "mobilenetv4_conv_small" in block(record, "models")

    def test_density_stands_beside_each_data_set(self, experiment: Path, record: str) -> None:
        data = block(record, "data")
        means = [float(mean) for mean in re.findall(r"train: (\d+\.\d)", data)]
        assert len(means) == 2 and means[0] > 1.8 * means[1]
        assert "objects an image" in block(record, "interaction")

    def test_no_arm_is_set_against_one_on_other_data(self, record: str) -> None:
        rows = [line for line in block(record, "delta").splitlines() if line.startswith("| `")]
        assert {row.split("|")[1].strip() for row in rows} == {"`mnv4-crowded`", "`mnv4-simple`"}

    def test_capacity_and_density_are_told_with_their_seeds(self, record: str) -> None:
        told = block(record, "interaction")
        assert "(n = 2)" in told and "inconclusive" in told, "two seeds decide nothing"

    def test_convergence_is_told_of_every_run(self, record: str) -> None:
        rows = [line for line in block(record, "convergence").splitlines() if line.startswith("| `")]
        assert len(rows) == 8

    def test_claims_stand_beside_the_same_epoch(self, record: str) -> None:
        told = block(record, "claims")
        row = re.search(r"^\| loss cls \| `mnv4-crowded` \| 10 \| 0.58 \|.*$", told, re.M)
        assert row and "(n = 2)" in row.group(0)
        beyond = re.search(r"^\| loss cls \| `mnv4-crowded` \| 100 \| 0.77 \|.*$", told, re.M)
        assert beyond and "the run has 12 epochs" in beyond.group(0)
        assert re.search(r"^\| AP % \| `mnv4-simple` \|.*\| 26\.9 \|", told, re.M)

    def test_speed_is_measured_of_every_arm(self, experiment: Path) -> None:
        measured = {
            path.parts[-4].rpartition("-s")[0] for path in (experiment / "runs").glob("*/attempts/1/speed.json")
        }
        assert measured == set(CROSSED)

    def test_filling_again_changes_nothing(self, experiment: Path, record: str) -> None:
        done = detui("record", "fill", str(experiment))
        assert done.returncode == 0, done.stderr
        assert (experiment / "record.md").read_text() == record
