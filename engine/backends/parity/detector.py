"""RT-DETR: backbone, hybrid encoder, query selection, decoder (figure 4 of Zhao et al., CVPR 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detui.engine.backends.parity.decoder import Decoder, Prediction
from detui.engine.backends.parity.denoising import Denoising
from detui.engine.backends.parity.encoder import HybridEncoder
from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor
from detui.engine.backends.parity.layers import ConvNorm, LabelTable, to_tokens
from detui.engine.backends.parity.network import Network, Place
from detui.engine.backends.parity.resnet import ResNet, Watch
from detui.engine.backends.parity.selection import QuerySelection
from detui.engine.backends.parity.sizes import Size

MULTIPLE = 32
"""Height and width of an image are multiples of it."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a detector says of a batch. Class logits are [b, n, classes], boxes [b, n, 4] (cx, cy, w, h in 0–1)."""

    layers: list[Prediction]
    """Of the selected queries after each decoder layer; the last is the answer."""
    selected: Prediction
    """Of the selected tokens, before the decoder."""
    denoised: list[Prediction]
    """Of the denoising queries after each decoder layer; empty without them."""
    selection: Array
    """The tokens that were selected, [b, q] whole numbers."""


class Detector:
    """The model in a framework. It has no values before `network.initialise(seed)` or `network.load(state)`."""

    def __init__(self, framework: Framework, size: Size, *, look_forward_twice: bool = True) -> None:
        """`look_forward_twice`: see `decoder.py`; False gives the same outputs and losses, and other gradients."""
        self.size = size
        self.network = Network(framework)
        self._f = framework
        whole = Place(self.network)
        within = whole / "decoder"
        self._backbone = ResNet(whole / "backbone", size)
        self._encoder = HybridEncoder(whole / "encoder", size)
        self._inputs = [ConvNorm(within / "inputs" / n, size.channels, size.channels, 1) for n in range(3)]
        self._labels = LabelTable(within / "labels", size.classes, size.channels) if size.denoising else None
        self._selection = QuerySelection(within / "selection", size)
        self._decoder = Decoder(within, size, look_forward_twice=look_forward_twice)

    def train(self, on: bool = True) -> None:
        """Batch norms that are not frozen take the batch's statistics, and every decoder layer answers."""
        self.network.training = on

    def __call__(
        self, images: Tensor, denoising: Denoising | None = None, *, selection: Array | None = None,
        watch: Callable[[str, Tensor], None] | None = None,
    ) -> Output:  # fmt: skip
        """What it says of images [b, 3, h, w], h and w multiples of 32.

        `denoising`: queries for training. `selection`: tokens [b, q] to begin with instead of the best. `watch` is
        told the output of each part. Raises ValueError for other heights and widths.
        """
        height, width = int(images.shape[2]), int(images.shape[3])
        if height % MULTIPLE or width % MULTIPLE:
            raise ValueError(f"An image of {height} × {width} pixels: both must be multiples of {MULTIPLE}.")
        told = watch or _nobody
        maps = self._encoder(self._backbone(images, told), told)
        maps = [layer(x) for layer, x in zip(self._inputs, maps, strict=True)]
        shapes = [(int(x.shape[2]), int(x.shape[3])) for x in maps]
        memory = self._f.concat([to_tokens(x) for x in maps], 1)
        told("decoder.inputs", memory)
        chosen = self._selection(memory, shapes, selection)
        told("decoder.selection", chosen.boxes)
        content, boxes, mask = chosen.content, chosen.boxes, None
        if denoising is not None:
            content, boxes, mask = self._before(denoising, content, boxes)
        layers = self.size.decoder_layers if self.network.training else self.size.answering_layer + 1
        said = self._decoder(content, self._f.sigmoid(boxes), memory, shapes, mask, layers, told)
        first = Prediction(chosen.logits, self._f.sigmoid(chosen.boxes))
        count = denoising.count if denoising is not None else 0
        denoised = [Prediction(p.logits[:, :count], p.boxes[:, :count]) for p in said] if count else []
        asked = [Prediction(p.logits[:, count:], p.boxes[:, count:]) for p in said] if count else said
        return Output(asked, first, denoised, chosen.tokens)

    def _before(self, denoising: Denoising, content: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Contents, boxes and mask with the denoising queries in front."""
        if self._labels is None:
            raise ValueError("This size of the model has no denoising queries.")
        noisy = self._f.tensor(denoising.boxes)
        return (
            self._f.concat([self._labels(denoising.labels), content], 1),
            self._f.concat([noisy, boxes], 1),
            self._f.tensor(denoising.mask),
        )

    def selected_count(self, height: int, width: int) -> int:
        """Queries that are selected in an image of a size: as many as the model has, or all tokens of a small one."""
        tokens = sum((height // stride) * (width // stride) for stride in (8, 16, 32))
        return min(self.size.queries, tokens)


def _nobody(_name: str, _tensor: Tensor) -> None:
    """Nobody watches."""


__all__ = ["Detector", "Output", "Watch"]
