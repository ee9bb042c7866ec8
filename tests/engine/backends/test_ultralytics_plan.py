"""What the Ultralytics backend says before anything starts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.ultralytics.batches import smallest_batch
from detui.engine.backends.ultralytics.plan import UltralyticsBackend, UltralyticsConfig


def problems(device: str = "cpu", images: int | None = 64, devices: int = 1, **sections: Any) -> list[Problem]:
    config = UltralyticsConfig.model_validate({"model": {"name": "yolo12n"}, **sections}).model_dump(mode="json")
    context = CheckContext(arm="a", config=config, device=device, devices=devices, train_images=images)
    return UltralyticsBackend().check(context)


def test_a_plain_configuration_is_fine_on_both_devices() -> None:
    assert problems() == problems("cuda") == []


@pytest.mark.parametrize(
    ("device", "sections", "field", "level"),
    [
        ("cpu", {"train": {"amp": "bf16"}}, "train.amp", "error"),
        ("cpu", {"train": {"imgsz": 300}}, "train.imgsz", "error"),
        ("cpu", {"model": {"name": "yolo12q1"}}, "model.name", "error"),
        ("cpu", {"model": {"name": "yolo12n", "weights": "yolo12n.pt"}}, "model.sha256", "error"),
        ("cuda", {"model": {"name": "rtdetr-l"}}, "train.deterministic", "error"),
        (
            "cuda",
            {"model": {"name": "rtdetr-l"}, "train": {"deterministic": False, "amp": "fp16"}},
            "train.amp",
            "warning",
        ),
        ("cpu", {"model": {"name": "rtdetr-l"}, "loss": {"box": 9.0}}, "loss", "error"),
        ("cpu", {"model": {"name": "rtdetr-l"}, "train": {"batch": 1}}, "train.batch", "error"),
        ("cpu", {"model": {"name": "rtdetr-l"}, "train": {"batch": 9}}, "train.batch", "error"),
        ("cpu", {"train": {"batch": 9}}, "train.batch", "warning"),
        ("cpu", {"train": {"patience": 5, "val": False}}, "train.patience", "error"),
    ],
)
def test_a_contradiction_is_named_with_the_way_out(device: str, sections: Any, field: str, level: str) -> None:
    found = problems(device, **sections)
    assert [(p.where, p.level) for p in found] == [(field, level)]
    assert found[0].hint and found[0].text.endswith(".")


@pytest.mark.parametrize(
    ("images", "batch", "devices", "smallest", "hint"),
    [
        (64, 8, 4, 2, None),
        (None, 4, 4, 1, "--set train.batch=8"),
        (17, 8, 2, 1, "--set train.batch=10"),  # a last batch of one image: the first one comes again
        (19, 8, 2, 1, "--set train.batch=10"),  # three images, of which one device has one
        (20, 8, 2, 2, None),
        (18, 4, 1, 2, None),
        (17, 8, 1, 1, "--set train.batch=9"),
    ],
)
def test_a_batch_of_one_image_on_one_of_the_devices(
    images: int | None, batch: int, devices: int, smallest: int, hint: str | None
) -> None:
    assert smallest_batch(batch, images, devices) == smallest
    found = problems(images=images, devices=devices, model={"name": "rtdetr-l"}, train={"batch": batch, "nbs": batch})
    assert [(p.where, p.level, p.hint) for p in found if p.level == "error"] == (
        [("train.batch", "error", hint)] if hint else []
    )


def test_weights_name_where_the_worker_looks() -> None:
    config = {"model": {"name": "yolo12n", "weights": "yolo12n.pt", "sha256": "0" * 64}}
    (weight,) = UltralyticsBackend().weights(config)
    assert (weight.keys, weight.name) == (("model", "weights"), "yolo12n.pt")


def test_a_model_of_ones_own_is_a_file_to_be_found() -> None:
    (model,) = UltralyticsBackend().weights({"model": {"name": "mine.yaml", "weights": None, "sha256": None}})
    assert (model.keys, model.name) == (("model", "name"), "mine.yaml")


def test_the_plan_half_imports_no_framework() -> None:
    module = "detui.engine.backends.ultralytics.plan"
    code = f"import sys, {module}; print({{'torch', 'ultralytics'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_warm_up_that_would_be_cut_short_is_refused_and_one_that_fits_is_not() -> None:
    (found,) = problems(train={"epochs": 2, "nbs": 16})
    assert (found.level, found.where) == ("error", "train.warmup_epochs") and "would be cut short" in found.text
    assert found.hint == "--set train.warmup_epochs=1"
    assert (
        problems(train={"epochs": 4, "nbs": 16}) == problems(train={"epochs": 1, "warmup_epochs": 0, "nbs": 16}) == []
    )


@pytest.mark.parametrize(
    ("images", "nbs", "warns"), [(32, 64, True), (32, 16, False), (4000, 64, False), (None, 64, False)]
)
def test_an_optimizer_that_hardly_steps_is_named(images: int | None, nbs: int, warns: bool) -> None:
    found = problems(images=images, train={"epochs": 4, "nbs": nbs})
    assert bool(found) == warns
    if warns:
        assert found[0].level == "warning" and "About 2 optimizer steps in all" in found[0].text
