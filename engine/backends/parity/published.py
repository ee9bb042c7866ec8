"""Names of published weights, and what each is called here.

Four layouts are known: the reference's detectors (github.com/lyuwenyu/RT-DETR), the same detectors as transformers
stores them, and ResNets of variant "d" as the reference and as timm publish them, which are a backbone alone. (timm's
resnet50d is whole; its resnet18d and resnet34d have no convolution in the first stage's shortcut, where RT-DETR has
one.) Only names are changed, and stacked query, key and value are taken apart; no number is touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.weight_files import read_weight_file
from detui.engine.errors import RunError

Rules = tuple[tuple[str, str], ...]
_REFERENCE_BACKBONE: Rules = (
    (r"conv1\.conv1_1\.", r"stem.0."),
    (r"conv1\.conv1_2\.", r"stem.1."),
    (r"conv1\.conv1_3\.", r"stem.2."),
    (r"res_layers\.(\d+)\.blocks\.(\d+)\.branch2a\.", r"stages.\1.\2.conv1."),
    (r"res_layers\.(\d+)\.blocks\.(\d+)\.branch2b\.", r"stages.\1.\2.conv2."),
    (r"res_layers\.(\d+)\.blocks\.(\d+)\.branch2c\.", r"stages.\1.\2.conv3."),
    (r"res_layers\.(\d+)\.blocks\.(\d+)\.short\.(?:conv\.(?=conv|norm))?", r"stages.\1.\2.shortcut."),
)
_TIMM_BACKBONE: Rules = (
    (r"conv1\.0\.", r"stem.0.conv."),
    (r"conv1\.1\.", r"stem.0.norm."),
    (r"conv1\.3\.", r"stem.1.conv."),
    (r"conv1\.4\.", r"stem.1.norm."),
    (r"conv1\.6\.", r"stem.2.conv."),
    (r"bn1\.", r"stem.2.norm."),
    *((rf"layer{n + 1}\.(\d+)\.conv(\d)\.", rf"stages.{n}.\1.conv\2.conv.") for n in range(4)),
    *((rf"layer{n + 1}\.(\d+)\.bn(\d)\.", rf"stages.{n}.\1.conv\2.norm.") for n in range(4)),
    *((rf"layer{n + 1}\.(\d+)\.downsample\.1\.", rf"stages.{n}.\1.shortcut.conv.") for n in range(4)),
    *((rf"layer{n + 1}\.(\d+)\.downsample\.2\.", rf"stages.{n}.\1.shortcut.norm.") for n in range(4)),
)
_FUSION: Rules = (
    (r"(top_down|bottom_up)\.(\d)\.bottlenecks\.(\d)\.conv1\.", r"\1.\2.blocks.\3.conv3."),
    (r"(top_down|bottom_up)\.(\d)\.bottlenecks\.(\d)\.conv2\.", r"\1.\2.blocks.\3.conv1."),
    (r"(top_down|bottom_up)\.(\d)\.conv1\.", r"\1.\2.deep."),
    (r"(top_down|bottom_up)\.(\d)\.conv2\.", r"\1.\2.flat."),
    (r"(top_down|bottom_up)\.(\d)\.conv3\.", r"\1.\2.out."),
)
_SHARED: Rules = (  # what both layouts of a whole detector call alike
    (r"encoder\.lateral_convs\.", r"encoder.lateral."),
    (r"encoder\.downsample_convs\.", r"encoder.halve."),
    (r"encoder\.fpn_blocks\.", r"encoder.top_down."),
    (r"encoder\.pan_blocks\.", r"encoder.bottom_up."),
    (r"\.sampling_offsets\.", r".offsets."),
    (r"\.attention_weights\.", r".weights."),
    (r"\.value_proj\.", r".value."),
    (r"\.output_proj\.", r".output."),
)
_REFERENCE: Rules = (
    *((f"^backbone\\.{old}", f"backbone.{new}") for old, new in _REFERENCE_BACKBONE),
    (r"^encoder\.input_proj\.(\d)\.0\.", r"encoder.inputs.\1.conv."),
    (r"^encoder\.input_proj\.(\d)\.1\.", r"encoder.inputs.\1.norm."),
    (r"^encoder\.encoder\.0\.layers\.0\.", r"encoder.aifi."),
    (r"^encoder\.aifi\.self_attn\.", r"encoder.aifi.attention."),
    (r"^decoder\.input_proj\.", r"decoder.inputs."),
    (r"^decoder\.decoder\.layers\.(\d+)\.", r"decoder.layers.\1."),
    (r"\.self_attn\.", r".self_attention."),
    (r"\.cross_attn\.", r".cross_attention."),
    (r"\.out_proj\.", r".output."),
    (r"\.linear1\.", r".feed_forward.0."),
    (r"\.linear2\.", r".feed_forward.1."),
    (r"^decoder\.denoising_class_embed\.", r"decoder.labels."),
    (r"^decoder\.query_pos_head\.layers\.", r"decoder.position."),
    (r"^decoder\.enc_output\.0\.", r"decoder.selection.project."),
    (r"^decoder\.enc_output\.1\.", r"decoder.selection.norm."),
    (r"^decoder\.enc_score_head\.", r"decoder.selection.classes."),
    (r"^decoder\.enc_bbox_head\.layers\.", r"decoder.selection.boxes."),
    (r"^decoder\.dec_score_head\.", r"decoder.classes."),
    (r"^decoder\.dec_bbox_head\.(\d+)\.layers\.", r"decoder.boxes.\1."),
    *_SHARED,
    *_FUSION,
)
_TRANSFORMERS: Rules = (
    (r"^model\.backbone\.model\.embedder\.embedder\.", r"backbone.stem."),
    (r"^model\.backbone\.model\.encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.0\.", r"backbone.stages.\1.\2.conv1."),
    (r"^model\.backbone\.model\.encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.1\.", r"backbone.stages.\1.\2.conv2."),
    (r"^model\.backbone\.model\.encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.2\.", r"backbone.stages.\1.\2.conv3."),
    (
        r"^model\.backbone\.model\.encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.(?:1\.)?",
        r"backbone.stages.\1.\2.shortcut.",
    ),
    (r"\.convolution\.", r".conv."),
    (r"\.normalization\.", r".norm."),
    (r"^model\.encoder_input_proj\.(\d)\.0\.", r"encoder.inputs.\1.conv."),
    (r"^model\.encoder_input_proj\.(\d)\.1\.", r"encoder.inputs.\1.norm."),
    (r"^model\.encoder\.(?:aifi|encoder)\.0\.layers\.0\.self_attn\.", r"encoder.aifi.attention."),
    (r"^model\.encoder\.(?:aifi|encoder)\.0\.layers\.0\.final_layer_norm\.", r"encoder.aifi.norm2."),
    (r"^model\.encoder\.(?:aifi|encoder)\.0\.layers\.0\.", r"encoder.aifi."),
    (r"^model\.encoder\.", r"encoder."),
    (r"^model\.decoder_input_proj\.(\d)\.0\.", r"decoder.inputs.\1.conv."),
    (r"^model\.decoder_input_proj\.(\d)\.1\.", r"decoder.inputs.\1.norm."),
    (r"^model\.denoising_class_embed\.", r"decoder.labels."),
    (r"^model\.enc_output\.0\.", r"decoder.selection.project."),
    (r"^model\.enc_output\.1\.", r"decoder.selection.norm."),
    (r"^model\.enc_score_head\.", r"decoder.selection.classes."),
    (r"^model\.enc_bbox_head\.layers\.", r"decoder.selection.boxes."),
    (r"^(?:model\.decoder\.)?class_embed\.", r"decoder.classes."),
    (r"^(?:model\.decoder\.)?bbox_embed\.(\d+)\.layers\.", r"decoder.boxes.\1."),
    (r"^model\.decoder\.query_pos_head\.layers\.", r"decoder.position."),
    (r"^model\.decoder\.", r"decoder."),
    (r"\.self_attn_layer_norm\.", r".norm1."),
    (r"\.encoder_attn_layer_norm\.", r".norm2."),
    (r"\.final_layer_norm\.", r".norm3."),
    (r"\.self_attn\.", r".self_attention."),
    (r"\.encoder_attn\.", r".cross_attention."),
    (r"\.q_proj\.", r".query."),
    (r"\.k_proj\.", r".key."),
    (r"\.v_proj\.", r".value."),
    (r"\.(?:o_proj|out_proj)\.", r".output."),
    (r"\.(?:mlp\.)?fc1\.", r".feed_forward.0."),
    (r"\.(?:mlp\.)?fc2\.", r".feed_forward.1."),
    *_SHARED,
    *_FUSION,
)
_LAYOUTS: tuple[tuple[str, str, str, Rules], ...] = (
    ("RT-DETR's reference", "backbone.res_layers.0.blocks.0.branch2a.conv.weight", "", _REFERENCE),
    ("transformers", "model.backbone.model.embedder.embedder.0.convolution.weight", "", _TRANSFORMERS),
    (
        "a backbone of RT-DETR's reference", "res_layers.0.blocks.0.branch2a.conv.weight", "backbone.",
        tuple((f"^{old}", new) for old, new in _REFERENCE_BACKBONE),
    ),
    (
        "a ResNet-D of timm", "layer1.0.conv1.weight", "backbone.",
        tuple((f"^{old}", new) for old, new in _TIMM_BACKBONE),
    ),
    ("detui", "backbone.stem.0.conv.weight", "", ()),
)  # fmt: skip
"""What it is, a name by which it is known, what is put in front, and the rules."""
_ASIDE = re.compile(r"(num_batches_tracked|anchors|valid_mask|pos_embed\d)$|^fc\.")
"""Stored beside weights, and not needed: counters, what is computed anew, and a classifier of ImageNet."""
_STACKED = re.compile(r"\.in_proj_(weight|bias)$")


@dataclass(frozen=True, slots=True)
class Published:
    """Weights of a file by the names they have here."""

    layout: str
    """Whose names they had, in words."""
    tensors: dict[str, Array]
    """By our names, float32."""
    left: tuple[str, ...]
    """Names of the file that stand for nothing in the model."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A network's first state, where published weights fill what they fit."""

    state: dict[str, Array]
    """Every tensor of the network."""
    taken: tuple[str, ...]
    """What came from the file."""
    other_shape: tuple[str, ...]
    """What the file has in another shape: the class heads where the classes differ."""
    absent: tuple[str, ...]
    """What the file does not have: all but the backbone in one of ImageNet."""


