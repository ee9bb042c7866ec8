"""What all readers share: their surroundings, text files with places, and the gathering of a split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from detui.engine.data.boxes import BoxCheck
from detui.engine.data.form import Annotation, Box, IgnoreRegion, Image, Selection, Split, Void
from detui.engine.data.imagefiles import NoImageError, size_of
from detui.engine.data.problems import Ledger
from detui.engine.errors import DataError, MissingError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Report to nobody."""


def is_name(value: Any) -> TypeGuard[str]:
    """Whether a value from a file can name something: text, not empty, that a file system and UTF-8 can carry."""
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reader works with."""

    root: Path
    ledger: Ledger
    wanted: tuple[str, ...] | None = None
    """The splits to read; all by default."""
    progress: Progress = no_progress

    def wants(self, split: str) -> bool:
        """Whether that split is to be read."""
        return self.wanted is None or split in self.wanted

    def relative(self, path: Path) -> str:
        """How messages call a file."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def text(self, path: Path) -> str:
        """A UTF-8 text file, a byte order mark left out. Raises MissingError, or DataError with the line."""
        content = self.content(path)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise DataError("The file is not UTF-8 text.", where=f"{path}:{line}") from None

    def lines(self, file: str) -> list[str] | None:
        """The lines of a UTF-8 text file, relative to the root; None for one that cannot be read, which is reported."""
        content = b""
        try:
            content = (self.root / file).read_bytes()
            return content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.ledger.report("unreadable_file", file, line, "it is not UTF-8 text")
        except OSError as error:
            self.ledger.report("unreadable_file", file, None, f"it cannot be read ({error.strerror})")
        return None

    def size(self, file: str) -> tuple[int, int] | None:
        """Width and height of an image from its header; None for one that cannot be used, which is reported."""
        try:
            return size_of(self.root / file)
        except FileNotFoundError:
            self.ledger.report("missing_image", file, None, "the image is not there")
        except (NoImageError, OSError) as error:
            self.ledger.report("broken_image", file, None, f"the image cannot be used: {error}")
        return None

    def content(self, path: Path) -> bytes:
        """The bytes of a file that must be there. Raises MissingError, DataError."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise MissingError("This file of the data set is absent.", where=str(path)) from None
        except OSError as error:
            raise DataError(f"The file cannot be read: {error.strerror}.", where=str(path)) from None


@dataclass(slots=True)
class Gathering:
    """A split while it is being read."""

    name: str
    classes: tuple[str, ...]
    ledger: Ledger
    images: list[Image] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    declared_images: int = 0
    declared_boxes: dict[str, int] = field(default_factory=dict)
    declared_crowd: int = 0
    ignore_regions: list[IgnoreRegion] | None = None
    """A list where the format knows such regions."""
    void: list[Void] | None = None
    """A list where the format knows such pixels."""
    selection: Selection | None = None
    """What a rule took, where the definition states one."""
    check: BoxCheck = field(init=False)

    def __post_init__(self) -> None:
        self.check = BoxCheck(self.ledger)

    def declare(self, name: str, *, crowd: bool = False) -> None:
        """Count an annotation that the files hold, sound or not."""
        self.declared_boxes[name] = self.declared_boxes.get(name, 0) + 1
        self.declared_crowd += crowd

    def begin_image(self, image: Image) -> None:
        """Take an image; the boxes that follow are its own."""
        self.images.append(image)
        self.check.begin_image(image.width, image.height)

    def add(
        self,
        image: Image,
        category_id: int,
        box: Box,
        place: tuple[str, int | str | None],
        *,
        area: float | None = None,
        crowd: bool = False,
        segmentation: Any = None,
    ) -> None:
        """Check a box and take it, unless it is left out. `area` is that of the mask, where there is one."""
        checked = self.check.accept(box, self.classes[category_id - 1], *place, crowd=crowd)
        if checked is not None:
            size = checked[2] * checked[3] if area is None else area
            self.take(image, category_id, checked, area=size, crowd=crowd, segmentation=segmentation)

    def take(
        self, image: Image, category_id: int, box: Box, *, area: float, crowd: bool = False, segmentation: Any = None
    ) -> None:
        """Take a box that needs no check: the extent of a mask lies in its image, and two objects may share one."""
        number = len(self.annotations) + 1
        self.annotations.append(
            Annotation(id=number, image_id=image.id, category_id=category_id, box=box, area=area, crowd=crowd,
                       segmentation=segmentation)
        )  # fmt: skip

    def ignore(self, image: Image, box: Box, place: tuple[str, int | str | None]) -> None:
        """Check a region that nobody annotated as boxes are checked, and take it, unless it is left out."""
        checked = self.check.accept(box, "ignore region", *place, crowd=True)
        if checked is not None and self.ignore_regions is not None:
            self.ignore_regions.append(IgnoreRegion(image_id=image.id, box=checked))

    def split(self) -> Split:
        """The split as gathered."""
        return Split(
            name=self.name,
            images=tuple(self.images),
            annotations=tuple(self.annotations),
            declared_images=self.declared_images,
            declared_boxes=self.declared_boxes,
            declared_crowd=self.declared_crowd,
            ignore_regions=None if self.ignore_regions is None else tuple(self.ignore_regions),
            void=None if self.void is None else tuple(self.void),
            selection=self.selection,
        )


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader hands back: the classes and splits that it found."""

    classes: tuple[str, ...]
    splits: Mapping[str, Split]
