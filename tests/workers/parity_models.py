"""A tiny RT-DETR, the same one in transformers, and a batch for both."""

from __future__ import annotations

import numpy as np

from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly
from detui.engine.backends.parity.published import translate
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.targets import Target

TINY = Size(
    (1, 1, 1, 1), widths=(8, 4, 8, 12), stem=8, channels=16, feed_forward=16, heads=2, points=2, decoder_layers=2,
    queries=20, denoising=6, classes=3, fusion_blocks=3,
)  # fmt: skip
"""12,000 parameters."""


def batch(b: int, side: int = 64, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, list[Target]]:
    """Images [b, 3, side, side] and what stands in them: one to four boxes, fewer in later images."""
    own = np.random.RandomState(seed)
    images = own.standard_normal((b, 3, side, side)).astype(np.float32)
    targets = []
    for n in range(b):
        m = 4 - n if n < 4 else 1
        sides = own.uniform(0.1, 0.5, (m, 2))
        centres = own.uniform(sides / 2, 1 - sides / 2)
        targets.append(Target.of(own.randint(0, classes, m), np.concatenate([centres, sides], 1)))
    return images, targets


def varied(size: Size, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights in which nothing is 0, 1 or alike: as initialised, much would go unnoticed."""
    network = Detector(ShapesOnly(), size).network
    network.initialise(seed)
    own = np.random.RandomState(seed)
    found = {}
    for name, value in network.state().items():
        noise = (
            own.uniform(0.5, 1.5, value.shape) - 1 if name.endswith("running_var") else own.normal(0, 0.2, value.shape)
        )
        found[name] = (value + noise).astype(np.float32)
    return found


def built_by_transformers(size: Size):
    """A model of transformers' classes."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    grown = 4 if size.bottleneck else 1
    backbone = RTDetrResNetConfig(
        embedding_size=size.stem, hidden_sizes=[w * grown for w in size.widths], depths=list(size.depths),
        layer_type="bottleneck" if size.bottleneck else "basic", out_indices=[2, 3, 4],
    )  # fmt: skip
    config = RTDetrConfig(
        backbone_config=backbone, freeze_backbone_batch_norms=size.frozen_norms, num_labels=size.classes,
        encoder_in_channels=list(size.feature_channels), encoder_hidden_dim=size.channels,
        encoder_ffn_dim=size.feed_forward, encoder_attention_heads=size.heads, hidden_expansion=size.expansion,
        d_model=size.channels, decoder_in_channels=[size.channels] * 3, decoder_ffn_dim=size.feed_forward,
        decoder_n_points=size.points, decoder_layers=size.decoder_layers, decoder_attention_heads=size.heads,
        num_queries=size.queries, num_denoising=size.denoising,
    )  # fmt: skip
    return RTDetrForObjectDetection(config)


def in_transformers(size: Size, state: dict[str, np.ndarray]):
    """The same with the same weights."""
    import torch

    model = built_by_transformers(size)
    names = _names(model)
    assert sorted(names.values()) == sorted(state)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name in names:
                value.copy_(torch.tensor(state[names[name]]))
    return model


def _names(model) -> dict[str, str]:
    """Their name → ours: each tensor carries its number through the translation."""
    theirs = [name for name, value in model.state_dict().items() if value.dtype.is_floating_point]
    numbered = {name: np.full(1, number) for number, name in enumerate(theirs)}
    return {theirs[int(value[0])]: ours for ours, value in translate(numbered).tensors.items()}
