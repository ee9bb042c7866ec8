"""The recipes of `finetune`: what the document says, audited; each tried, one to its whole record."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from family_plans import Planner, arms, planner, undeclared
from made_environments import Made

from detui.engine.analysis.fairness import audit
from detui.engine.backends.mmdet.rates import planned
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines

DETUI = str(Path(sys.executable).with_name("detui"))
RECIPES = ("coco-to-voc", "layered-lr", "head-initialisation", "check")
TRAINED = RECIPES[:3]
COCO = "mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth"
ABSENT = re.compile(r"data set|There is no file|environment")
"""What a plan may lack on a machine without data, weights and the environment."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    return planner("finetune", tmp_path_factory.mktemp("plans"))


class TestEveryRecipe:
    """What holds for all four."""

    @pytest.mark.parametrize("name", RECIPES)
    def test_nothing_differs_but_what_is_declared(self, plan: Planner, name: str) -> None:
        assert undeclared(plan, name) == []

    @pytest.mark.parametrize("name", RECIPES)
    def test_only_files_and_the_environment_are_lacking(self, plan: Planner, name: str) -> None:
        for profile in ("full", *plan(name).recipe.file.profiles):
            errors = [one.text for one in plan(name, profile).errors]
            assert [text for text in errors if not ABSENT.search(text)] == [], profile
            if profile != "full":
                assert not any("data set" in text or "file" in text for text in errors), "it needs no download"

    @pytest.mark.parametrize("name", RECIPES)
    def test_smoke_tries_every_arm(self, plan: Planner, name: str) -> None:
        assert [arm.name for arm in plan(name, "smoke").arms] == [arm.name for arm in plan(name).arms]

    @pytest.mark.parametrize("name", TRAINED)
    def test_the_documents_protocol(self, plan: Planner, name: str) -> None:
        made = plan(name)
        assert made.seeds == (0, 1, 2) and made.resolved.milestones == tuple(range(1, 41))
        assert made.resolved.checkpoint_rule == {"rule": "best", "metric": "val/mask_AP"}
        for arm in made.arms:
            train, augment = arm.config["train"], arm.config["augment"]
            assert (train["epochs"], train["drops"], train["batch"]) == (40, [25, 35], 2)
            assert train["reference_batch"] == 2 and augment["photometric"] is not None
            assert arm.config["model"]["backbone"]["depth"] == 50

    def test_they_train_the_same_way(self, plan: Planner) -> None:
        same = {"coco-to-voc": "coco-document", "layered-lr": "layered", "head-initialisation": "classes"}
        assert not audit({name: arms(plan(name))[arm].config for name, arm in same.items()}, ())


class TestStarts:
    """`coco-to-voc`."""

    def test_equal_rates_differ_in_the_start_alone(self, plan: Planner) -> None:
        made = arms(plan("coco-to-voc"))
        found = audit({name: made[name].config for name in ("imagenet", "coco")}, ())
        assert {one.field for one in found if one.level == "confounder"} == {"model.weights", "model.backbone.weights"}
        rates = {(rate.backbone, rate.neck, rate.heads) for rate in
                 (planned(made[name].config) for name in ("imagenet", "coco", "random"))}  # fmt: skip
        assert rates == {(0.002, 0.002, 0.002)}

    def test_a_random_backbone_learns_all_of_it(self, plan: Planner) -> None:
        backbone = arms(plan("coco-to-voc"))["random"].config["model"]["backbone"]
        assert (backbone["frozen_stages"], backbone["norm_eval"], backbone["weights"]) == (-1, False, None)

    def test_the_documents_pair(self, plan: Planner) -> None:
        made = arms(plan("coco-to-voc"))
        low, high = planned(made["coco-document"].config), planned(made["imagenet-document"].config)
        assert (low.backbone, low.neck, low.heads) == pytest.approx((0.0002, 0.001, 0.002))
        assert (high.backbone, high.neck, high.heads) == (0.02, 0.02, 0.02)
        config = made["coco-document"].config
        assert planned({**config, "train": {**config["train"], "batch": 8}}).heads == pytest.approx(0.008), (
            "on any devices"
        )
        assert made["coco-document"].config["model"]["weights"] == COCO

    def test_every_number_that_is_claimed_stands_in_the_document(self, plan: Planner, shared_data: Path) -> None:
        documents = list((shared_data.parent / "seeds").glob("002_*"))
        if not documents:
            pytest.skip("needs the document, which is absent")
        text = documents[0].read_text(encoding="utf-8")
        claims = plan("coco-to-voc").recipe.file.claims
        for one in claims:
            title, place = one.source.split(", ", 1)
            assert title in text and place in text, one.source
            shown = f"{100 * one.value:.0f}%" if one.metric.startswith("val/") else f"{one.value:.0f}"
            assert shown in text, (one.metric, one.value)
        named = {one.metric for one in claims if one.arm == "coco-document"}
        unnamed = {"val/AP", "val/AP50", "val/mask_AP", "val/mask_AP50"}
        assert unnamed < named, "the document names no metric, so that each stands beside what it may have meant"


