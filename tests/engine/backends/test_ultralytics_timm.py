"""RT-DETR on backbones of timm: what is said beforehand, what is built, weights of the backbone, a real training."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.ultralytics.architectures import BUILT
from detui.engine.backends.ultralytics.plan import Backbone, Decoder, UltralyticsBackend, UltralyticsConfig
from detui.engine.closed import validate
from detui.engine.errors import MissingError, RecipeError, RunError
from detui.engine.prediction import find_checkpoint, predict
from detui.engine.process.control import status
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

WORKERS = Path(__file__).parents[2] / "workers"
MNV4 = "rtdetr-mnv4-hybrid-m"
SAFE = "backbone.safetensors"


def problems(**model: Any) -> list[Problem]:
    config = UltralyticsConfig.model_validate({"model": model}).model_dump(mode="json")
    return UltralyticsBackend().check(CheckContext(arm="a", config=config, device="cpu", train_images=64))


class TestPlan:
    """What is said before anything starts."""

    @pytest.mark.parametrize(
        "model",
        [
            {"name": MNV4},
            {"name": f"{MNV4}.yaml", "backbone": {"weights": SAFE}},
            {"name": MNV4, "backbone": {"name": "mobilenetv4_hybrid_medium"}, "decoder": {"layers": 3}},
            {"name": MNV4, "weights": "whole.pt", "sha256": "0" * 64},
            {"name": "rtdetr-timm", "backbone": {"name": "resnet18"}},
            {"name": "rtdetr-l", "decoder": {"hidden": 128, "queries": 100}},
        ],
    )
    def test_what_can_be_built_is_fine(self, model: dict[str, Any]) -> None:
        assert problems(**model) == []

    @pytest.mark.parametrize(
        ("model", "field"),
        [
            ({"name": "rtdetr-mnv4-hybrid-xl"}, "model.name"),
            ({"name": "rtdetr-timm"}, "model.backbone.name"),
            ({"name": MNV4, "backbone": {"name": "resnet18"}}, "model.backbone.name"),
            ({"name": "rtdetr-l", "backbone": {"weights": SAFE}}, "model.backbone"),
            ({"name": "yolo12n", "decoder": {"queries": 100}}, "model.decoder"),
            ({"name": "rtdetr-x", "decoder": {"queries": 100}}, "model.decoder"),
            ({"name": MNV4, "decoder": {"hidden": 96, "heads": 7}}, "model.decoder.heads"),
            ({"name": MNV4, "backbone": {"sha256": "0" * 64}}, "model.backbone.sha256"),
            (
                {"name": MNV4, "weights": "whole.pt", "sha256": "0" * 64, "backbone": {"weights": SAFE}},
                "model.backbone.weights",
            ),
        ],
    )
    def test_a_contradiction_is_named_with_the_way_out(self, model: dict[str, Any], field: str) -> None:
        (found,) = problems(**model)
        assert (found.where, found.level) == (field, "error")
        assert found.hint and found.text.endswith(".")

    @pytest.mark.parametrize(
        "section", [{"backbone": {"path": "x"}}, {"decoder": {"hidden": 100}}, {"backbone": {"sha256": "short"}}]
    )
    def test_the_schema_is_closed(self, section: dict[str, Any]) -> None:
        with pytest.raises(RecipeError, match=f"model.{next(iter(section))}."):
            validate(UltralyticsConfig, {"model": {"name": MNV4, **section}}, lambda keys: "here")

    def test_without_timm_the_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else find(name))
        (found,) = problems(name=MNV4)
        assert found.missing and "package timm" in found.text
        assert problems(name="rtdetr-l") == []

    def test_the_backbones_file_is_looked_for_and_held_to_its_sum(self, hostile_path: Path) -> None:
        recipe = hostile_path / "recipe.yaml"
        base = f"{{name: {MNV4}, backbone: {{weights: {SAFE}, sha256: '{'0' * 64}'}}}}"
        recipe.write_text(
            "schema: 1\ntitle: t\nquestion: q\ndata: {name: scenes}\narms: {only: {}}\n"
            f"base: {{model: {base}, train: {{workers: 0}}}}\n"
        )
        workspace = Workspace.open(str(hostile_path / "logs"))

        def start(*overrides: str) -> None:
            workspace.start(workspace.plan(str(recipe), devices="cpu", overrides=overrides))

        with pytest.raises(MissingError, match=f"no file {SAFE}") as absent:
            start()
        assert absent.value.where == "model.backbone.weights"
        file = hostile_path / SAFE
        file.write_bytes(b"other bytes")
        with pytest.raises(RunError, match="not the one that the recipe names") as caught:
            start(f"model.backbone.weights={json.dumps(str(file))}")
        assert "model.backbone.sha256" in str(caught.value.hint)

    def test_the_worker_finds_the_path_and_the_plan_keeps_the_name(self, tmp_path: Path) -> None:
        workspace = Workspace.open(str(tmp_path / "logs"))
        (tmp_path / SAFE).write_bytes(b"x")
        settings = [f"model.name={MNV4}", f"model.backbone.weights={tmp_path / 'a/..' / SAFE}"]
        (tmp_path / "a").mkdir()
        plan = workspace.plan("starter/mosaic", profile="smoke", arms=["baseline"], overrides=settings, devices="cpu")
        before = json.dumps(plan.arms[0].config)
        spec = plan.spec(plan.arms[0], 0, experiment="e", data={}, python="python")
        assert Path(spec.stages[0].config["model"]["backbone"]["weights"]).is_file()
        assert json.dumps(plan.arms[0].config) == before


def test_the_guide_names_every_model_and_field(repository: Path) -> None:
    text = (repository / "docs/ultralytics.md").read_text(encoding="utf-8")
    for name, backbone in BUILT.items():
        assert f"| `{name}` | " in text and (backbone is None or f"`{name}` | `{backbone}` |" in text)
    fields = [f"`{section}.{field}`" for section, model in (("backbone", Backbone), ("decoder", Decoder))
              for field in model.model_fields]  # fmt: skip
    assert [field for field in fields if field not in text] == []


# Not importorskip: importing ultralytics patches Pillow, for every other test too.
needs_timm = pytest.mark.skipif(
    None in map(importlib.util.find_spec, ("ultralytics", "timm")), reason="needs the extra `ultralytics`"
)


def python(*words: str, **environ: str) -> Any:
    """What a script prints last, as JSON."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("it's here")


