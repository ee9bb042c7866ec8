"""The recipes of `aqr`: what the document says, audited; each tried, one to its whole record."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from family_plans import Planner, arms, planner, undeclared

from detui.engine.analysis.fairness import audit
from detui.engine.backends.torch.gain import configured_bounds
from detui.engine.data.frame import NUSCENES_CLASSES
from detui.engine.recipe.resolve import ResolvedArm
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

if importlib.util.find_spec("torch") is None:
    pytest.skip("needs the extra `torch`", allow_module_level=True)

DETUI = str(Path(sys.executable).with_name("detui"))
ON_NUSCENES = ("configurations", "mode", "schedule", "balance")
RECIPES = (*ON_NUSCENES, "one-frame")
GAINS = {
    "aqr-2.5-0.6": (0.60, 1.60), "aqr-2.0-0.65": (0.65, 1.35), "aqr-2.0-0.7": (0.70, 1.30),
    "aqr-2.2-0.68": (0.68, 1.384), "aqr-1.5-0.7": (0.70, 1.15),
}  # fmt: skip
"""Arm → smallest and largest gain; the document has those of the first four."""
BANDS = {"aqr-2.5-0.6": (0.25, 0.30), "aqr-2.0-0.65": (0.30, 0.33), "aqr-2.0-0.7": (0.25, 0.28),
         "aqr-2.2-0.68": (0.28, 0.32), "aqr-1.5-0.7": (0.25, 0.30)}  # fmt: skip
"""Arm → the camera modulation that the document wants, or expects, of it."""
ABSENT = re.compile(r"data set|There is no file|mixed precision|evaluator nuscenes-devkit")
"""What a full plan may lack on a machine without data, weights and GPU."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    return planner("aqr", tmp_path_factory.mktemp("plans"))


def aqr_of(arm: ResolvedArm) -> dict[str, Any]:
    found: dict[str, Any] = arm.config["model"]["aqr"]
    return found


class TestEveryRecipe:
    """What holds for all five."""

    @pytest.mark.parametrize("name", RECIPES)
    def test_nothing_differs_but_what_is_declared(self, plan: Planner, name: str) -> None:
        assert undeclared(plan, name) == []

    @pytest.mark.parametrize("name", RECIPES)
    def test_both_controls_are_there_with_three_seeds(self, plan: Planner, name: str) -> None:
        made = arms(plan(name))
        assert list(made)[:2] == ["no-aqr", "constant"], "the reference is the arm without AQR"
        assert (aqr_of(made["no-aqr"])["weights"], aqr_of(made["constant"])["weights"]) == ("off", "constant")
        learned = [arm for name, arm in made.items() if name not in ("no-aqr", "constant")]
        assert learned and {aqr_of(arm)["weights"] for arm in learned} == {"learned"}
        assert plan(name).seeds == (0, 1, 2)

    @pytest.mark.parametrize("name", RECIPES)
    def test_the_smoke_profile_needs_nothing(self, plan: Planner, name: str) -> None:
        full, smoke = plan(name), plan(name, "smoke")
        assert [arm.name for arm in smoke.arms] == [arm.name for arm in full.arms], "an arm is not tried"
        assert not smoke.errors and all(state.generated for state in smoke.data)

    @pytest.mark.parametrize("name", RECIPES)
    def test_a_full_run_lacks_files_and_an_environment_alone(self, plan: Planner, name: str) -> None:
        made = plan(name)
        assert made.errors and [one.text for one in made.errors if not ABSENT.search(one.text)] == []

    @pytest.mark.parametrize("name", ON_NUSCENES)
    def test_quick_has_the_arms_and_settings_of_aqr_that_full_has(self, plan: Planner, name: str) -> None:
        full, quick = arms(plan(name)), arms(plan(name, "quick"))
        assert {"no-aqr", "constant"} < set(quick) <= set(full) and not plan(name, "quick").errors
        assert all(aqr_of(arm) == aqr_of(full[name]) for name, arm in quick.items())

    def test_a_repository_of_ones_own_has_the_same_arms_but_constant_weights(self, plan: Planner) -> None:
        assert [*arms(plan("external-cmt"))] == [name for name in arms(plan("configurations")) if name != "constant"]

    def test_the_four_on_nuscenes_train_the_same_model_the_same_way(self, plan: Planner) -> None:
        found = {name: arms(plan(name))["no-aqr"].config for name in ON_NUSCENES}
        assert not audit(found, ())
        controls = {str(aqr_of(arms(plan(name))["constant"])) for name in ON_NUSCENES}
        assert len(controls) == 1

    @pytest.mark.parametrize("name", RECIPES)
    def test_noised_queries_are_drawn_in_the_one_arm_that_says_so(self, plan: Planner, name: str) -> None:
        drawn = [arm.name for arm in plan(name).arms if aqr_of(arm)["noised_drawn"]]
        assert drawn == (["additive-noised"] if name == "mode" else [])


