"""From a recipe's sections to an MMEngine configuration, as plain Python values: standard library only.

What is the same for every recipe is that of MMDetection's `_base_/models/mask-rcnn_r50_fpn.py`,
`_base_/datasets/coco_instance.py` and `_base_/schedules/schedule_1x.py`. Every value is written out, so that no default
of the installed version decides silently.
"""

from __future__ import annotations

import colorsys
import pprint
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from detui.engine.backends.mmdet.rates import PARTS

Settings = dict[str, Any]
Kind = Literal["train", "val", "loss"]
"""Of a loader: to train with; to find detections with; or to compute losses on pictures that are not trained on."""

CHANNELS = {18: [64, 128, 256, 512], 34: [64, 128, 256, 512], 50: [256, 512, 1024, 2048], 101: [256, 512, 1024, 2048]}
"""Depth of a ResNet → channels of its four stages."""
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
"""Of ImageNet's red, green and blue, of 255: what the published weights were trained with."""
STANDIN = "detui.engine.backends.mmdet.standin"
"""What MMEngine imports first, for an mmcv without compiled operators."""
_WIDTH = 110


def configured(
    config: Mapping[str, Any], data: Mapping[str, Any], *, seed: int, epochs: int, folder: Path, devices: int = 1
) -> Settings:
    """The configuration of one stage.

    `data`: prepared (`prepared`, `root`, `classes`, `splits`). `epochs`: of the stage. `folder`: where MMEngine writes.
    It says nothing of weights to start from: those are read by weights.py. `loss_dataloader` is ours, and MMEngine
    passes it by. The rate stands in it as the recipe has it; MMEngine scales it by `auto_scale_lr`. MMEngine's batches
    are those of one device, and the recipe's are of all `devices` together.
    """
    train = config["train"]
    reference = train["reference_batch"]
    return {
        "default_scope": "mmdet",
        "custom_imports": {"imports": [STANDIN], "allow_failed_imports": True},
        "model": model(config["model"], len(data["classes"])),
        "train_dataloader": loader(config, data, "train", "train", devices),
        "val_dataloader": loader(config, data, "val", "val"),
        "loss_dataloader": loader(config, data, "val", "loss", devices),
        "val_evaluator": {"type": "CocoMetric", "ann_file": _truth(data, "val"), "metric": ["bbox", "segm"]},
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": epochs, "val_interval": 1},
        "val_cfg": {"type": "ValLoop"},
        "optim_wrapper": optimisation(train),
        "param_scheduler": schedule(train, epochs),
        "auto_scale_lr": {"enable": reference is not None, "base_batch_size": reference or train["batch"]},
        "default_hooks": {
            "timer": {"type": "IterTimerHook"},
            "logger": {"type": "LoggerHook", "interval": 50},
            "param_scheduler": {"type": "ParamSchedulerHook"},
            "checkpoint": {"type": "CheckpointHook", "interval": 1},
            "sampler_seed": {"type": "DistSamplerSeedHook"},
        },
        "env_cfg": {
            "cudnn_benchmark": False,
            "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
            "dist_cfg": {"backend": "nccl"},
        },
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}],
                       "name": "visualizer"},
        "log_processor": {"type": "LogProcessor", "window_size": 50, "by_epoch": True},
        "log_level": "INFO",
        "randomness": {"seed": seed},
        "load_from": None,
        "resume": False,
        "work_dir": str(folder),
    }  # fmt: skip


def model(section: Mapping[str, Any], classes: int) -> Settings:
    """Mask R-CNN for so many classes, its weights random. `section`: a recipe's `model`."""
    channels = section["channels"]
    return {
        "type": "MaskRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True, "pad_mask": True,
            "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "ResNet", "depth": section["backbone"]["depth"], "num_stages": 4, "out_indices": (0, 1, 2, 3),
            "frozen_stages": section["backbone"]["frozen_stages"], "norm_cfg": {"type": "BN", "requires_grad": True},
            "norm_eval": section["backbone"]["norm_eval"], "style": "pytorch",
        },
        "neck": {
            "type": "FPN", "in_channels": CHANNELS[section["backbone"]["depth"]], "out_channels": channels,
            "num_outs": 5,
        },
        "rpn_head": {
            "type": "RPNHead", "in_channels": channels, "feat_channels": channels,
            "anchor_generator": {"type": "AnchorGenerator", "scales": [8], "ratios": [0.5, 1.0, 2.0],
                                 "strides": [4, 8, 16, 32, 64]},
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [1.0] * 4},
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "roi_head": _roi_head(section, classes),
        "train_cfg": _while_training(section),
        "test_cfg": _in_evaluation(section),
    }  # fmt: skip


