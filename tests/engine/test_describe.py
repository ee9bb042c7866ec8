"""Models that are described without being trained: what is remembered of them, and when they are built."""

from __future__ import annotations

import importlib.util
import json
import sys
import venv
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from detui.engine.configuration import Configuration
from detui.engine.environment import Interpreter
from detui.engine.errors import MissingError, RecipeError, RunError, UsageError
from detui.engine.models import FOLDER, model_key, remember
from detui.engine.planning import Plan
from detui.engine.workspace import Workspace
from detui.tui import language
from detui.tui.model_table import model_lines

RECIPE = """\
schema: 1
title: Which detector is larger?
question: And by how much?
data: {name: scenes, options: {size: 64, classes: [disc, box, cross]}}
base: {train: {imgsz: 64, deterministic: false}, model: {name: rtdetr-l}}
arms:
  l: {}
  tuned: {train: {lr0: 0.0005}}
  light: {model: {name: rtdetr-mnv4-hybrid-m}}
varies: [model, train.lr0]
claims:
  - {metric: model/parameters, arm: l, value: 32.0e+6, source: a document}
  - {metric: model/parameters, arm: light, value: 11.0e+6, source: a document}
"""
TWO_SETS = """\
schema: 1
title: Which detector is larger?
question: And by how much?
data_sets:
  few: {name: scenes, options: {classes: [disc, box]}}
  many: {name: scenes, options: {classes: [disc, box, cross]}}
data: [few, many]
base: {train: {imgsz: 64, deterministic: false}, model: {name: rtdetr-l}}
arms: {l: {}, light: {model: {name: rtdetr-mnv4-hybrid-m}}}
varies: [model]
"""
SMALL = ("model.name=rtdetr-timm", "model.backbone={name: mobilenetv4_conv_small_050}",
         "model.decoder={hidden: 64, queries: 50, layers: 2, heads: 4, points: 2, feedforward: 96, denoising: 20, "
         "neck_blocks: 1}")  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / 'it\'s "here" 数据'
    configuration = Configuration.load(workspace=str(folder / "logs"), environ={"HOME": str(tmp_path)})
    return Workspace(configuration.workspace, configuration)


@pytest.fixture
def plan(workspace: Workspace, tmp_path: Path) -> Callable[..., Plan]:
    path = tmp_path / "larger.yaml"
    path.write_text(RECIPE, encoding="utf-8")

    def make(*overrides: str, **more: Any) -> Plan:
        return workspace.plan(str(path), devices="cpu", overrides=overrides, **more)

    return make


def facts(parameters: int = 100) -> dict[str, Any]:
    return {"name": "x", "parameters": parameters, "parameters_by_part": {"backbone": 60, "neck": 30, "head": 10},
            "backbone": "HGNetv2-L", "backbone_convolutions": 8, "levels": {"P3": 4, "P4": 8, "P5": 16}, "imgsz": 64,
            "channels": 3, "classes": 3, "gflops": 1.5, "packages": {"numpy": version("numpy")}}  # fmt: skip


def keep(workspace: Workspace, plan: Plan, told: dict[str, Any], arm: str = "l") -> Path:
    """Remember something of an arm's model; returns the file."""
    one = next(one for one in plan.arms if one.name == arm)
    key = model_key(plan.resolved, one, workspace.configuration)
    assert key is not None
    remember(workspace.path, key, plan.placement, {"model": told, "speed": None})
    return workspace.path / FOLDER / f"{key}.json"


