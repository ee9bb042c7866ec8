"""The plan half of detui's own detectors: what is refused beforehand, and that nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.torch.plan import TorchBackend
from detui.engine.backends.torch.schema import TorchConfig
from detui.engine.closed import validate
from detui.engine.errors import RecipeError


def found(frames: int | None = 1000, *, device: str = "cpu", devices: int = 1,
          pictures: tuple[int, int, int] | None = None, **sections: Any) -> list[Problem]:  # fmt: skip
    """What is wrong."""
    config = TorchConfig.model_validate(sections).model_dump()
    context = CheckContext(
        arm="a", config=config, device=device, devices=devices, train_images=frames, pictures=pictures
    )
    return TorchBackend().check(context)


def problems(frames: int | None = 1000, devices: int = 1, **sections: Any) -> dict[str | None, str]:
    """Field → level of what is wrong."""
    return {problem.where: problem.level for problem in found(frames, devices=devices, **sections)}


def test_the_defaults_are_fine_and_so_are_the_documents_configurations() -> None:
    assert problems() == {}
    for clamp, residual in ((2.5, 0.6), (2.0, 0.65), (2.0, 0.70), (2.2, 0.68), (1.5, 0.7)):
        assert problems(model={"aqr": {"max_weight_clamp": clamp, "residual_weight": residual}}) == {}
    for weights in ("constant", "off"):
        assert problems(model={"aqr": {"weights": weights}}) == {}


@pytest.mark.parametrize(
    ("model", "where", "level"),
    [
        ({"aqr": {"weights": "off", "residual_weight": 0.7}}, "model.aqr", "warning"),
        ({"aqr": {"weights": "constant", "balance": {"ratio": 1.1}}}, "model.aqr.balance", "error"),
        ({"aqr": {"weights": "off", "clamp_from": 1.0}}, "model.aqr", "warning"),
        ({"aqr": {"clamp_from": 3.0}}, "model.aqr.clamp_from", "error"),
        ({"aqr": {"max_weight_clamp": 0.005}}, "model.aqr.min_weight", "error"),
        ({"camera": {"weights": "r50.safetensors"}}, "model.camera.weights", "error"),
    ],
)
def test_contradictions_are_found(model: dict[str, Any], where: str, level: str) -> None:
    assert problems(model=model) == {where: level}


def test_a_warm_up_ends_within_the_training() -> None:
    assert problems(frames=8, train={"epochs": 2}) == {"train.warmup_steps": "error"}
    assert problems(frames=None, train={"epochs": 2}) == {}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"heads": 7}, "7 heads cannot share 256 channels"),
        ({"space": [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]}, "must lie beyond the near one"),
        ({"aqr": {"mode": "convexe"}}, "model.aqr.mode: found 'convexe', expected 'convex' or 'additive'"),
        ({"aqr": {"residual_weights": 0.6}}, "there is no such field"),
    ],
)
def test_what_the_schema_refuses(model: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        validate(TorchConfig, {"model": model}, lambda keys: "recipe.yaml:1")


def only(**told: Any) -> tuple[str | None, str, str]:
    """Field, text and next step of the one thing that is wrong."""
    (one,) = found(**told)
    return one.where, one.text, str(one.hint)


def test_mixed_precision_needs_a_gpu() -> None:
    where, text, hint = only(train={"amp": "bf16"})
    assert where == "train.amp" and "planned on the CPU" in text and hint == "--set train.amp=false"
    assert found(device="cuda", train={"amp": "bf16"}) == []


def test_a_batch_is_no_larger_than_what_there_is() -> None:
    where, text, hint = only(frames=3, train={"batch": 4, "warmup_steps": 1})
    assert where == "train.batch" and "more than the 3 frames" in text and hint == "--set train.batch=3"
    assert problems(frames=3, train={"batch": 3, "epochs": 60, "warmup_steps": 1}) == {}


def test_an_epoch_may_go_through_few_frames_several_times() -> None:
    where, text, hint = only(frames=3, train={"batch": 7, "repeat": 2, "warmup_steps": 1})
    assert where == "train.batch" and "the 3 frames there are to train on, 2 times each" in text
    assert hint == "--set train.batch=6"
    train = {"batch": 6, "repeat": 2, "epochs": 60}
    assert problems(frames=3, train={**train, "warmup_steps": 59}) == {}
    assert problems(frames=3, train={**train, "warmup_steps": 60}) == {"train.warmup_steps": "error"}


def test_too_few_steps_are_warned_of_with_a_number_that_is_enough() -> None:
    train = {"epochs": 4, "batch": 2, "warmup_steps": 1}
    where, text, hint = only(frames=8, train=train)
    assert where == "train.epochs" and "16 optimizer steps" in text and hint == "--set train.epochs=13"
    assert found(frames=8, train={**train, "epochs": 13}) == []


@pytest.mark.parametrize(
    ("train", "where", "said", "better"),
    [
        ({"crop_top": 0.99, "image_scale": 1.0}, "train.crop_top", "64 × 48 pixels become 64 × 0", 0.66),
        ({"image_scale": 0.1}, "train.image_scale", "64 × 48 pixels become 6 × 5", 0.334),
        ({"crop_top": 0.5, "image_scale": 0.5}, "train.crop_top", "become 32 × 12", 0.33),
    ],
)
def test_something_is_left_of_the_pictures(train: dict[str, Any], where: str, said: str, better: float) -> None:
    field, text, hint = only(train=train, pictures=(6, 48, 64))
    assert field == where and said in text and hint == f"--set {where}={better:g}"
    assert found(train={**train, where.removeprefix("train."): better}, pictures=(6, 48, 64)) == []
    assert found(train=train) == [], "of stored frames nobody knows the size beforehand"


def test_absurd_maps_are_refused_with_what_they_would_take() -> None:
    assert problems(model={"bev_grid": 180}) == {}
    where, text, hint = only(model={"bev_grid": 2000})
    assert where == "model.bev_grid" and "4,000,000 tokens" in text and "about 336 GiB" in text and "180" in hint
    assert problems(model={"bev_grid": 2000}) == {"model.bev_grid": "error"}
    assert problems(model={"bev_grid": 800}) == {"model.bev_grid": "warning"}
    assert problems(model={"bev_grid": 800}, devices=4) == {}, "each device keeps what its share of the batch needs"


@pytest.mark.parametrize(
    ("augment", "said"),
    [({"scale": [1.1, 0.9]}, "smallest scale, 1.1, is above"), ({"flip_x": 2}, "flip_x"), ({"rotate": -1}, "rotate"),
     ({"shift": 1}, "there is no such field")],
)  # fmt: skip
def test_what_cannot_be_augmented(augment: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        validate(TorchConfig, {"train": {"augment": augment}}, lambda keys: "recipe.yaml:1")


def test_frames_are_augmented_where_a_recipe_says_so_alone() -> None:
    assert TorchConfig().train.augment is None
    asked = TorchConfig.model_validate({"train": {"augment": {}}}).model_dump()["train"]["augment"]
    assert asked == {"rotate": 22.5, "scale": [0.9, 1.1], "flip_x": 0.5, "flip_y": 0.5}


def test_a_branch_may_change_how_aqr_is_applied_and_not_what_its_checkpoint_holds() -> None:
    fixed = TorchBackend.fixed_in_branches
    free = ("max_weight_clamp", "clamp_from", "residual_weight", "mode", "kernel", "saturate", "balance")
    assert not {f"model.aqr.{name}" for name in free} & set(fixed)
    assert {"model.channels", "model.camera", "model.aqr.weights", "model.aqr.lidar", "train.batch"} <= set(fixed)


def test_weight_files_are_named_with_their_place() -> None:
    model = {
        "camera": {"backbone": "resnet18", "weights": "r18.safetensors"},
        "weights": "start.pt",
        "sha256": "0" * 64,
    }
    config = TorchConfig.model_validate({"model": model}).model_dump()
    files = {file.keys: (file.name, file.sha256) for file in TorchBackend().weights(config)}
    assert files == {
        ("model", "weights"): ("start.pt", "0" * 64),
        ("model", "camera", "weights"): ("r18.safetensors", None),
    }


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from detui.engine.backends.torch.plan import TorchBackend; TorchBackend();"
        "from detui.engine.backends.torch import train; from detui.engine.data import frames;"
        "sys.exit(' '.join(name for name in ('torch', 'scipy', 'timm', 'PIL') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.returncode == 0
