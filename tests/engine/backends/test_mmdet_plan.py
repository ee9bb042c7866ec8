"""The plan half for MMDetection: schema, checks, rates, and the configuration that is written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from detui.engine.backends import backend
from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.mmdet import configuration
from detui.engine.backends.mmdet.rates import planned
from detui.engine.backends.mmdet.schema import MmdetConfig

DATA = {"prepared": "/data/voc", "root": "/pictures", "classes": ["cat", "dog", "sheep"]}
LAYERED = {"backbone": 0.1, "neck": 0.5, "heads": 1.0}


def sections(**given: Any) -> dict[str, Any]:
    """A whole configuration: sections by name, with the backend's defaults."""
    return MmdetConfig.model_validate(given).model_dump(mode="json")


def settings(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return configuration.configured(config, DATA, seed=3, epochs=40, folder=Path("/work"), **more)


def problems(config: dict[str, Any], **more: Any) -> list[Problem]:
    context: dict[str, Any] = {"arm": "a", "config": config, "device": "cpu", "train_images": None, **more}
    return backend("mmdet").check(CheckContext(**context))


def told(config: dict[str, Any], **more: Any) -> list[tuple[str, str | None]]:
    return [(one.level, one.where) for one in problems(config, **more)]


COCO = {"weights": "coco.pth"}


class TestSchema:
    def test_weights_of_two_kinds(self) -> None:
        with pytest.raises(ValidationError, match="name one of the two files"):
            sections(model={"weights": "coco.pth", "backbone": {"weights": "resnet50.pth"}})

    def test_drops_rise(self) -> None:
        with pytest.raises(ValidationError, match="rising order"):
            sections(train={"drops": [35, 25]})

    def test_the_long_side_comes_first(self) -> None:
        with pytest.raises(ValidationError, match="long side first"):
            sections(train={"image_size": [800, 1333]})

    def test_every_weight_file_is_named(self) -> None:
        files = backend("mmdet").weights(sections(model=COCO))
        assert [(one.name, one.keys) for one in files] == [("coco.pth", ("model", "weights"))]
        files = backend("mmdet").weights(sections(model={"backbone": {"weights": "r50.pth"}}))
        assert [(one.name, one.keys) for one in files] == [("r50.pth", ("model", "backbone", "weights"))]


class TestRates:
    """The document: 0.0002, 0.001, 0.002 of a base rate of 0.002; 0.004 and 0.008 with 4 and 8 pictures a step."""

    def test_layered(self) -> None:
        rates = planned(sections(model=COCO, train={"lr": 0.002, "layers": LAYERED, "reference_batch": 2}))
        assert (rates.backbone, rates.neck, rates.heads) == pytest.approx((0.0002, 0.001, 0.002))
        assert rates.layered and rates.pictures == 2

    @pytest.mark.parametrize(("devices", "batch", "rate"), [(1, 2, 0.002), (2, 4, 0.004), (4, 8, 0.008), (1, 4, 0.004)])
    def test_linear_scaling(self, devices: int, batch: int, rate: float) -> None:
        """By the pictures of a step, on however many devices: MMEngine multiplies its batch, one device's, by those."""
        config = sections(model=COCO, train={"lr": 0.002, "batch": batch, "reference_batch": 2})
        assert planned(config).heads == pytest.approx(rate)
        made = settings(config, devices=devices)
        assert made["auto_scale_lr"] == {"enable": True, "base_batch_size": 2}
        assert made["train_dataloader"]["batch_size"] * devices == batch

    def test_no_reference_means_no_scaling(self) -> None:
        config = sections(model=COCO, train={"lr": 0.002, "batch": 8})
        assert planned(config).heads == 0.002
        assert settings(config, devices=4)["auto_scale_lr"] == {"enable": False, "base_batch_size": 8}

    def test_a_frozen_backbone_has_no_rate(self) -> None:
        rates = planned(sections(model={**COCO, "backbone": {"frozen_stages": 4}}))
        assert rates.backbone is None


class TestChecks:
    def test_nothing_is_wrong_with_the_document(self) -> None:
        train = {"lr": 0.002, "epochs": 40, "drops": [25, 35], "layers": LAYERED}
        assert told(sections(model=COCO, train=train), train_images=1464) == []

    def test_a_random_backbone_must_learn(self) -> None:
        places = ["model.backbone.frozen_stages", "model.backbone.norm_eval"]
        assert told(sections()) == [("error", place) for place in places]
        learning = {"backbone": {"frozen_stages": -1, "norm_eval": False}}
        assert told(sections(model=learning)) == []
        assert told(sections(), continues=True) == [], "a stage before gives the backbone its weights"

    def test_a_start_that_nobody_reads(self) -> None:
        model = {"backbone": {"frozen_stages": -1, "norm_eval": False}, "start": {"anew": "heads"}}
        assert told(sections(model=model)) == [("warning", "model.start")]
        assert told(sections(model=model), followed=True) == [], "the stage after it reads that"
        both = {**COCO, "start": {"take": "backbone", "anew": "heads"}}
        assert told(sections(model=both)) == [("warning", "model.start.anew")]

    def test_mixed_precision_needs_a_gpu(self) -> None:
        config = sections(model=COCO, train={"amp": "bf16"})
        assert told(config) == [("error", "train.amp")] and told(config, device="cuda") == []

    def test_drops_and_warm_up_lie_in_the_training(self) -> None:
        late = sections(model=COCO, train={"epochs": 30, "drops": [25, 35]})
        assert [one.hint for one in problems(late)] == ["--set train.drops=[25]"]
        short = sections(model=COCO, train={"epochs": 12, "warmup_steps": 500})
        assert told(short, train_images=20) == [("error", "train.warmup_steps")]
        few = sections(model=COCO, train={"epochs": 12, "warmup_steps": 0})
        assert told(few, train_images=2) == [("warning", "train.epochs")]

    def test_noisy_statistics(self) -> None:
        model = {**COCO, "backbone": {"norm_eval": False}}
        assert told(sections(model=model, train={"batch": 1})) == [("warning", "train.batch")]
        shared = sections(model=model, train={"batch": 4})
        assert told(shared) == [] and told(shared, devices=2) == []
        (one,) = problems(shared, devices=4)
        assert "Each of 4 devices has its own" in one.text and "train.batch=8" in str(one.hint)

    def test_a_rate_of_what_is_frozen(self) -> None:
        model = {**COCO, "backbone": {"frozen_stages": 4}}
        assert told(sections(model=model, train={"layers": LAYERED})) == [("warning", "train.layers.backbone")]


class TestConfiguration:
    def test_layers_become_multipliers_of_parts(self) -> None:
        made = settings(sections(train={"layers": LAYERED}))["optim_wrapper"]["paramwise_cfg"]["custom_keys"]
        assert {part: one["lr_mult"] for part, one in made.items()} == {
            "backbone": 0.1, "neck": 0.5, "rpn_head": 1.0, "roi_head": 1.0,
        }  # fmt: skip
        assert "paramwise_cfg" not in settings(sections())["optim_wrapper"], "one group is faster than 160"

    def test_schedule(self) -> None:
        train = {"drops": [25, 35], "warmup_steps": 100, "warmup_from": 0.01}
        rise, drops = settings(sections(train=train))["param_scheduler"]
        assert (rise["start_factor"], rise["end"], rise["by_epoch"]) == (0.01, 100, False)
        assert (drops["milestones"], drops["gamma"], drops["end"]) == ([25, 35], 0.1, 40)
        assert settings(sections(train={"drops": [], "warmup_steps": 0}))["param_scheduler"] == []

    def test_the_classes_of_the_data(self) -> None:
        made = settings(sections())
        heads = made["model"]["roi_head"]
        assert heads["bbox_head"]["num_classes"] == heads["mask_head"]["num_classes"] == 3
        for name in ("train_dataloader", "val_dataloader", "loss_dataloader"):
            assert made[name]["dataset"]["metainfo"]["classes"] == ("cat", "dog", "sheep")
            assert made[name]["dataset"]["filter_cfg"] is None, "no picture is left out"
        assert made["loss_dataloader"]["dataset"]["ann_file"] == "/data/voc/val.json"

    def test_annotations_are_resized_for_losses_alone(self) -> None:
        made = settings(sections())
        steps = {name: [step["type"] for step in made[f"{name}_dataloader"]["dataset"]["pipeline"]]
                 for name in ("val", "loss")}  # fmt: skip
        assert steps["val"].index("Resize") < steps["val"].index("LoadAnnotations")
        assert steps["loss"].index("Resize") > steps["loss"].index("LoadAnnotations")

    def test_augmentation(self) -> None:
        given = {"flip": 0.25, "photometric": {"brightness": 16}}
        pipeline = settings(sections(augment=given))["train_dataloader"]["dataset"]["pipeline"]
        assert next(step for step in pipeline if step["type"] == "RandomFlip")["prob"] == 0.25
        distortion = next(step for step in pipeline if step["type"] == "PhotoMetricDistortion")
        assert (distortion["brightness_delta"], distortion["hue_delta"]) == (16, 18)
        plain = settings(sections())["train_dataloader"]["dataset"]["pipeline"]
        assert not [step for step in plain if step["type"] == "PhotoMetricDistortion"]

    def test_precision_and_clipping(self) -> None:
        wrapper = settings(sections(train={"amp": "fp16", "clip": 35.0}))["optim_wrapper"]
        assert (wrapper["type"], wrapper["dtype"], wrapper["loss_scale"]) == ("AmpOptimWrapper", "float16", "dynamic")
        assert wrapper["clip_grad"] == {"max_norm": 35.0, "norm_type": 2}

    def test_the_file_says_the_same(self) -> None:
        config = sections(model={"backbone": {"weights": "/w/r50.pth"}})
        read: dict[str, Any] = {}
        exec(compile(configuration.text(settings(config), config), "config.py", "exec"), {}, read)
        assert read["model"]["backbone"].pop("init_cfg") == {"type": "Pretrained", "checkpoint": "/w/r50.pth"}
        assert read == settings(config)

    def test_the_file_of_several_devices_has_what_one_of_them_has(self) -> None:
        config = sections(train={"batch": 8})
        made = settings(config, devices=4)
        assert [made[f"{name}_dataloader"]["batch_size"] for name in ("train", "loss", "val")] == [2, 2, 1]
        assert "one of 4 devices" in configuration.text(made, config)
        assert "devices" not in configuration.text(settings(config), config)

    def test_the_file_names_the_weights(self) -> None:
        config = sections(model={"weights": "/w/coco.pth", "start": {"anew": "heads"}})
        file = configuration.text(settings(config), config)
        assert "load_from = '/w/coco.pth'" in file and "whole heads anew" in file