class TestIndex:
    """What is remembered, by configuration."""

    def keys(self, workspace: Workspace, plan: Plan) -> list[str | None]:
        return [model_key(plan.resolved, arm, workspace.configuration) for arm in plan.arms]

    def test_arms_with_the_same_model_have_the_same_key(self, workspace: Workspace, plan: Callable[..., Plan]) -> None:
        plain, tuned, light = self.keys(workspace, plan())
        assert plain == tuned != light
        assert self.keys(workspace, plan("train.batch=8", "model.weights=l.pt")) == [plain, tuned, light]
        assert self.keys(workspace, plan("light.model.name=rtdetr-mnv4-hybrid-m.yaml"))[2] == light

    @pytest.mark.parametrize(
        "change",
        ["train.imgsz=128", "model.decoder={layers: 3}", "model.inputs=rgbd", "model.name=rtdetr-x",
         "data.options.classes=[disc, box]"],
    )  # fmt: skip
    def test_what_changes_the_model_changes_the_key(
        self, workspace: Workspace, plan: Callable[..., Plan], change: str
    ) -> None:
        assert self.keys(workspace, plan(change))[0] != self.keys(workspace, plan())[0]

    def test_a_plan_knows_what_is_remembered(self, workspace: Workspace, plan: Callable[..., Plan]) -> None:
        assert plan().models == {}
        keep(workspace, plan(), facts())
        assert {arm: one.facts["parameters"] for arm, one in plan().models.items()} == {"l": 100, "tuned": 100}
        keep(workspace, plan(), facts(50), "light")
        audit = {one.field: one.values for one in plan().fairness}
        assert audit["built.parameters"] == {"l": 100, "tuned": 100, "light": 50}, "all three are known"

    def test_other_classes_make_another_model_and_no_confounder(self, workspace: Workspace, tmp_path: Path) -> None:
        path = tmp_path / "two.yaml"
        path.write_text(TWO_SETS, encoding="utf-8")

        def plan() -> Plan:
            return workspace.plan(str(path), devices="cpu")

        for number, arm in enumerate(("l-few", "light-few", "l-many", "light-many")):
            keep(workspace, plan(), facts(100 + number), arm)
        fields = [one.field for one in plan().fairness if one.field.startswith("built.")]
        assert fields == ["built.parameters"] * 2, "l and light differ on each data set, and nothing else is compared"
        assert {one.level for one in plan().fairness if one.field in fields} == {"varies"}
        language.use("en")
        heads = [line.split() for line in model_lines(plan()) if "ratio" in line]
        assert heads == [["l-few", "light-few", "ratio"], ["l-many", "light-many", "ratio"],
                         ["ratio:", "to", "l-few,", "l-many"]]  # fmt: skip

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", '{"schema": 1}', '{"schema": 99, "facts": {"parameters": 1}}', '{"schema": 1, "facts": []}',
         '{"schema": 1, "facts": {"parameters": "many"}}',
         '{"schema": 1, "facts": {"parameters": 1, "packages": {"numpy": "0.1"}}}',
         '{"schema": 1, "facts": {"parameters": 1, "packages": {"no-such-package": "1"}}}'],
    )  # fmt: skip
    def test_what_is_damaged_or_outdated_is_not_known(
        self, workspace: Workspace, plan: Callable[..., Plan], content: str
    ) -> None:
        keep(workspace, plan(), facts()).write_text(content)
        assert plan().models == {}

    def test_what_is_remembered_is_not_built_again(self, workspace: Workspace, plan: Callable[..., Plan]) -> None:
        files = [keep(workspace, plan(), facts(), arm) for arm in ("l", "light")]
        before = [file.stat().st_mtime_ns for file in files]
        said: list[str] = []
        known = workspace.describe(plan(), progress=lambda what, done, count: said.append(what))
        assert set(known.models) == {"l", "tuned", "light"} and said == []
        assert [file.stat().st_mtime_ns for file in files] == before


class TestRefused:
    """What cannot be described, and what is absent."""

    def test_a_program_of_ones_own(self, workspace: Workspace, tmp_path: Path) -> None:
        path = tmp_path / "program.yaml"
        path.write_text("schema: 1\ntitle: t\nquestion: q\nbackend: command\nbase: {command: [sh]}\narms: {only: {}}\n")
        with pytest.raises(UsageError, match="'command' cannot describe a model"):
            workspace.describe(workspace.plan(str(path), devices="cpu"))

    def test_a_model_that_the_plan_refuses(self, workspace: Workspace, plan: Callable[..., Plan]) -> None:
        with pytest.raises(RecipeError, match="rtdetr-xl"):
            workspace.describe(plan("model.name=rtdetr-xl"))

    def test_an_environment_without_the_framework(
        self, plan: Callable[..., Plan], tmp_path: Path, workspace: Workspace
    ) -> None:
        venv.create(tmp_path / "bare", with_pip=False)
        python = tmp_path / "bare" / "bin" / "python"
        (tmp_path / "larger.yaml").write_text(RECIPE.replace("question:", "environment: bare\nquestion:"))
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"environments": {"bare": str(python)}}))
        environ = {"HOME": str(tmp_path), "DETUI_CONFIG": str(config)}
        configuration = Configuration.load(workspace=str(workspace.path), environ=environ)
        there = Workspace(configuration.workspace, configuration)
        with pytest.raises(MissingError, match="ultralytics is not installed") as caught:
            there.describe(there.plan(str(tmp_path / "larger.yaml"), devices="cpu"))
        assert (caught.value.exit_code, caught.value.where) == (3, str(python))
        assert "detui[ultralytics]" in str(caught.value.hint)
        assert not (workspace.path / FOLDER).exists()


