"""Depth maps: how they are encoded, what is wrong with one, and the 8 bits that a network sees of it.

Two encodings. `uint8`: 8-bit grey, taken as it is. `metres_x256`: 16-bit grey, metres × 256, which is what
ZoeDepth's own code writes; of it the network sees ``min(metres / far, 1) × 255``. Larger is further in both.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.data.imagefiles import NoImageError, SeenDepth, grey_of, pillow_errors
from detui.engine.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

UINT8, METRES = "uint8", "metres_x256"
GREY: Mapping[str, str] = {UINT8: "8-bit grey", METRES: "16-bit grey"}
"""By encoding: what a file of it holds, in the words of `SeenDepth.kind`."""
PER_METRE = 256
"""Of `metres_x256`."""
DEEPEST = 65535
"""The largest value of 16 bits: 255.996 m."""


def read_depth(path: Path, encoding: str, far: float | None) -> npt.NDArray[np.uint8]:
    """A depth map as the network sees it: uint8 (height, width), larger is further.

    `encoding`: "uint8" or "metres_x256"; `far`: metres that become 255, needed by "metres_x256" alone.
    Raises DataError for a file that is absent, damaged, or not what the encoding says.
    """
    import numpy as np

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The depth map cannot be read: {error.strerror}.", where=str(path), hint=_HINT) from None
    try:
        with pillow_errors():
            pixels = _decode(content, GREY[encoding])
    except NoImageError as error:
        raise DataError(f"The depth map cannot be used: {error}.", where=str(path), hint=_HINT) from None
    if encoding == UINT8:
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    seen: npt.NDArray[np.uint8] = _table(_reach(far, path))[pixels]
    return seen


_HINT = "`detui data check` lists all depth maps that cannot be used"


def _reach(far: float | None, path: Path) -> float:
    if far is None or far <= 0:
        raise DataError(f"far is {far!r}: metres_x256 needs the metres that become 255.", where=str(path))
    return far


def _decode(content: bytes, wanted: str) -> Any:
    """The pixels of a grey map as stored, (height, width). Raises NoImageError, and what Pillow raises."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        found = grey_of(image)
        if found != wanted:
            raise NoImageError(f"it is {found}, and {wanted} was expected")
        image.load()
        pixels = np.asarray(image)
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16)


@lru_cache(maxsize=4)
def _table(far: float) -> npt.NDArray[np.uint8]:
    """What the network sees of each 16-bit value: 65,536 entries."""
    import numpy as np

    metres = np.arange(DEEPEST + 1, dtype=np.float64) / PER_METRE
    seen: npt.NDArray[np.uint8] = np.rint(np.minimum(metres / far, 1.0) * 255).astype(np.uint8)
    return seen


def level(value: int, far: float) -> int:
    """What the network sees of one 16-bit value, as `read_depth` gives it. Without numpy."""
    return round(min(value / PER_METRE / far, 1.0) * 255)


def fault(seen: SeenDepth, size: tuple[int, int], encoding: str, far: float | None) -> tuple[str, str] | None:
    """What is wrong with a map: the kind of problem and the reason. `size`: width and height of its image."""
    if seen.complaint is not None:
        return "broken_depth", seen.complaint
    if seen.kind != GREY[encoding]:
        return "depth_mode", f"it is {seen.kind}, and the encoding {encoding} is {GREY[encoding]}"
    if (seen.width, seen.height) != size:
        return "depth_size", f"it is {seen.width}×{seen.height}, and its image is {size[0]}×{size[1]}"
    low, high = seen.low or 0, seen.high or 0
    if high == 0:
        return "depth_empty", "it holds nothing but 0, which is what a failed estimate leaves (NaN becomes 0)"
    if encoding == METRES and low == DEEPEST:
        return "depth_empty", f"it holds nothing but {DEEPEST}, which is what infinity becomes"
    if low == high:
        return "depth_constant", f"every pixel is {low}"
    if encoding == METRES and far is not None and level(low, far) == level(high, far):
        span = f"it reaches from {low / PER_METRE:.4g} to {high / PER_METRE:.4g} m"
        return "depth_constant", f"{span}, of which a network sees {level(low, far)} alone, far being {far:g} m"
    return None