class TestParts:
    """`layered-lr`, `head-initialisation`, and the first stage of the profiles that need no download."""

    def test_layers(self, plan: Planner) -> None:
        made = {name: planned(arm.config) for name, arm in arms(plan("layered-lr")).items()}
        layered = made["layered"]
        assert (layered.backbone, layered.neck, layered.heads) == pytest.approx((0.0002, 0.001, 0.002))
        assert made["flat"].backbone == made["flat"].heads == 0.002 and made["frozen"].backbone is None

    def test_heads(self, plan: Planner) -> None:
        starts = {name: arm.config["model"]["start"] for name, arm in arms(plan("head-initialisation")).items()}
        assert {name: start["anew"] for name, start in starts.items()} == {"heads": "heads", "classes": "classes"}
        assert all((one["box_std"], one["mask_std"]) == (0.01, 0.001) for one in starts.values())

    @pytest.mark.parametrize("name", TRAINED)
    @pytest.mark.parametrize("profile", ["quick", "smoke"])
    def test_a_stage_on_other_classes_stands_for_coco(self, plan: Planner, name: str, profile: str) -> None:
        made = plan(name, profile)
        for arm in (one for one in made.arms if one.name != "random"):
            first, second = arm.stages
            assert first.data is not None and second.data is None and arm.data is not None
            assert not set(first.data.options["classes"]) & set(arm.data.options["classes"])
            assert first.config["model"]["backbone"]["frozen_stages"] == -1, "it starts at random"
            assert planned(first.config).layered is False

    def test_the_quick_arms_have_the_full_ones_layers_and_starts(self, plan: Planner) -> None:
        full, quick = arms(plan("coco-to-voc")), arms(plan("coco-to-voc", "quick"))
        assert set(quick) == {"imagenet", "coco", "random", "coco-document"}
        for name, arm in quick.items():
            assert arm.config["train"]["layers"] == full[name].config["train"]["layers"]
            assert arm.config["model"]["start"]["anew"] == full[name].config["model"]["start"]["anew"]


def detui(made: Made, folder: Path, *words: str, timeout: int = 900) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **made.environ, "DETUI_CONFIG": str(folder / "none.yaml")}
    return subprocess.run([DETUI, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=timeout,
                          check=False)  # fmt: skip


@pytest.mark.slow
class TestRuns:
    """Real trainings in the real environment."""

    @pytest.mark.parametrize("name", RECIPES)
    def test_arms_train_and_are_judged(self, name: str, mmdet_made: Made, tmp_path: Path) -> None:
        """The quick experiment tries the arms that are not tried here, or arms like them."""
        tried = {"coco-to-voc": ["imagenet-document"], "layered-lr": ["frozen"], "head-initialisation": ["heads"],
                 "check": ["coco"]}[name]  # fmt: skip
        chosen = [word for arm in tried for word in ("--arm", arm)]
        done = detui(mmdet_made, tmp_path, "run", f"finetune/{name}", "--profile", "smoke", "--yes", *chosen)
        assert done.returncode == 0, done.stderr[-2000:]
        (experiment,) = tmp_path.glob("logs/finetune.*")
        runs = sorted((experiment / "runs").iterdir())
        assert sorted(run.name for run in runs) == sorted(f"{arm}-s0" for arm in tried)
        for folder in runs:
            (attempt,) = RunDir(folder).attempts()
            judged = [*read_lines(attempt.evaluations_path)][-1]
            assert "val/mask_AP" in judged["values"] and judged["epoch"] == 2
            assert (attempt.path / "mmdet" / "config.py").is_file()
        assert "smoke run: not a result" in done.stdout and "mask AP" in done.stdout

    @pytest.mark.timeout(900)
    def test_the_quick_experiment_fills_its_record(self, mmdet_made: Made, tmp_path: Path) -> None:
        done = detui(mmdet_made, tmp_path, "run", "finetune/coco-to-voc", "--profile", "quick", "--yes")
        assert done.returncode == 0, done.stderr[-2000:]
        (experiment,) = tmp_path.glob("logs/finetune.*")
        record = (experiment / "record.md").read_text(encoding="utf-8")
        assert record.count("_(not measured yet)_") <= 8, "what was never reached alone has no number"
        for words in ("Check of the weights", "Learning rates by part", "mask AP50", "epochs to 90 %", "claimed"):
            assert words in record, words
        for figure in ("ap", "detections", "part_rates", "val_losses", "losses"):
            assert (experiment / "figures" / f"{figure}.png").is_file(), figure
        transfers, rates = {}, {}
        for folder in (experiment / "runs").iterdir():
            (attempt,) = RunDir(folder).attempts()
            lines = [*read_lines(attempt.metrics_path)]
            last = [line for line in lines if line["kind"] == "stage"][-1]
            transfers[folder.name], rates[folder.name] = last["transfer"], last["used"]
        heads = transfers["coco-s0"]["parts"]["roi_head.bbox_head"]
        assert (heads["loaded"], heads["reinitialised"]) == (4, 4), "the layers of the classes alone start anew"
        alone = transfers["imagenet-s0"]["parts"]
        assert alone["backbone"]["loaded"] and not any(
            one["loaded"] for part, one in alone.items() if part != "backbone"
        )
        assert transfers["random-s0"] is None
        used = [rates["coco-document-s0"][f"train.rates.{part}"] for part in ("backbone", "neck", "roi_head")]
        assert used == pytest.approx([0.001, 0.005, 0.01])
        told = json.loads((experiment / "experiment.json").read_text(encoding="utf-8"))
        assert told["environment"]["name"] == "mmdet"