def translate(tensors: Mapping[str, Array]) -> Published:
    """Whose names these are, and what they are called here. Raises RunError for an unknown layout."""
    for layout, known, front, rules in _LAYOUTS:
        if known not in tensors:
            continue
        found: dict[str, Array] = {}
        left = []
        for name, value in tensors.items():
            if _ASIDE.search(name):
                continue
            ours = front + _renamed(name, rules)
            if ours == front + name and rules:
                left.append(name)
                continue
            found |= _apart(ours, np.asarray(value, np.float32))
        return Published(layout, found, tuple(left))
    some = ", ".join(list(tensors)[:3])
    hint = "name weights of RT-DETR (lyuwenyu's or transformers'), or of a ResNet-D"
    raise RunError(f"The file's names are not those of an RT-DETR: {some} …", hint=hint)


def fit(shapes: Mapping[str, tuple[int, ...]], start: Mapping[str, Array], published: Published) -> Fitted:
    """Published weights over a first state. `shapes`: the network's. Raises RunError when nothing fits."""
    state, taken, other, absent = dict(start), [], [], []
    for name, shape in shapes.items():
        value = published.tensors.get(name)
        if value is None:
            absent.append(name)
        elif tuple(value.shape) != tuple(shape):
            other.append(name)
        else:
            state[name] = value
            taken.append(name)
    if not taken:
        message = f"Nothing of the file ({published.layout}) has the shape that the model needs."
        raise RunError(message, hint="choose the size of the model that the weights belong to")
    return Fitted(state, tuple(taken), tuple(other), tuple(absent))


def read_published(path: Path, where: str) -> Published:
    """The weights of a local file: .npz, .safetensors, or .pth (read without running anything that stands in it).

    Of a training checkpoint of the reference the averaged weights are taken. `where`: the field that names the file.
    Without torch, its zip archives and safetensors are read by `weight_files.py`.
    Raises MissingError without the file, RunError for one that cannot be used.
    """
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            return translate({name: stored[name] for name in stored.files})
    if find_spec("torch") is None:
        return translate(read_weight_file(path, where))
    from detui.engine.backends.torch_support.checkpoint_files import read_checkpoint

    checkpoint = read_checkpoint(path, where, average=True)
    return translate({name: tensor.float().numpy() for name, tensor in checkpoint.tensors.items()})


def _renamed(name: str, rules: Rules) -> str:
    for old, new in rules:
        name = re.sub(old, new, name)
    return name


def _apart(name: str, value: Array) -> dict[str, Array]:
    """Query, key and value that are stacked in one tensor, as three."""
    if not _STACKED.search(name):
        return {name: value}
    stem, _, kind = name.rpartition(".in_proj_")
    parts = np.split(value, 3)
    return {f"{stem}.{part}.{kind}": one for part, one in zip(("query", "key", "value"), parts, strict=True)}
