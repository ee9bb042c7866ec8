"""What was asked, and what MMEngine and MMDetection then really built: each field is read back from the objects.

Keys of `paramwise_cfg` match parts of names, rates are scaled behind the configuration, and a field that a module does
not know may be passed by: what was written into a configuration says little of what is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from detui.engine.backends.mmdet.rates import PARTS, planned
from detui.engine.backends.mmdet.state import unwrapped
from detui.engine.errors import RunError

OURS = ("train.save_every", "train.validation_loss")
"""Fields that nothing of MMEngine reads."""
TOLD_ELSEWHERE = ("model.weights", "model.sha256", "model.backbone.weights", "model.backbone.sha256", "model.start")
"""Fields that the report of the transfer answers."""
STAGES = 4
"""Of a ResNet, behind its stem."""


def asked(config: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """The recipe's fields as `train.lr` → value, of a stage of so many epochs, and the rates by part that follow.

    Fields of what is switched off are left out: nothing holds them.
    """
    flat = dict(_flat({section: config[section] for section in ("model", "train", "augment")}))
    rates, train = planned(config), config["train"]
    flat["train.epochs"] = epochs
    flat |= {f"train.rates.{part}": getattr(rates, field) for part, field in PARTS.items()}
    if rates.backbone is None:
        flat["train.layers.backbone"] = None
    absent = [*OURS, *TOLD_ELSEWHERE]
    absent += [] if train["warmup_steps"] else ["train.warmup_from"]
    absent += [] if train["drops"] else ["train.drop_factor"]
    return {name: value for name, value in flat.items() if not any(f"{name}.".startswith(f"{one}.") for one in absent)}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", list(value) if isinstance(value, (list, tuple)) else value


def used(runner: Any) -> dict[str, Any]:
    """The same fields, read back from a runner whose training is about to start."""
    model = unwrapped(runner.model)
    found = {f"model.{name}": value for name, value in _model(model).items()}
    found |= {f"train.{name}": value for name, value in _training(runner, model).items()}
    return found | {f"augment.{name}": value for name, value in _augmentation(_steps(runner)).items()}


def _model(model: Any) -> dict[str, Any]:
    boxes, masks = model.roi_head.bbox_head, model.roi_head.mask_head
    return {
        "name": {"MaskRCNN": "mask-rcnn"}.get(type(model).__name__, type(model).__name__),
        "backbone.depth": model.backbone.depth,
        "backbone.frozen_stages": frozen_stages(model.backbone),
        "backbone.norm_eval": model.backbone.norm_eval,
        "channels": model.neck.out_channels,
        "proposals_before": model.train_cfg.rpn_proposal.nms_pre,
        "proposals": model.train_cfg.rpn_proposal.max_per_img,
        "anchors_sampled": model.rpn_head.sampler.num,
        "boxes_sampled": model.roi_head.bbox_sampler.num,
        "hidden": boxes.shared_fcs[-1].out_features,
        "mask_layers": len(masks.convs),
        "mask_channels": masks.conv_out_channels,
        "score": model.roi_head.test_cfg.score_thr,
        "detections": model.roi_head.test_cfg.max_per_img,
    }


def frozen_stages(backbone: Any) -> int:
    """How many stages of a ResNet do not learn, counted on its parameters: 0 is the stem, -1 nothing."""
    layers = [(backbone.conv1, backbone.norm1), *((getattr(backbone, name),) for name in backbone.res_layers)]
    frozen = -1
    for number, modules in enumerate(layers):
        if any(parameter.requires_grad for module in modules for parameter in module.parameters()):
            break
        frozen = number
    return frozen


def _training(runner: Any, model: Any) -> dict[str, Any]:
    wrapper, loop = runner.optim_wrapper, runner.train_loop
    optimizer, scaling = wrapper.optimizer, runner.auto_scale_lr or {}
    batch = loop.dataloader.batch_sampler.inner.batch_size
    reference = scaling["base_batch_size"] if scaling.get("enable") else None
    base = optimizer.defaults["lr"]
    scaled = base * (batch / reference if reference else 1.0)
    rates = peaks(optimizer, model)
    resize = next(step for step in _steps(runner) if type(step).__name__ == "Resize")
    return {
        "epochs": loop.max_epochs,
        "batch": batch,
        "lr": base,
        "reference_batch": reference,
        **{f"layers.{field}": _factor(rates, field, scaled) for field in dict.fromkeys(PARTS.values())},
        **{f"rates.{part}": rate for part, rate in rates.items()},
        "momentum": _one(group["momentum"] for group in optimizer.param_groups),
        "weight_decay": _one(group["weight_decay"] for group in optimizer.param_groups),
        **_schedule(runner.param_schedulers or ()),
        "clip": (wrapper.clip_grad_kwargs or {}).get("max_norm", 0.0),
        "amp": _amp(wrapper),
        "image_size": list(resize.scale),
        "workers": loop.dataloader.num_workers,
    }


def group_of(optimizer: Any, model: Any) -> dict[str, list[int]]:
    """Part of the model (as in PARTS) → the optimizer's groups that hold a parameter of it that learns."""
    names = {id(value): name for name, value in model.named_parameters() if value.requires_grad}
    found: dict[str, list[int]] = {}
    for number, group in enumerate(optimizer.param_groups):
        for part in {names[id(value)].split(".")[0] for value in group["params"] if id(value) in names}:
            found.setdefault(part, []).append(number)
    return found