class TestConfigurations:
    """The configurations of the document."""

    def test_they_are_the_documents_and_their_gains_are_computed(self, plan: Planner) -> None:
        made = arms(plan("configurations"))
        assert list(made) == ["no-aqr", "constant", *GAINS]
        for name, gain in GAINS.items():
            assert configured_bounds(made[name].config) == pytest.approx(gain)
        assert configured_bounds(made["no-aqr"].config) is None
        title = made["aqr-2.0-0.65"].title
        assert title is not None and "(C)" in title.en, "C is the same as 2.0+0.65, and one arm"

    def test_the_bands_are_the_documents_and_say_what_they_count(self, plan: Planner) -> None:
        goals = plan("configurations").recipe.file.goals
        modulation = {one.arm: one for one in goals if one.metric == "aqr/camera_relative_change"}
        assert {arm: (one.at_least, one.at_most) for arm, one in modulation.items()} == BANDS
        for one in modulation.values():
            assert one.title is not None and not isinstance(one.title, str) and "all features" in one.title.en
        residual = {one.arm: (one.at_least, one.at_most) for one in goals if one.metric == "model.aqr.residual_weight"}
        assert residual == dict.fromkeys(GAINS, (0.65, 0.70))
        expected = {(one.metric, one.at_least, one.at_most) for one in goals if one.metric.startswith("val/")}
        assert expected == {("val/mAP", 0.65, 0.68), ("val/NDS", 0.69, 0.71)}

    def test_every_number_that_is_claimed_stands_in_the_document(self, plan: Planner, shared_data: Path) -> None:
        documents = list((shared_data.parent / "seeds").glob("004_*"))
        if not documents:
            pytest.skip("needs the document, which is absent")
        text = documents[0].read_text(encoding="utf-8")
        told = [one for name in ("configurations", "mode") for one in plan(name).recipe.file.claims]
        of_it = [one for one in told if one.source.startswith("AQR训练分析")]
        assert len(of_it) > 50
        for one in of_it:
            assert one.source.split(", ", 1)[1].split("特征调制")[0] in text, one.source
            forms = {f"{one.value:.{digits}f}" for digits in range(1, 5)}
            forms |= {f"{one.value:.4f}".rstrip("0"), f"{100 * one.value:.2f}%", f"{100 * one.value:.1f}%"}
            assert any(form in text for form in forms), (one.metric, one.value)

    def test_what_is_claimed_can_be_set_beside_a_run(self, plan: Planner) -> None:
        made = plan("configurations")
        every, names = made.arms[0].config["train"]["statistics_every"], arms(made)
        for one in made.recipe.file.claims:
            assert one.arm in names
            assert (one.iteration is None) == one.metric.startswith("val/")
            assert one.iteration is None or one.metric.startswith("train/") or one.iteration % every == 0
            assert one.metric.count("/") == 1 or one.metric.rpartition("/")[2] in NUSCENES_CLASSES


