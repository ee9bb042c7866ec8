"""The sizes of RT-DETR: the published ones, and any other for trying things.

Parameters are counted as published: without running statistics of batch norms, and where the batch norms of the
backbone are frozen (R50-m, R50) without their scale and shift, which are constants there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Size:
    """What a model is built from. Numbers are channels or counts."""

    depths: tuple[int, int, int, int]
    """Blocks in each stage of the ResNet."""
    bottleneck: bool = False
    """Whether blocks are bottlenecks (ResNet-50), four times as wide at their end."""
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels within the blocks of each stage."""
    stem: int = 64
    """Channels of the stem."""
    frozen_norms: bool = False
    """Whether the backbone's batch norms keep the values of its weights."""
    frozen_stem: bool = False
    """Whether the stem's kernels keep the values of its weights."""
    channels: int = 256
    """Of the encoder and the decoder; a multiple of 4 and of `heads`."""
    expansion: float = 1.0
    """Width of the encoder's fusion blocks, as a share of `channels`."""
    fusion_blocks: int = 3
    """RepVGG blocks in a fusion block."""
    feed_forward: int = 1024
    """Width of the feed-forward layers."""
    heads: int = 8
    """Of every attention."""
    points: int = 4
    """That a head samples in each of the three levels."""
    decoder_layers: int = 6
    """Layers of the decoder."""
    evaluated_layer: int | None = None
    """The decoder layer (from 1) whose output is the answer; None: the last."""
    queries: int = 300
    """Objects that are predicted."""
    denoising: int = 100
    """Denoising queries of one sign, about; 0: none."""
    label_noise: float = 0.5
    """Of the denoising queries' labels, twice the share that is replaced."""
    box_noise: float = 1.0
    """By what share of half its side a corner of a denoising query's box moves at most."""
    classes: int = 80
    """Classes of objects."""

    @property
    def feature_channels(self) -> tuple[int, int, int]:
        """Channels of the backbone's maps at strides 8, 16 and 32."""
        grown = 4 if self.bottleneck else 1
        _, a, b, c = self.widths
        return a * grown, b * grown, c * grown

    @property
    def answering_layer(self) -> int:
        """The decoder layer whose output is the answer, counted from 0."""
        return (self.decoder_layers if self.evaluated_layer is None else self.evaluated_layer) - 1

    def with_classes(self, classes: int) -> Size:
        """The same for other classes."""
        return replace(self, classes=classes)

    def thin(self, channels: int = 64) -> Size:
        """The same with a narrow encoder and decoder, for trying things without a GPU."""
        return replace(self, channels=channels, feed_forward=4 * channels)


_R50 = Size((3, 4, 6, 3), bottleneck=True, frozen_norms=True, frozen_stem=True)
SIZES = {
    "r18": Size((2, 2, 2, 2), expansion=0.5, decoder_layers=3),
    "r34": Size((3, 4, 6, 3), expansion=0.5, decoder_layers=4),
    "r50-m": replace(_R50, expansion=0.5, evaluated_layer=3),
    "r50": _R50,
}
"""The published sizes, as the reference's configurations have them."""
PARAMETERS = {"r18": 20_184_464, "r34": 31_441_668, "r50-m": 36_593_772, "r50": 42_891_372}
"""The published parameter counts, at 80 classes."""
CONSTANTS = {"r18": 25_216, "r34": 32_640, "r50-m": 121_856, "r50": 128_000}
"""What the published models store beside them: running means and variances of all batch norms, and of frozen ones
scale and shift, too. Their counters of batches are left out."""
