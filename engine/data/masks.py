"""Areas, run lengths and pixels of COCO segmentations, without pycocotools.

Run lengths count pixels column by column, starting with a run of zeros, as
the COCO API defines them; the compressed string packs them five bits a
character, each from the third on as the difference to the one two before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def area_of(segmentation: Any) -> float | None:
    """The area in pixels, or None where the value is no segmentation that we understand.

    Exact for run lengths. For polygons it is the geometric area, which differs from
    the count of rasterised pixels by about half the outline.
    """
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if isinstance(counts, (str, bytes)):
            counts = decompress(counts)
        if isinstance(counts, list) and all(isinstance(run, int) for run in counts):
            return float(sum(counts[1::2]))
    if isinstance(segmentation, list) and segmentation and all(map(_is_polygon, segmentation)):
        return sum(_polygon_area(polygon) for polygon in segmentation)
    return None


def decompress(text: str | bytes) -> list[int]:
    """The run lengths in a compressed COCO string."""
    data = text.encode() if isinstance(text, str) else text
    counts: list[int] = []
    position = 0
    while position < len(data):
        value = shift = 0
        more = True
        while more and position < len(data):
            chunk = data[position] - 48
            value |= (chunk & 0x1F) << shift
            more = bool(chunk & 0x20)
            shift += 5
            position += 1
            if not more and chunk & 0x10:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def pixels(segmentation: Any) -> npt.NDArray[np.bool_] | None:
    """[height, width] The mask that run lengths describe; None for anything else, such as polygons."""
    import numpy as np

    if not isinstance(segmentation, dict):
        return None
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if isinstance(counts, (str, bytes)):
        counts = decompress(counts)
    if not isinstance(counts, list) or not all(isinstance(run, int) and run >= 0 for run in counts):
        return None
    if not isinstance(size, (list, tuple)) or len(size) != 2 or sum(counts) != size[0] * size[1]:
        return None
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    mask: npt.NDArray[np.bool_] = flat.reshape(size[1], size[0]).T
    return mask


def run_lengths(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """A boolean mask (height × width) as uncompressed COCO run lengths."""
    import numpy as np

    flat = np.concatenate([[False], mask.T.ravel(), [True]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    # The sentinel closes the last run when it is one of zeros; one of ones is closed by the end.
    remainder = int(mask.size) - sum(counts)
    if remainder:
        counts.append(remainder)
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": [int(run) for run in counts]}


def mask_of(segmentation: Any, height: int, width: int) -> npt.NDArray[np.bool_] | None:
    """The pixels [height, width] of a segmentation; None where it is none, or one of a picture of another size.

    Exact for run lengths. Polygons are filled as Pillow fills them, their outline included.
    """
    if isinstance(segmentation, dict):
        mask = pixels(segmentation)
        return mask if mask is not None and mask.shape == (height, width) else None
    if not (isinstance(segmentation, list) and segmentation and all(map(_is_polygon, segmentation))):
        return None
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.new("1", (width, height))
    brush = ImageDraw.Draw(picture)
    for polygon in segmentation:
        brush.polygon([float(value) for value in polygon], fill=1, outline=1)
    return np.asarray(picture, dtype=np.bool_)


def _is_polygon(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 6
        and len(value) % 2 == 0
        and all(isinstance(v, (int, float)) for v in value)
    )


def _polygon_area(flat: list[float]) -> float:
    xs, ys = flat[0::2], flat[1::2]
    twice = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))
    return abs(twice) / 2