class TestTheOthers:
    """`mode`, `schedule`, `balance`."""

    def test_the_forms_differ_in_the_form(self, plan: Planner) -> None:
        made = arms(plan("mode"))
        convex, additive = aqr_of(made["convex"]), aqr_of(made["additive"])
        assert {field for field in convex if convex[field] != additive[field]} == {"mode"}
        assert configured_bounds(made["convex"].config) == pytest.approx((0.6, 1.6))
        assert configured_bounds(made["additive"].config) == pytest.approx((0.6, 3.1))

    def test_a_growing_clamp_ends_where_the_fixed_one_is(self, plan: Planner) -> None:
        made = arms(plan("schedule"))
        for size in ("2.5", "2.0"):
            fixed, growing = aqr_of(made[f"fixed-{size}"]), aqr_of(made[f"growing-{size}"])
            assert {field for field in fixed if fixed[field] != growing[field]} == {"clamp_from"}
            assert growing["clamp_from"] == 1.0 < growing["max_weight_clamp"]

    def test_ratios_are_wished_and_one_is_the_documents(self, plan: Planner) -> None:
        made = arms(plan("balance"))
        ratios = {name: aqr_of(arm)["balance"]["ratio"] for name, arm in made.items() if aqr_of(arm)["balance"]}
        assert all(name == f"ratio-{ratio:g}" or name == f"ratio-{ratio}" for name, ratio in ratios.items())
        assert ratios["ratio-1.12"] == pytest.approx(0.8211 / 0.7344, abs=0.005) and "free" in made


def detui(*words: str, timeout: int = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DETUI, *words], capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.slow
class TestRuns:
    """Real trainings."""

    @pytest.mark.parametrize("name", RECIPES)
    def test_arms_train_and_are_judged(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The controls are the same in the four recipes on nuScenes: one of them tries those; and two arms with AQR."""
        monkeypatch.chdir(tmp_path)
        made = Workspace.open(str(tmp_path)).plan(f"aqr/{name}", profile="smoke", devices="cpu")
        controls = [arm.name for arm in made.arms if arm.name in ("no-aqr", "constant")]
        learned = [arm.name for arm in made.arms if arm.name not in controls]
        tried = [*([] if name in ON_NUSCENES[1:] else controls), *dict.fromkeys((learned[0], learned[-1]))]
        chosen = [word for arm in tried for word in ("--arm", arm)]
        done = detui("run", f"aqr/{name}", "--profile", "smoke", "--yes", "--name", "tried", *chosen)
        assert done.returncode == 0, done.stderr[-2000:]
        (experiment,) = tmp_path.glob("logs/aqr.*")
        runs = sorted((experiment / "runs").iterdir())
        train, frames = made.arms[0].config["train"], made.resolved.data_sets[None].train.images
        assert frames is not None
        steps = -(-frames * train["repeat"] // train["batch"])
        assert sorted(run.name for run in runs) == sorted(f"{arm}-s0" for arm in tried)
        for folder in runs:
            (attempt,) = RunDir(folder).attempts()
            (judged,) = read_lines(attempt.evaluations_path)
            begun = next(line for line in read_lines(attempt.metrics_path) if line["kind"] == "begin")
            assert (begun["steps_per_epoch"], judged["step"]) == (steps, steps * train["epochs"])
            assert "val/mAP" in judged["values"] and judged["values"]["val/mAP_ceiling"] > 0
            statistics = [line for line in read_lines(attempt.metrics_path) if line["kind"] == "statistic"]
            assert bool(statistics) == (not folder.name.startswith("no-aqr"))
            for line in statistics:
                values = line["values"]
                assert values["aqr/gain_low"] - 1e-5 <= values["aqr/camera_gain_min"]
                assert values["aqr/camera_gain_max"] <= values["aqr/gain_high"] + 1e-5
        record = done.stdout
        assert "smoke run: not a result" in record and "NDS" in record
