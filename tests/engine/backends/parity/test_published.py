"""Published weights: names of RT-DETR's reference, of transformers, and of ResNets become the model's."""

from __future__ import annotations

import numpy as np
import pytest
from parity_models import TINY, varied

from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly
from detui.engine.backends.parity.published import fit, read_published, translate
from detui.engine.backends.parity.sizes import SIZES, Size
from detui.engine.errors import MissingError, RunError

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def reference_names(size: Size) -> list[str]:
    """The names in a checkpoint of the reference (which for R18 and R50 were compared with those of its code)."""

    def conv(at):
        return [f"{at}.conv.weight", *(f"{at}.norm.{end}" for end in NORM)]

    def pair(at):
        return [f"{at}.weight", f"{at}.bias"]

    def fusion(at):
        own = [n for part in ("conv1", "conv2") for n in conv(f"{at}.{part}")]
        own += conv(f"{at}.conv3") if size.expansion != 1 else []
        blocks = [f"{at}.bottlenecks.{n}.conv{k}" for n in range(size.fusion_blocks) for k in (1, 2)]
        return own + [n for block in blocks for n in conv(block)]

    def attention(at):
        return [f"{at}.self_attn.in_proj_weight", f"{at}.self_attn.in_proj_bias", *pair(f"{at}.self_attn.out_proj")]

    names = [n for k in (1, 2, 3) for n in conv(f"backbone.conv1.conv1_{k}")]
    for stage, depth in enumerate(size.depths):
        for n in range(depth):
            at = f"backbone.res_layers.{stage}.blocks.{n}"
            names += [x for part in ("abc" if size.bottleneck else "ab") for x in conv(f"{at}.branch2{part}")]
            if n == 0:
                names += conv(f"{at}.short" if stage == 0 else f"{at}.short.conv")
    if size.frozen_norms:
        names = [n for n in names if not n.endswith("num_batches_tracked")]
    for n in range(3):
        names += [f"encoder.input_proj.{n}.0.weight", *(f"encoder.input_proj.{n}.1.{end}" for end in NORM)]
        names += conv(f"decoder.input_proj.{n}")
    layer = "encoder.encoder.0.layers.0"
    names += attention(layer) + [
        x for part in ("linear1", "linear2", "norm1", "norm2") for x in pair(f"{layer}.{part}")
    ]
    for n in range(2):
        names += conv(f"encoder.lateral_convs.{n}") + conv(f"encoder.downsample_convs.{n}")
        names += fusion(f"encoder.fpn_blocks.{n}") + fusion(f"encoder.pan_blocks.{n}")
    cross = ("sampling_offsets", "attention_weights", "value_proj", "output_proj")
    for n in range(size.decoder_layers):
        layer = f"decoder.decoder.layers.{n}"
        names += attention(layer) + [x for part in cross for x in pair(f"{layer}.cross_attn.{part}")]
        names += [x for part in ("linear1", "linear2", "norm1", "norm2", "norm3") for x in pair(f"{layer}.{part}")]
        names += pair(f"decoder.dec_score_head.{n}")
        names += [x for k in range(3) for x in pair(f"decoder.dec_bbox_head.{n}.layers.{k}")]
    names += ["decoder.denoising_class_embed.weight", *pair("decoder.enc_score_head")]
    names += [x for k in range(2) for x in pair(f"decoder.query_pos_head.layers.{k}") + pair(f"decoder.enc_output.{k}")]
    return names + [x for k in range(3) for x in pair(f"decoder.enc_bbox_head.layers.{k}")]


def shapes_of(size):
    return Detector(ShapesOnly(), size).network.shapes()


@pytest.mark.parametrize("name", list(SIZES))
def test_all_names_of_the_reference_are_known(name):
    numbered = {n: np.full(3, k) for k, n in enumerate(reference_names(SIZES[name]))}
    found = translate(numbered | {"encoder.pos_embed2": np.zeros(3), "decoder.anchors": np.zeros(3)})
    assert found.layout == "RT-DETR's reference" and found.left == ()
    assert set(found.tensors) == set(shapes_of(SIZES[name]))
    known = {
        "backbone.res_layers.1.blocks.0.short.conv.conv.weight": "backbone.stages.1.0.shortcut.conv.weight",
        "encoder.pan_blocks.1.bottlenecks.2.conv1.norm.bias": "encoder.bottom_up.1.blocks.2.conv3.norm.bias",
        "encoder.encoder.0.layers.0.norm2.weight": "encoder.aifi.norm2.weight",
        "decoder.decoder.layers.2.linear2.bias": "decoder.layers.2.feed_forward.1.bias",
        "decoder.enc_output.1.weight": "decoder.selection.norm.weight",
    }
    for theirs, ours in known.items():
        assert found.tensors[ours][0] == numbered[theirs][0], ours