@pytest.fixture(scope="module")
def seen(folder: Path) -> Any:
    return python(str(WORKERS / "timm_models.py"), str(folder))


@needs_timm
class TestBuilt:
    """Models as the worker builds them, for three classes."""

    def test_rtdetr_on_mobilenetv4(self, seen: Any) -> None:
        hybrid = seen["built"]["hybrid"]
        assert hybrid["parameters"] == 27_210_849
        assert hybrid["parameters_by_part"]["backbone"] == seen["published"]["features"] == 8_562_288
        assert hybrid["levels"] == {"P3": 80, "P4": 160, "P5": 960}
        assert hybrid["backbone"] == "mobilenetv4_hybrid_medium"
        assert (hybrid["queries"], hybrid["decoder_layers"]) == (300, 6)
        assert (hybrid["hidden"], hybrid["denoising"]) == (256, 100)
        assert seen["built"]["conv"]["levels"] == {"P3": 64, "P4": 96, "P5": 960}

    def test_neck_and_decoder_are_those_of_the_installed_rtdetr_l(self, seen: Any) -> None:
        built = seen["built"]
        assert built["hybrid"]["parameters_by_part"]["head"] == built["l"]["parameters_by_part"]["head"]
        # timm's hgnetv2_b4 is the backbone of rtdetr-l: with it, the same detector must come out, part by part.
        for fact in ("parameters", "parameters_by_part", "levels", "backbone_convolutions", "gflops"):
            assert built["timm-l"][fact] == built["l"][fact], fact
        assert seen["published"]["same"], "the defaults of model.decoder are not the published sizes"

    def test_a_reduced_model_has_the_sizes_that_were_asked_for(self, seen: Any) -> None:
        for name in ("small", "small-l"):
            small = seen["built"][name]
            assert (small["queries"], small["decoder_layers"], small["hidden"], small["denoising"]) == (50, 2, 64, 20)
            assert small["detections"] == [1, 50, 6]
            assert small["parameters_by_part"]["neck"] + small["parameters_by_part"]["head"] < 800_000
        assert seen["built"]["small"]["backbone"] == "mobilenetv4_conv_small_050"
        whole, small = (seen["built"][name]["parameters_by_part"]["backbone"] for name in ("l", "small-l"))
        assert whole == small

    def test_the_parts_are_the_whole_for_every_model(self, seen: Any) -> None:
        for name, facts in seen["built"].items():
            assert sum(facts["parameters_by_part"].values()) == facts["parameters"], name
            assert sorted(facts["levels"]) == ["P3", "P4", "P5"], name
        assert seen["built"]["l"]["backbone"] == "HGNetv2-L"
        assert "backbone" not in seen["built"]["yolo"]

    def test_a_model_that_nobody_trains_is_described_as_the_training_builds_it(self, seen: Any) -> None:
        for name, told in seen["described"].items():
            begin = seen["built"][name]
            assert told["facts"] == {fact: begin[fact] for fact in told["facts"]}, name
            assert len(told["facts"]) >= 8
            levels = {f"P{int(stride).bit_length() - 1}": width for stride, width in told["entering"].items()}
            assert told["facts"]["levels"] == levels, name

    def test_looking_at_a_model_leaves_it_as_it_was(self, seen: Any) -> None:
        assert seen["facts"] == {"weights": True, "modes": True, "random": True}

    def test_a_backbone_that_does_not_fit_is_named_with_the_reason(self, seen: Any) -> None:
        refused = seen["refused"]
        assert "near names: mobilenetv4_hybrid_medium" in refused["mobilenetv4_hybrid_medum"]
        assert "strides [16, 16, 16]" in refused["vit_tiny_patch16_224"]
        assert "Input height (64) doesn't match model (224)" in refused["swin_tiny_patch4_window7_224"]
        assert all(text.startswith("model.backbone.name: ") and "try: " in text for text in refused.values())

    def test_normalisations_keep_what_timm_gave_them(self, seen: Any) -> None:
        norms = seen["norms"]
        assert norms["here"] == norms["timm"] == [[1e-05, 0.1]]
        assert norms["neck"] == [[0.001, 0.03]], "Ultralytics no longer changes any: BackboneNorm has no reason left"