def test_the_table_has_ratios_and_claims(workspace: Workspace, plan: Callable[..., Plan]) -> None:
    language.use("en")
    keep(workspace, plan(), facts())
    keep(workspace, plan(), {**facts(50), "backbone": None, "levels": {"P3": 2}}, "light")
    lines = model_lines(plan())
    cells = {line.split("  ")[0] or line.strip().split("  ")[0]: line.split() for line in lines}
    assert lines[0].split() == ["l", "+1", "light", "ratio"]
    assert cells["parameters"][1:] == ["100", "50", "0.50×"]
    assert cells["claimed"][1:] == ["32,000,000", "11,000,000", "0.34×"]
    assert cells["channels at P5, stride 32"][-2:] == ["16", "–"]
    assert "l +1: l, tuned" in lines and "ratio: to l" in lines
    assert max(map(len, lines)) <= 76
    narrow = model_lines(plan(), 40)
    assert ["light", "ratio"] in map(str.split, narrow), "in a table of its own"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the extra of ultralytics")
class TestBuilt:
    """Models that are really built."""

    def test_the_document_s_two_detectors(self, workspace: Workspace, plan: Callable[..., Plan]) -> None:
        said: list[tuple[str, int, int]] = []
        found = workspace.describe(plan(), progress=lambda *told: said.append(told)).models
        assert said == [("building the model of l", 0, 2), ("building the model of light", 1, 2)]
        large, light = found["l"].facts, found["light"].facts
        assert large["parameters"] == 32_812_241 and light["parameters"] == 27_210_849
        assert round(large["parameters"] / light["parameters"], 2) == 1.21
        for one in (large, light):
            assert sum(one["parameters_by_part"].values()) == one["parameters"]
        assert large["parameters_by_part"]["head"] == light["parameters_by_part"]["head"] == 7_308_017
        assert large["levels"] == {"P3": 512, "P4": 1024, "P5": 2048}
        assert light["levels"] == {"P3": 80, "P4": 160, "P5": 960}
        assert (large["backbone_convolutions"], light["backbone_convolutions"]) == (80, 119)
        assert found["tuned"] == found["l"] and large["classes"] == 3
        assert large["packages"]["timm"] == version("timm")

    def test_a_pass_is_measured_with_random_weights(self, workspace: Workspace, plan: Callable[..., Plan]) -> None:
        small = plan(*SMALL, arms=["l"])
        (one,) = workspace.describe(small).models.values()
        assert one.speed is None and one.facts["parameters"] < 1_000_000
        (one,) = workspace.describe(small, speed=True).models.values()
        assert one.speed is not None and one.speed["batch"] == 1 and one.speed["input"] == [3, 64, 64]
        assert one.speed["whole"]["median_ms"] > 0 and one.speed["memory"]["bytes"] >= 0
        assert one.speed["gflops"] == one.facts["gflops"] > 0
        assert not list(Path(workspace.path).glob("*/experiment.json")), "nothing was run"


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="needs the extra ultralytics")
def test_a_model_is_built_with_the_variables_of_its_environment(
    workspace: Workspace, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that lets no Python start: where the build has it, there is no build."""
    broken = Interpreter(sys.executable, (), {"PYTHONHOME": "/nowhere"}, None)
    monkeypatch.setattr("detui.engine.describe.interpreter", lambda *_: broken)
    with pytest.raises(RunError):
        workspace.describe(plan(arms=["l"]))