def as_reference(state, size):
    """A state by the reference's names: each number of a name through the translation and back."""
    names = reference_names(size)
    numbered = {n: np.full(3, k) for k, n in enumerate(names)}
    found = {}
    for ours, numbers in translate(numbered).tensors.items():
        theirs = names[int(numbers[0])]
        found.setdefault(theirs, []).append(state[ours])
    return {theirs: np.concatenate(parts) for theirs, parts in found.items()}  # query, key and value in one


def test_a_checkpoint_of_the_reference_is_read(tmp_path):
    """Averaged weights first, `module.` in front, and nothing of the file is run."""
    import torch

    state = varied(TINY)
    theirs = {f"module.{n}": torch.tensor(v) for n, v in as_reference(state, TINY).items()}
    other = {n: torch.zeros_like(v) for n, v in theirs.items()}
    torch.save({"model": other, "ema": {"module": theirs, "updates": 3}, "last_epoch": 5}, tmp_path / "whole.pth")
    found = read_published(tmp_path / "whole.pth", "model.weights")
    network = Detector(ShapesOnly(), TINY).network
    network.load(found.tensors)
    for name, value in network.state().items():
        assert np.array_equal(value, state[name]), name
    torch.save({"ema": {"module": theirs}}, tmp_path / "published.pth")
    assert read_published(tmp_path / "published.pth", "model.weights").tensors.keys() == state.keys()
    np.savez(tmp_path / "own.npz", **state)
    own = read_published(tmp_path / "own.npz", "model.weights")
    assert own.layout == "detui" and all(np.array_equal(own.tensors[n], state[n]) for n in state)


def test_what_stands_for_nothing_is_listed():
    known = {"backbone.res_layers.0.blocks.0.branch2a.conv.weight": np.zeros(3), "mask_head.weight": np.zeros(3)}
    found = translate(known)
    assert found.left == ("mask_head.weight",) and list(found.tensors) == ["backbone.stages.0.0.conv1.conv.weight"]


def test_what_cannot_be_used(tmp_path):
    with pytest.raises(MissingError, match="There is no file"):
        read_published(tmp_path / "none.pth", "model.weights")
    with pytest.raises(RunError, match=r"not those of an RT-DETR: head\.weight"):
        translate({"head.weight": np.zeros(3)})
    with pytest.raises(RunError, match=r"Nothing of the file \(detui\) has the shape"):
        fit(shapes_of(TINY), {}, translate({"backbone.stem.0.conv.weight": np.zeros((1, 1))}))


def test_other_classes_keep_what_fits():
    network = Detector(ShapesOnly(), TINY.with_classes(7)).network
    network.initialise(0)
    found = fit(network.shapes(), network.state(), translate(varied(TINY)))
    heads = {"decoder.classes.0", "decoder.classes.1", "decoder.selection.classes", "decoder.labels"}
    assert {name.rpartition(".")[0] for name in found.other_shape} == heads and found.absent == ()
    assert len(found.taken) + len(found.other_shape) == len(network.held)
    assert np.array_equal(found.state["encoder.aifi.norm1.weight"], varied(TINY)["encoder.aifi.norm1.weight"])
    assert np.array_equal(found.state["decoder.labels.weight"], network.state()["decoder.labels.weight"])


def test_a_backbone_of_the_reference():
    size = SIZES["r18"]
    front = "backbone."
    names = [n.removeprefix(front) for n in reference_names(size) if n.startswith(front)] + ["fc.weight"]
    found = translate({n: np.zeros(3) for n in names})
    assert found.layout == "a backbone of RT-DETR's reference" and found.left == ()
    assert set(found.tensors) == {n for n in shapes_of(size) if n.startswith(front)}


@pytest.mark.slow
def test_timm_s_resnet50d_is_the_same():
    """Its random weights, by name, give its feature maps."""
    from detui.engine.backends.parity.frameworks import open_framework
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("resnet50d", pretrained=False)
    published = translate({n: v.numpy() for n, v in model.state_dict().items()})
    assert published.layout == "a ResNet-D of timm" and published.left == ()
    detector = Detector(open_framework("torch"), SIZES["r50"].thin(16))
    detector.network.initialise(0)
    fitted = fit(detector.network.shapes(), detector.network.state(), published)
    assert {n.partition(".")[0] for n in fitted.absent} == {"encoder", "decoder"} and fitted.other_shape == ()
    detector.network.load(fitted.state)
    images = torch.randn(1, 3, 64, 64)
    small = translate({n: v.numpy() for n, v in timm.create_model("resnet18d").state_dict().items()})
    lacking = {n for n in shapes_of(SIZES["r18"]) if n.startswith("backbone.")} - set(small.tensors)
    assert {n.rpartition(".shortcut.")[0] for n in lacking} == {"backbone.stages.0.0"}, "no convolution there"
    with torch.no_grad():
        found = detector._backbone(images, lambda *_: None)
        expected = model.eval().forward_intermediates(images, indices=[2, 3, 4], intermediates_only=True)
    for one, two in zip(found, expected, strict=True):
        assert (one - two).abs().max() < 1e-4 * two.abs().max()