@needs_timm
class TestWeights:
    """A backbone's own weights."""

    def test_every_tensor_is_the_files_in_both_formats(self, seen: Any) -> None:
        weights = seen["weights"]
        assert weights["same"] == [True, True, True]
        for name in ("whole", "wrapped", "renamed"):
            told = weights[name]
            assert told["source"]["kind"] == "backbone" and len(told["source"]["sha256"]) == 64
            assert told["anew_in_backbone"] == 0 and told["tensors"]["transferred"] > 100
            assert set(told["anew"]) == {"neck", "head"} and told["classes"] is None
            assert told["tensors"]["left_behind"] == len(told["left"])
        assert "classifier.weight" in weights["whole"]["left"]

    def test_with_depth_the_rgb_filters_are_the_files(self, seen: Any) -> None:
        weights = seen["weights"]
        assert weights["rgb"] and weights["depth"] < 1e-6
        assert weights["said"] == "mean of the RGB filters of whole.safetensors"

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("absent.safetensors", "There is no file"),
            ("lacking.safetensors", "1 missing: conv_stem.weight"),
            ("shape.safetensors", "1 of another shape: conv_stem.weight (32, 2, 3, 3), wanted (32, 3, 3, 3)"),
            ("foreign.safetensors", "1 unexpected: neck.weight"),
            ("convnext.safetensors", "is not of mobilenetv4_conv_small_050"),
            ("damaged.safetensors", "cannot be read as tensors alone"),
            ("code.pth", "cannot be read as tensors alone"),
        ],
    )
    def test_a_file_that_does_not_fit_is_refused(self, seen: Any, name: str, says: str) -> None:
        text = seen["weights"]["refused"][name]
        assert says in text and name in text and "try: " in text

    def test_what_goes_on_does_not_read_the_file_again(self, seen: Any) -> None:
        later = seen["later"]
        assert later["same"] and later["fresh"] is None
        assert later["tensors"]["transferred"] == later["tensors"]["of"] > 400

    def test_no_pickle_is_run(self, seen: Any) -> None:
        assert not seen["weights"]["ran"]
        assert seen["weights"]["would_run"], "the file would run nothing"


@needs_timm
def test_a_checkpoint_where_timm_is_absent_names_the_package(seen: Any) -> None:
    assert "of the package timm, which is not installed" in seen["without"] and "pip install" in seen["without"]


