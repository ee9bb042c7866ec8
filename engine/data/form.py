"""The one internal form of detection data: what every reader produces and every writer takes.

Boxes are ``(x, y, width, height)`` in pixels of the original image, where x
and y are the left and top edge and the image spans ``[0, width] × [0, height]``.
Sizes are those of the picture as a viewer shows it, its EXIF orientation applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detui.engine.data.problems import Problem, ProblemSummary

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One picture of a split."""

    id: int
    """Unique within its split, 0 or more."""
    file: str
    """Relative to the data set's root, with forward slashes."""
    width: int
    height: int
    depth_file: str | None = None
    """A depth map of the same size, relative to the root."""
    source: str
    """The file that its annotations came from, for messages; relative to the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One object, or one region with many objects that nobody separated (`crowd`)."""

    id: int
    """Unique within its split, 1 or more: evaluators mistake 0 for "no match"."""
    image_id: int
    category_id: int
    """From 1, in the order of the data set's classes."""
    box: Box
    area: float
    """Of the mask where there is one, of the box otherwise. Size bins are judged on it."""
    crowd: bool = False
    segmentation: Any = None
    """COCO polygons ``[[x, y, …], …]`` or run lengths ``{"size": [h, w], "counts": …}``, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRegion:
    """A part of an image that nobody annotated: what lies in it is not judged."""

    image_id: int
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """Pixels of an image of which nobody said what they are: an annotator's band around objects, or a whole thing."""

    image_id: int
    segmentation: Any
    """Run lengths ``{"size": [h, w], "counts": [int, …]}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a rule took out of the annotation file of a split."""

    rule: Mapping[str, Any]
    """The rule as the definition states it, defaults filled in; the classes are the data set's."""
    sha256: str
    """Of the classes and of the file's ids that were taken (`selecting.selection_hash`)."""
    images: int
    """Taken."""
    of_images: int
    """Images of the file, as far as their entries can be used."""
    boxes: int
    """Annotations on the images taken, crowd regions included, before anything else was left out."""
    crowd: int
    """How many of those are crowd regions."""
    dropped: int
    """Annotations of other classes in the whole file."""
    left_out: Mapping[str, int]
    """Images that were not taken, by the first reason."""

    def to_json(self) -> dict[str, Any]:
        """The form that `dataset.json` and `detui data check --json` carry."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The images of one split, in its own order, with what is annotated on them."""

    name: str
    images: tuple[Image, ...]
    annotations: tuple[Annotation, ...]
    declared_images: int
    """How many images the files name, before anything was left out: what published counts refer to."""
    declared_boxes: Mapping[str, int]
    """How many annotations the files hold by class, before anything was left out."""
    declared_crowd: int = 0
    """How many of those are crowd regions."""
    ignore_regions: tuple[IgnoreRegion, ...] | None = None
    """In the order of the images; None where the format has no such notion, which is something else than none found."""
    void: tuple[Void, ...] | None = None
    """In the order of the images, one an image that has any; None where the format has no such notion."""
    selection: Selection | None = None
    """Where the definition states a rule: what it took. The `declared` numbers stay those of the file."""

    @property
    def available(self) -> int:
        """How many images there are to ask for, before any was found unusable."""
        return self.selection.images if self.selection else self.declared_images


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMaps:
    """What the depth maps of a data set are."""

    encoding: str
    """"uint8": 8-bit grey, taken as it is; "metres_x256": 16-bit grey, metres × 256."""
    far: float | None
    """Metres that become 255 (metres_x256 alone)."""
    note: str | None = None
    """What made them, as far as a file beside them says."""

    def to_json(self) -> dict[str, object]:
        """The form that `dataset.json` carries."""
        return {"encoding": self.encoding, "far": self.far, "note": self.note}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set as read: its splits, and every problem found on the way."""

    name: str
    title: str
    root: Path
    """The folder that image paths are relative to (absolute)."""
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    generated: bool = False
    problems: tuple[Problem, ...] = ()
    """The first ones of each kind, at most `problems.EXAMPLES` of each."""
    summary: tuple[ProblemSummary, ...] = ()
    """Every kind that occurred, with its count and what was done."""
    checksums: tuple[Checksum, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the bytes of each image (and depth map) that was verified, by relative path."""
    depth: DepthMaps | None = None
    """Of its depth maps, where they were read."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A number that the authors of a data set publish, beside the number found."""

    what: str
    published: int
    found: int

    @property
    def ok(self) -> bool:
        """Whether the two agree."""
        return self.published == self.found
