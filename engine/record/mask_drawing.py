"""Masks on the record's pictures: a translucent fill, and an outline that is seen on any picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detui.engine.data.masks import mask_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILL = 0.35
"""Opacity of what lies within an outline."""
_EDGE = 0.7
"""Points by which the black below an outline is wider than it."""


def draw_mask(axis: Axes, segmentation: Any, colour: str, *, linewidth: float, linestyle: Any = "-") -> bool:
    """Draw a COCO segmentation over the picture of an axis. Returns whether there was anything to draw.

    Nothing is drawn of what is no segmentation, has the size of another picture, or is empty.
    """
    import numpy as np
    from matplotlib.colors import to_rgb
    from matplotlib.image import AxesImage
    from matplotlib.patheffects import withStroke

    if not axis.images:
        return False
    height, width = axis.images[0].get_size()
    mask = mask_of(segmentation, height, width)
    if mask is None or not mask.any():
        return False
    rows, columns = (np.flatnonzero(mask.any(axis=other)) for other in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    part = mask[top:bottom, left:right]
    fill = np.zeros((*part.shape, 4))
    fill[..., :3], fill[..., 3] = to_rgb(colour), FILL * part
    # Half a pixel less on each side: a picture's pixels lie around whole numbers.
    extent = (left - 0.5, right - 0.5, bottom - 0.5, top - 0.5)
    image = AxesImage(axis, extent=extent, interpolation="nearest")
    image.set_data(fill)
    image.set_clip_path(axis.patch)
    axis.add_image(image)
    # With a border of nothing around it the outline closes where the mask touches the edge of its part.
    places = np.arange(left - 1, right + 1), np.arange(top - 1, bottom + 1)
    outline = axis.contour(*places, np.pad(part, 1).astype(float), levels=[0.5], colors=[colour])
    edge = [withStroke(linewidth=linewidth + _EDGE, foreground="black")]
    outline.set(linewidth=linewidth, linestyle=linestyle, path_effects=edge)
    return True
