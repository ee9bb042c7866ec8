"""The plan half of detui's own detectors: what is refused beforehand, and that nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from detui.engine.backends.base import CheckContext
from detui.engine.backends.torch.plan import TorchBackend, TorchConfig
from detui.engine.closed import validate
from detui.engine.errors import RecipeError


def problems(frames: int | None = 1000, devices: int = 1, **sections: Any) -> dict[str | None, str]:
    """Field → level of what is wrong."""
    config = TorchConfig.model_validate(sections).model_dump()
    context = CheckContext(arm="a", config=config, device="cpu", devices=devices, train_images=frames)
    return {problem.where: problem.level for problem in TorchBackend().check(context)}


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
        ({"aqr": {"clamp_from": 3.0}}, "model.aqr.clamp_from", "error"),
        ({"aqr": {"max_weight_clamp": 0.005}}, "model.aqr.min_weight", "error"),
        ({"camera": {"weights": "r50.safetensors"}}, "model.camera.weights", "error"),
    ],
)
def test_contradictions_are_found(model: dict[str, Any], where: str, level: str) -> None:
    assert problems(model=model) == {where: level}


def test_a_warm_up_ends_within_the_training_and_one_device_is_enough() -> None:
    assert problems(frames=8, train={"epochs": 2}) == {"train.warmup_steps": "error"}
    assert problems(frames=None, train={"epochs": 2}) == {}
    assert problems(devices=2) == {"devices": "error"}


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


def test_weight_files_are_named_with_their_place() -> None:
    model = {
        "camera": {"backbone": "resnet18", "weights": "r18.safetensors"},
        "weights": "start.pt",
        "sha256": "0" * 64,
    }
    config = TorchConfig.model_validate({"model": model}).model_dump()
    found = {file.keys: (file.name, file.sha256) for file in TorchBackend().weights(config)}
    assert found == {
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