def plain_session(checkpoint: Path, folder: Path) -> Any:
    offline = {"YOLO_CONFIG_DIR": str(folder), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    return python(str(WORKERS / "plain_session.py"), str(checkpoint), **offline)


@needs_timm
def test_a_checkpoint_loads_in_a_plain_session(seen: Any, folder: Path, tmp_path: Path) -> None:
    """Without the file that the backbone started from, too. By a path without quotes: Ultralytics drops those."""
    (folder / "whole.safetensors").unlink()
    assert not seen["checkpoint"]["names_the_file"]
    found = plain_session((folder / "small.pt").rename(tmp_path / "small.pt"), tmp_path)
    assert found["sums"] == pytest.approx([seen["checkpoint"]["sum"]] * 2)
    assert (found["found"], found["backbone"]) == (50, "mobilenetv4_conv_small_050")


SAVE = """
import sys
from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
ensure_torchvision()
import timm
from safetensors.torch import save_file
save_file(timm.create_model("mobilenetv4_conv_small_050").state_dict(), sys.argv[1])
print("null")
"""


@needs_timm
@pytest.mark.slow
def test_a_training_from_the_backbones_weights_to_a_plain_session(tmp_path: Path) -> None:
    """Two epochs on generated scenes; then predictions, speed, and Ultralytics alone on what was saved."""
    python("-c", SAVE, str(tmp_path / SAFE))
    settings = (
        "model.name=rtdetr-timm",
        f"model.backbone={{name: mobilenetv4_conv_small_050, weights: {tmp_path / SAFE}}}",
        "model.decoder={hidden: 64, queries: 50, layers: 2, heads: 4, feedforward: 96, denoising: 20, neck_blocks: 1}",
        "train.epochs=2", "milestones=[1]", "train.imgsz=64",
    )  # fmt: skip
    workspace = Workspace.open(str(tmp_path / "logs"))
    plan = workspace.plan(
        "starter/mosaic", profile="smoke", arms=["baseline"], seeds=[0], overrides=settings, devices="cpu"
    )
    run = workspace.start(plan).runs()[0]
    _wait(run)
    model = _begin(run)["model"]
    assert model["backbone"] == "mobilenetv4_conv_small_050" and model["queries"] == 50
    given = _transfer(run)
    assert given["source"]["file"] == SAFE and given["tensors"]["transferred"] == 270
    checkpoint, epoch = find_checkpoint(run, "last")
    assert epoch == 2
    predict(run, checkpoint, "val", tmp_path / "again.json")
    dumped = json.loads((run.attempt(1).predictions / "val-epoch-0002.json").read_text())
    again = json.loads((tmp_path / "again.json").read_text())
    assert len(again) == len(dumped) > 20
    assert [one["score"] for one in again] == pytest.approx([one["score"] for one in dumped], abs=1e-4)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    small = [settings[0], "model.backbone.name=mobilenetv4_conv_small_050", *settings[2:]]
    more = ("train.epochs=1", f"model.weights={checkpoint}", f"model.sha256={digest}")
    (again_run,) = workspace.start(
        workspace.plan("starter/mosaic", profile="smoke", arms=["baseline"], seeds=[0], overrides=(*small, *more),
                       devices="cpu")
    ).runs()  # fmt: skip
    _wait(again_run)
    again_given = _transfer(again_run)
    assert again_given["source"] == {"kind": "weights", "file": checkpoint.name, "sha256": digest}
    assert again_given["tensors"]["transferred"] == again_given["tensors"]["of"] > 400
    (tmp_path / SAFE).unlink()
    # `--fused` as users deploy: the layers of timm must not be in its way.
    command = [sys.executable, "-c", "from detui.tui.main import main; main()", "--workspace", str(tmp_path / "logs")]
    done = subprocess.run([*command, "speed", f"{run.experiment_dir.name}/{run.name}", "--fused", "--json"],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Fusing takes the normalisations' parameters into the convolutions before they are counted.
    assert 0 < model["parameters"] - json.loads(done.stdout)["parameters"] < 20_000
    found = plain_session(checkpoint, tmp_path)
    assert found["sums"][0] == pytest.approx(found["sums"][1]) and found["found"] == 50


def _begin(run: RunDir) -> dict[str, Any]:
    return next(line for line in read_lines(run.attempt(1).metrics_path) if line["kind"] == "begin")


def _transfer(run: RunDir) -> dict[str, Any]:
    lines = read_lines(run.attempt(1).metrics_path)
    given: dict[str, Any] = next(line["transfer"] for line in lines if line["kind"] == "stage")
    return given


def _wait(run: RunDir, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not status(run).state.terminal:
        assert time.monotonic() < deadline, run.attempt(1).console_path.read_text()[-2000:]
        time.sleep(0.2)
    assert status(run).state.word == "finished", run.attempt(1).console_path.read_text()[-3000:]
