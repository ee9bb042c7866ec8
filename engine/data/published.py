"""The part `published` of a definition: the counts that the authors of a data set state."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from detui.engine.closed import Closed

Count = Annotated[int, Field(ge=0)]


class Published(Closed):
    """Numbers that the authors of the data set state; they serve as checksums of the annotation files."""

    source: str | None = None
    """Where they are stated."""
    images: dict[str, Count] = {}
    """Images by split."""
    annotations: dict[str, Count] = {}
    """Annotations by split, crowd regions included."""
    without_crowd: dict[str, Count] = {}
    """Annotations by split, crowd regions left out."""
    without_boxes: dict[str, Count] = {}
    """Images by split on which nothing is annotated."""
    boxes: dict[str, Count] = {}
    """Annotations by class, over all splits together."""
