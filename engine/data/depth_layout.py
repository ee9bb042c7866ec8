"""Where the depth maps of a data set lie, and how they are encoded: the part `depth` of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from detui.engine.closed import Closed

FAR = 80.0
"""Metres; the depth that outdoor models (KITTI) are trained to."""


def _part(value: str) -> str:
    if not value or value in (".", "..") or "/" in value:
        raise ValueError(f"{value!r} must be the name of one folder.")
    return value


def _below(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{value!r} must be the name of a folder below the data set's.")
    return value


@dataclass(frozen=True, slots=True)
class Place:
    """Where one map lies, relative to the data set's root."""

    file: str
    """The map."""
    base: str
    """The folder of maps that it is in, which may have folders of its own."""


class DepthLayout(Closed):
    """One depth map an image: a PNG of the image's size, named like it, in a folder of its own."""

    images: Annotated[str, AfterValidator(_part)] = "images"
    """The folder in an image's path that `folder` takes the place of: the last one of that name.

    Where the path has none, `folder` comes before the whole path.
    """
    folder: Annotated[str, AfterValidator(_below)] = "depth"
    encoding: Literal["uint8", "metres_x256"] = "uint8"
    """`uint8`: 8-bit grey, taken as it is; `metres_x256`: 16-bit grey, metres × 256."""
    far: Annotated[float, Field(gt=0, le=256)] | None = None
    """Metres that become 255 (metres_x256 alone); 80 by default."""

    @model_validator(mode="after")
    def _fitting(self) -> DepthLayout:
        if self.far is not None and self.encoding == "uint8":
            raise ValueError("far is for metres_x256: 8-bit maps are taken as they are.")
        if self.images == self.folder:
            raise ValueError("images and folder are the same, so that an image would be its own map.")
        return self

    @property
    def reach(self) -> float | None:
        """Metres that become 255; None for maps that are taken as they are."""
        return None if self.encoding == "uint8" else self.far or FAR

    def place(self, image: str) -> Place:
        """Where the map of an image lies; `image` relative to the root, with forward slashes."""
        path = PurePosixPath(image)
        folders = [part for part in path.parts[:-1] if part != "/"]
        at = len(folders) - 1 - folders[::-1].index(self.images) if self.images in folders else None
        before, after = (folders[:at], folders[at + 1 :]) if at is not None else ([], folders)
        base = PurePosixPath(*before, self.folder)
        if path.is_absolute() and at is not None:
            base = "/" / base
        return Place(str(base.joinpath(*after, f"{Path(path.name).stem}.png")), str(base))
