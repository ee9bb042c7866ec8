"""The backbone: a ResNet in its variant "d" (section 4.1 of the paper; He et al., "Bag of Tricks", 2019).

Three 3×3 convolutions make the stem, the stride of a bottleneck is in its 3×3 convolution, and a shortcut that halves
its map averages before its 1×1 convolution.
"""

from __future__ import annotations

from collections.abc import Callable

from detui.engine.backends.parity.frameworks.framework import Tensor
from detui.engine.backends.parity.initialisation import he
from detui.engine.backends.parity.layers import ConvNorm
from detui.engine.backends.parity.network import Place
from detui.engine.backends.parity.sizes import Size

Watch = Callable[[str, Tensor], None]
"""Told the name and the output of each part, in the order in which they are computed."""


class Block:
    """A residual block: [b, inputs, h, w] → [b, outputs, h/stride, w/stride]."""

    def __init__(
        self, place: Place, inputs: int, width: int, *, stride: int, first: bool, bottleneck: bool, frozen: bool
    ) -> None:
        """`first`: the first block of a stage has a convolution in its shortcut."""
        self._f = place.framework
        self._halves = stride == 2
        outputs = width * 4 if bottleneck else width
        relu = self._f.relu
        plan = (
            [(inputs, width, 1, 1, relu), (width, width, 3, stride, relu), (width, outputs, 1, 1, None)]
            if bottleneck
            else [(inputs, width, 3, stride, relu), (width, outputs, 3, 1, None)]
        )
        self._convolutions = [
            ConvNorm(place / f"conv{n}", i, o, k, stride=s, activation=a, initial=he, frozen_norm=frozen)
            for n, (i, o, k, s, a) in enumerate(plan, 1)
        ]
        self._shortcut = (
            ConvNorm(place / "shortcut", inputs, outputs, 1, initial=he, frozen_norm=frozen) if first else None
        )

    def __call__(self, x: Tensor) -> Tensor:
        """The block's maps."""
        y = x
        for convolution in self._convolutions:
            y = convolution(y)
        if self._shortcut is not None:
            x = self._shortcut(self._f.average_pool(x) if self._halves else x)
        return self._f.relu(y + x)


class ResNet:
    """[b, 3, h, w] → maps at strides 8, 16 and 32; h and w are multiples of 32."""

    def __init__(self, place: Place, size: Size) -> None:
        self._f, self._name = place.framework, place.name
        frozen = size.frozen_norms
        half = size.stem // 2
        self._stem = [
            ConvNorm(
                place / "stem" / n, i, o, 3, stride=s, activation=self._f.relu, initial=he,
                frozen_norm=frozen, frozen_kernel=size.frozen_stem,
            )
            for n, (i, o, s) in enumerate([(3, half, 2), (half, half, 1), (half, size.stem, 1)])
        ]  # fmt: skip
        self._stages: list[list[Block]] = []
        inputs = size.stem
        for stage, (depth, width) in enumerate(zip(size.depths, size.widths, strict=True)):
            blocks = []
            for n in range(depth):
                stride = 2 if n == 0 and stage > 0 else 1
                where = place / "stages" / stage / n
                blocks.append(
                    Block(where, inputs, width, stride=stride, first=n == 0, bottleneck=size.bottleneck, frozen=frozen)
                )
                inputs = width * 4 if size.bottleneck else width
            self._stages.append(blocks)

    def __call__(self, x: Tensor, watch: Watch) -> list[Tensor]:
        """The three maps, largest first."""
        for convolution in self._stem:
            x = convolution(x)
        x = self._f.max_pool(x)
        watch(f"{self._name}.stem", x)
        maps = []
        for stage, blocks in enumerate(self._stages):
            for block in blocks:
                x = block(x)
            watch(f"{self._name}.stages.{stage}", x)
            maps.append(x)
        return maps[1:]