def _roi_head(section: Mapping[str, Any], classes: int) -> Settings:
    def cut(size: int) -> Settings:
        layer = {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0}
        return {"type": "SingleRoIExtractor", "roi_layer": layer, "out_channels": section["channels"],
                "featmap_strides": [4, 8, 16, 32]}  # fmt: skip

    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": cut(7),
        "bbox_head": {
            "type": "Shared2FCBBoxHead", "in_channels": section["channels"], "fc_out_channels": section["hidden"],
            "roi_feat_size": 7, "num_classes": classes,
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4,
                           "target_stds": [0.1, 0.1, 0.2, 0.2]},
            "reg_class_agnostic": False,
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "mask_roi_extractor": cut(14),
        "mask_head": {
            "type": "FCNMaskHead", "num_convs": section["mask_layers"], "in_channels": section["channels"],
            "conv_out_channels": section["mask_channels"], "num_classes": classes,
            "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        },
    }  # fmt: skip


def _proposals(before: int, after: int) -> Settings:
    return {"nms_pre": before, "max_per_img": after, "nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 0}


def _while_training(section: Mapping[str, Any]) -> Settings:
    def assigner(above: float, below: float, least: float, low: bool) -> Settings:
        return {"type": "MaxIoUAssigner", "pos_iou_thr": above, "neg_iou_thr": below, "min_pos_iou": least,
                "match_low_quality": low, "ignore_iof_thr": -1}  # fmt: skip

    def sampler(number: int, positive: float, truth: bool) -> Settings:
        return {"type": "RandomSampler", "num": number, "pos_fraction": positive, "neg_pos_ub": -1,
                "add_gt_as_proposals": truth}  # fmt: skip

    return {
        "rpn": {"assigner": assigner(0.7, 0.3, 0.3, True), "sampler": sampler(section["anchors_sampled"], 0.5, False),
                "allowed_border": -1, "pos_weight": -1, "debug": False},
        "rpn_proposal": _proposals(section["proposals_before"], section["proposals"]),
        "rcnn": {"assigner": assigner(0.5, 0.5, 0.5, True), "sampler": sampler(section["boxes_sampled"], 0.25, True),
                 "mask_size": 28, "pos_weight": -1, "debug": False},
    }  # fmt: skip


def _in_evaluation(section: Mapping[str, Any]) -> Settings:
    return {
        "rpn": _proposals(max(section["proposals_before"] // 2, 1), section["proposals"]),
        "rcnn": {"score_thr": section["score"], "nms": {"type": "nms", "iou_threshold": 0.5},
                 "max_per_img": section["detections"], "mask_thr_binary": 0.5},
    }  # fmt: skip


def loader(config: Mapping[str, Any], data: Mapping[str, Any], role: str, kind: Kind, devices: int = 1) -> Settings:
    """A loader of the pictures of `role` ("train", "val", "test"), for one of so many devices.

    No picture is left out: MMDetection's filter of those without objects is off. For losses the annotations are read
    before the pictures are resized, so that they are resized with them; for detections after, so that they stay in
    original pixels.
    """
    train = config["train"]
    own = train["workers"]
    return {
        "batch_size": train["batch"] // devices if kind != "val" else 1,
        "num_workers": own,
        "persistent_workers": own > 0,
        "drop_last": False,
        "sampler": {"type": "DefaultSampler", "shuffle": kind == "train"},
        **({"batch_sampler": {"type": "AspectRatioBatchSampler"}} if kind == "train" else {}),
        "dataset": {
            "type": "CocoDataset",
            "metainfo": {"classes": tuple(data["classes"]), "palette": _palette(len(data["classes"]))},
            "ann_file": _truth(data, role),
            "data_prefix": {"img": str(data["root"])},
            "filter_cfg": None,
            "test_mode": kind == "val",
            "pipeline": _pipeline(config, kind),
        },
    }


def _truth(data: Mapping[str, Any], role: str) -> str:
    """The COCO JSON of a role."""
    return str(Path(data["prepared"]) / f"{role}.json")


def _palette(classes: int) -> list[tuple[int, int, int]]:
    """A colour for each class: MMDetection's drawing asks for one."""
    hues = (colorsys.hsv_to_rgb(index / max(classes, 1), 0.8, 0.95) for index in range(classes))
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues]


def _pipeline(config: Mapping[str, Any], kind: Kind) -> list[Settings]:
    read: Settings = {"type": "LoadImageFromFile"}
    annotations: Settings = {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True}
    resize: Settings = {"type": "Resize", "scale": tuple(config["train"]["image_size"]), "keep_ratio": True}
    told = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    pack: Settings = {"type": "PackDetInputs", "meta_keys": told}
    if kind == "val":
        return [read, resize, annotations, pack]
    if kind == "loss":
        return [read, annotations, resize, pack]
    flip: Settings = {"type": "RandomFlip", "prob": config["augment"]["flip"]}
    pack = {"type": "PackDetInputs", "meta_keys": (*told, "flip", "flip_direction")}
    return [read, annotations, resize, flip, *_photometric(config["augment"]["photometric"]), pack]


def _photometric(section: Mapping[str, Any] | None) -> list[Settings]:
    if section is None:
        return []
    return [{"type": "PhotoMetricDistortion", "brightness_delta": section["brightness"],
             "contrast_range": tuple(section["contrast"]), "saturation_range": tuple(section["saturation"]),
             "hue_delta": section["hue"]}]  # fmt: skip


def optimisation(train: Mapping[str, Any]) -> Settings:
    """The optimizer wrapper. With layered rates MMEngine makes a parameter group of each parameter."""
    factors = {part: train["layers"][field] for part, field in PARTS.items()}
    found: Settings = {
        "type": "AmpOptimWrapper" if train["amp"] else "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": train["lr"], "momentum": train["momentum"],
                      "weight_decay": train["weight_decay"]},
    }  # fmt: skip
    if any(factor != 1.0 for factor in factors.values()):
        keys = {part: {"lr_mult": factor} for part, factor in factors.items()}
        found["paramwise_cfg"] = {"custom_keys": keys}
    if train["clip"]:
        found["clip_grad"] = {"max_norm": train["clip"], "norm_type": 2}
    if train["amp"]:
        found |= {"dtype": {"fp16": "float16", "bf16": "bfloat16"}[train["amp"]]}
        found |= {"loss_scale": "dynamic" if train["amp"] == "fp16" else 1.0}
    return found


def schedule(train: Mapping[str, Any], epochs: int) -> list[Settings]:
    """How the rate moves: a straight rise by steps, then drops by epochs."""
    found: list[Settings] = []
    if train["warmup_steps"]:
        found.append({"type": "LinearLR", "start_factor": train["warmup_from"], "by_epoch": False, "begin": 0,
                      "end": train["warmup_steps"]})  # fmt: skip
    if train["drops"]:
        found.append({"type": "MultiStepLR", "begin": 0, "end": epochs, "by_epoch": True,
                      "milestones": list(train["drops"]), "gamma": train["drop_factor"]})  # fmt: skip
    return found


def text(settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The configuration as a file that MMDetection's own tools read.

    `config`: the recipe's sections, whose weights are named here so that the tools start from them, too.
    """
    told = dict(settings)
    section, heads = config["model"], config["model"]["start"]["anew"] == "heads"
    told["load_from"] = section["weights"]
    if section["backbone"]["weights"]:
        first = {"type": "Pretrained", "checkpoint": section["backbone"]["weights"]}
        told["model"] = {**told["model"], "backbone": {**told["model"]["backbone"], "init_cfg": first}}
    # MMEngine imports the stand-in by its name: a shell that started no worker has to be told where it lies.
    links = shlex.quote(str(Path(__file__).parents[4]))
    lines = [*(line.format(links=links) for line in _HEADER), *(_HEADS if section["weights"] and heads else ())]
    share = settings["train_dataloader"]["batch_size"]
    lines += [_SHARE.format(devices=config["train"]["batch"] // share)] if share != config["train"]["batch"] else []
    values = [f"{name} = {pprint.pformat(value, width=_WIDTH, sort_dicts=False)}" for name, value in told.items()]
    return "\n".join([*lines, "", *values, ""])


_HEADER = (
    "# What this training is made of, as a configuration file of MMEngine. MMDetection's tools run it:",
    "#   PYTHONPATH={links} python …/mmdet/.mim/tools/train.py config.py --work-dir elsewhere",
    "# with the environment's Python; the path leads to the operators that stand in where mmcv has none compiled.",
    "# They read the weights in their own way, which may run what stands in a file (detui weights check runs nothing),",
    "# with their own random numbers, and know neither our validation losses (loss_dataloader) nor our evaluation.",
)
_SHARE = "# A batch is what one of {devices} devices has of a step: the tools are to be started on as many."
_HEADS = ("# The recipe starts whole heads anew (model.start.anew); the tools keep all of them that fits.",)