def peaks(optimizer: Any, model: Any) -> dict[str, Any]:
    """Part → its rate before any schedule; a list where a part has several, None where nothing of it learns."""
    groups, held = optimizer.param_groups, group_of(optimizer, model)
    rates = {part: (groups[number].get("initial_lr", groups[number]["lr"]) for number in held.get(part, ()))
             for part in (*PARTS, *(part for part in held if part not in PARTS))}  # fmt: skip
    return {part: _one(values) for part, values in rates.items()}


def _factor(rates: Mapping[str, Any], field: str, scaled: float) -> Any:
    """The factor of the parts that have a field of `train.layers` in common."""
    rate = _one(rates[part] for part, name in PARTS.items() if name == field)
    return rate / scaled if isinstance(rate, float) else rate


def _one(values: Iterable[Any]) -> Any:
    """The one value of all; a list of the different ones, None where there are none."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else found or None


def _schedule(schedulers: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"warmup_steps": 0, "drops": []}
    for one in schedulers:
        if type(one).__name__ == "LinearLR" and not one.by_epoch:
            found |= {"warmup_steps": one.end - one.begin, "warmup_from": one.start_factor}
        elif type(one).__name__ == "MultiStepLR" and one.by_epoch:
            found |= {"drops": sorted(one.milestones.elements()), "drop_factor": one.gamma}
        else:
            found[f"schedule.{type(one).__name__}"] = True
    return found


def _amp(wrapper: Any) -> Any:
    if type(wrapper).__name__ != "AmpOptimWrapper":
        return False
    return {"torch.float16": "fp16", "torch.bfloat16": "bf16"}.get(str(wrapper.cast_dtype), str(wrapper.cast_dtype))


def _steps(runner: Any) -> list[Any]:
    return list(runner.train_loop.dataloader.dataset.inner.pipeline.transforms)


def _augmentation(steps: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"flip": 0.0, "photometric": None}
    for step in steps:
        kind = type(step).__name__
        if kind == "RandomFlip":
            found["flip"] = step.prob
        elif kind == "PhotoMetricDistortion":
            del found["photometric"]
            found |= {
                "photometric.brightness": step.brightness_delta,
                "photometric.contrast": [step.contrast_lower, step.contrast_upper],
                "photometric.saturation": [step.saturation_lower, step.saturation_upper],
                "photometric.hue": step.hue_delta,
            }
        elif kind not in _PLAIN:
            found[kind] = True
    return found


_PLAIN = ("LoadImageFromFile", "LoadAnnotations", "Resize", "PackDetInputs")


def check(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    """Raise RunError when a used value differs from the asked one, or something is used that nobody asked for."""
    differing = [name for name in {**wanted, **got} if not _same(wanted.get(name), got.get(name))]
    if not differing:
        return
    lines = [f"{name}: asked {wanted.get(name)!r}, used {got.get(name)!r}" for name in differing]
    message = "MMDetection would not train with what was asked:\n  " + "\n  ".join(lines)
    raise RunError(message, where=differing[0])


def _same(first: Any, second: Any) -> bool:
    """Equal, with a relative tolerance of 1e-9 for numbers."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, bool) or isinstance(second, bool) or first is None or second is None:
        return bool(first is second or (first == second and type(first) is type(second)))
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return abs(first - second) <= 1e-9 * max(abs(first), abs(second), 1e-12)
    return bool(first == second)
