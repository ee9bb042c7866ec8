"""What a fusion detector is made of, counted by hand beside it, and passes of one that was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_frames import SIZE, tiny_frame

from detui.engine.backends.torch import state
from detui.engine.backends.torch.build import build
from detui.engine.backends.torch.measuring import describe, gflops, speed
from detui.engine.backends.torch.schema import TorchConfig
from detui.engine.configuration import Configuration
from detui.engine.data.frame import Frame
from detui.engine.errors import UsageError
from detui.engine.models import model_key
from detui.engine.workspace import Workspace

SMALL = {"channels": 16, "bev_grid": 10, "ray_points": 4, "queries": 12, "layers": 2, "heads": 2, "hidden": 32,
         "space": [-20.0, -20.0, -3.0, 20.0, 20.0, 2.0]}  # fmt: skip
DATA = {"classes": ["car", "truck"], "pictures": [6, *SIZE]}
WANTED = {"batch": 1, "precision": "fp32", "imgsz": None, "fused": False}
RECIPE = """\
schema: 1
title: Which weights?
question: And what do they cost?
backend: torch
data: {name: fusion-scenes, train: {images: 4}, val: {images: 2}, options: {size: [64, 48]}}
base: {train: {warmup_steps: 1}}
arms:
  one: {model: {aqr: {max_weight_clamp: 2.0}}}
  two: {model: {aqr: {max_weight_clamp: 2.5}}}
  none: {model: {aqr: {weights: "off"}}}
varies: [model.aqr]
"""


class Some(list[Frame]):
    """Frames as a data set."""

    classes = tiny_frame(0).classes


def config(train: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    told = {"model": {**SMALL, **model}, "train": {"image_scale": 0.5, **(train or {})}}
    return TorchConfig.model_validate(told).model_dump()


def told(**model: Any) -> dict[str, Any]:
    return describe(config(**model), DATA, 0, False, "cpu")["model"]


def test_a_layer_of_the_decoder_is_counted_as_by_hand() -> None:
    """Attention above all, which torch's counter leaves out on a CPU."""
    queries, channels, hidden, classes, code = 12, 16, 32, 2, 10
    tokens = 10 * 10 + 6 * 1 * 2
    linear = 4 * queries * channels**2 + 2 * (queries + tokens) * channels**2 + 2 * queries * channels * hidden
    attention = 2 * queries * (queries + tokens) * channels
    heads = queries * (channels * classes + channels**2 + channels * code)
    two, three = told(), told(layers=3)
    assert (three["gflops"] - two["gflops"]) * 1e9 == pytest.approx(2 * (linear + attention + heads), rel=1e-6)
    assert two["gmacs"] == two["gflops"] / 2 and two["input"] == [6, 3, 16, 32] and two["classes"] == 2


def test_parameters_by_part_are_all_of_them() -> None:
    with_, without = told(), told(aqr={"weights": "off"})
    parts = with_["parameters_by_part"]
    assert sum(parts.values()) == with_["parameters"] and set(parts) - set(without["parameters_by_part"]) == {"aqr"}
    assert with_["parameters"] - without["parameters"] == parts["aqr"] > 0
    assert parts["queries"] == 36 and parts["heads"] == 2 * (17 * 2 + 17 * 16 + 17 * 10)
    assert with_["backbone"] == "small" and with_["packages"] == {"torch": torch.__version__}


def test_counting_leaves_a_model_in_training_as_it_is() -> None:
    chosen = config()
    model = build(chosen["model"], 2)
    drawn = torch.get_rng_state()
    assert gflops(model, tiny_frame(0), chosen, torch.device("cpu")) > 0
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(drawn, torch.get_rng_state())


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of the small detector for the classes of `Some`."""
    state.save({"model": build(config()["model"], len(Some.classes)).state_dict(), "average": None}, tmp_path / "a.pt")
    return tmp_path / "a.pt"


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few passes are enough to see that they happen."""
    monkeypatch.setattr("detui.engine.worker.speed.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("detui.engine.worker.speed.REPEATS", 2)
    monkeypatch.setattr("detui.engine.worker.speed.WARMUP", 1)


@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize(("precision", "batch"), [("fp32", 1), ("bf16", 3)])
def test_a_checkpoint_is_measured_with_its_decoding(checkpoint: Path, precision: str, batch: int) -> None:
    wanted = {**WANTED, "precision": precision, "batch": batch}
    found = speed(config(), Some([tiny_frame(0), tiny_frame(1)]), checkpoint, wanted, "cpu")
    assert (found["precision"], found["batch"], found["input"]) == (precision, batch, [6, 3, 16, 32])
    assert found["whole"]["median_ms"] > found["forward"]["median_ms"] > 0
    assert found["gflops"] > 0 and found["postprocess"]["kind"] == "the best queries, no NMS"


@pytest.mark.parametrize(("field", "value"), [("imgsz", 640), ("fused", True)])
def test_what_frames_do_not_have_is_refused(checkpoint: Path, field: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        speed(config(), Some([tiny_frame(0)]), checkpoint, {**WANTED, field: value}, "cpu")
    assert caught.value.where == f"--{field}"


@pytest.fixture
def keys(tmp_path: Path) -> Callable[..., list[str | None]]:
    """Keys of the arms' models, with some fields changed."""
    (tmp_path / "which.yaml").write_text(RECIPE, encoding="utf-8")
    configuration = Configuration.load(workspace=str(tmp_path / "logs"), environ={"HOME": str(tmp_path)})
    workspace = Workspace(configuration.workspace, configuration)

    def find(*overrides: str) -> list[str | None]:
        plan = workspace.plan(str(tmp_path / "which.yaml"), devices="cpu", overrides=overrides)
        return [model_key(plan.resolved, arm, configuration) for arm in plan.arms]

    return find


def test_arms_that_differ_in_a_clamp_have_the_same_model(keys: Callable[..., list[str | None]]) -> None:
    one, two, none = keys()
    assert one == two != none and None not in (one, none)
    assert keys("train.lr=0.001", "model.denoising_groups=2") == [one, two, none]


@pytest.mark.parametrize(
    "change", ["train.image_scale=1.0", "train.crop_top=0.2", "data.options.size=[96, 64]", "model.layers=3",
               "model.camera.backbone=resnet18", "data.options.classes=[car]"],
)  # fmt: skip
def test_what_changes_parameters_or_flops_is_another_model(keys: Callable[..., list[str | None]], change: str) -> None:
    assert keys(change)[0] not in keys()
