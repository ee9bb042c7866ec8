"""PASCAL VOC boxes: a text file that lists a split, one XML file an image.

Coordinates follow the VOC development kit: pixels are counted from 1 and
``xmax``, ``ymax`` name the last pixel inside. In edges from 0 that is
``x = xmin - 1`` and ``width = xmax - xmin + 1``, so that a box over the whole
of a 640-pixel row (1 to 640) becomes [0, 640]. Read the other way, every box
would shrink by one pixel and shift by one, which costs AP on small objects.

By that rule ``xmin == xmax`` would be a box one pixel wide. Labelling tools
write it for a click without a drag, never for an object, so zero size is
judged on the numbers as written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.parsers import expat

from detui.engine.data.definition import VocDefinition, VocInstancesDefinition
from detui.engine.data.form import Box, Image
from detui.engine.data.imagefiles import SUFFIXES
from detui.engine.data.reading import Content, Gathering, Reading
from detui.engine.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(layout: VocDefinition, reading: Reading) -> Content:
    """Read the wanted splits. Raises MissingError, DataError for a split list that cannot be read."""

    def reader(gathering: Gathering) -> ReadImage:
        return partial(_read_image, _VocImage(layout, reading, gathering))

    return read_listed(layout, reading, reader)


ReadImage = Callable[[str, int, tuple[str, int]], None]
"""(name of an image, its id, where it is listed): takes it, or reports why not."""


def read_listed(
    layout: VocDefinition | VocInstancesDefinition, reading: Reading, reader: Callable[[Gathering], ReadImage]
) -> Content:
    """Read the wanted splits, which are lists of names; ids go on from one split to the next.

    `reader`: what reads the images of a split into its gathering. Raises as `listed`.
    """
    first_id = 1
    splits = {}
    for name, split in layout.splits.items():
        if not reading.wants(name):
            continue
        gathering = Gathering(name, tuple(layout.classes), reading.ledger)
        read = reader(gathering)
        names = listed(reading, reading.root / split.list)
        gathering.declared_images = len(names)
        for index, (stem, line) in enumerate(names.items()):
            reading.progress(f"reading {name}", index, len(names))
            read(stem, first_id + index, (split.list, line))
        reading.progress(f"reading {name}", len(names), len(names))
        first_id += len(names)
        splits[name] = gathering.split()
    return Content(tuple(layout.classes), splits)


@dataclass(frozen=True, slots=True)
class _VocImage:
    layout: VocDefinition
    reading: Reading
    gathering: Gathering


@dataclass(slots=True)
class Element:
    """One XML element: its line, its text, its children."""

    name: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def words(self, name: str) -> str | None:
        """The text of the first child of that name, or None."""
        child = self.child(name)
        return child.text.strip() if child else None


class XmlError(Exception):
    """XML that cannot be used; `line` says where."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def parse_xml(content: bytes) -> Element:
    """Parse XML into elements with lines. Document types are refused: entities can expand without bound."""
    parser = expat.ParserCreate()
    top = Element("", 0)
    stack = [top]

    def start(name: str, _attributes: object) -> None:
        element = Element(name, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def text(data: str) -> None:
        stack[-1].text += data

    def doctype(*_arguments: object) -> None:
        raise XmlError(parser.CurrentLineNumber, "it declares a document type, which is not read")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: stack.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise XmlError(error.lineno, f"it is no valid XML ({expat.errors.messages[error.code]})") from None
    except (LookupError, ValueError) as error:
        raise XmlError(parser.CurrentLineNumber, f"it is no valid XML ({error})") from None
    return top.children[0]


@dataclass(frozen=True, slots=True)
class XmlObject:
    """What an XML file says of one object."""

    name: str
    box: Box
    """In edges from 0."""
    difficult: bool
    line: int

    def overlap(self, other: Box) -> float:
        """IoU with another box in edges from 0."""
        wide = min(self.box[0] + self.box[2], other[0] + other[2]) - max(self.box[0], other[0])
        high = min(self.box[1] + self.box[3], other[1] + other[3]) - max(self.box[1], other[1])
        if wide <= 0 or high <= 0:
            return 0.0
        return wide * high / (self.box[2] * self.box[3] + other[2] * other[3] - wide * high)


def xml_objects(root: Element) -> Iterator[XmlObject]:
    """The objects of a parsed file, in its order. Raises XmlError for a file that is none of VOC's, or a wrong box."""
    if root.name != "annotation":
        raise XmlError(root.line, f"its root is <{root.name}>, expected <annotation>")
    for element in root.children:
        if element.name == "object":
            corners, line = _corners(element)
            yield XmlObject(element.words("name") or "", _box(corners), element.words("difficult") == "1", line)


def listed(reading: Reading, path: Path) -> dict[str, int]:
    """The image names of a split with their lines. A second column (VOC's ±1 of per-class lists) is dropped."""
    names: dict[str, int] = {}
    for line, text in enumerate(reading.text(path).splitlines(), 1):
        words = text.split()
        if not words or (len(words) > 1 and words[1] == "-1"):
            continue
        if words[0] in names:
            reason = f"the image {words[0]} stands in line {names[words[0]]} already"
            reading.ledger.report("duplicate_image", reading.relative(path), line, reason)
            continue
        names[words[0]] = line
    if not names:
        raise DataError("The split list names no image.", where=str(path))
    return names


def _read_image(at: _VocImage, stem: str, image_id: int, listed: tuple[str, int]) -> None:
    """Read one annotation file; its problems go to the ledger."""
    reading, folder = at.reading, at.layout.annotations
    source = f"{folder}/{stem}.xml"
    picture = picture_of(reading.root, at.layout.images, stem)
    if picture is None:
        reading.ledger.report("missing_image", *listed, f"there is no image {at.layout.images}/{stem}.*")
        return
    try:
        root = parse_xml((reading.root / source).read_bytes())
        width, height = _size(root)
    except FileNotFoundError:
        action = reading.ledger.report("missing_annotation", *listed, f"there is no file {source}")
        if action == "keep":
            _keep_bare(at, picture, image_id, listed)
        return
    except XmlError as error:
        reading.ledger.report("unreadable_file", source, error.line, error.reason)
        return
    except OSError as error:
        reading.ledger.report("unreadable_file", source, None, f"it cannot be read ({error.strerror})")
        return
    image = Image(id=image_id, file=picture, width=width, height=height, source=source)
    at.gathering.begin_image(image)
    for element in root.children:
        if element.name == "object":
            _read_object(at, image, element)


def _keep_bare(at: _VocImage, picture: str, image_id: int, listed: tuple[str, int]) -> None:
    """Take an image without annotation file as one without objects."""
    from detui.engine.data.imagefiles import NoImageError, size_of

    try:
        width, height = size_of(at.reading.root / picture)
    except (NoImageError, OSError) as error:
        at.reading.ledger.report("broken_image", picture, None, f"the image cannot be used: {error}")
        return
    at.gathering.begin_image(Image(id=image_id, file=picture, width=width, height=height, source=listed[0]))


def _read_object(at: _VocImage, image: Image, element: Element) -> None:
    ledger, gathering = at.reading.ledger, at.gathering
    name = element.words("name") or ""
    gathering.declare(name)
    if name not in gathering.classes:
        known = ", ".join(gathering.classes)
        ledger.report("unknown_class", image.source, element.line, f"there is no class {name!r}; there are {known}")
        return
    try:
        corners, line = _corners(element)
    except XmlError as error:
        ledger.report("malformed", image.source, error.line, error.reason)
        return
    if corners[0] == corners[2] or corners[1] == corners[3]:
        shown = ", ".join(f"{value:g}" for value in corners)
        reason = f"a box of {name} has zero size: xmin, ymin, xmax, ymax are {shown}"
        ledger.report("zero_size", image.source, line, reason)
        return
    crowd = at.layout.difficult == "ignore" and element.words("difficult") == "1"
    place = (image.source, line)
    gathering.add(image, gathering.classes.index(name) + 1, _box(corners), place, crowd=crowd)


def _box(corners: tuple[float, ...]) -> Box:
    """Corners as written to edges from 0."""
    left, top, right, bottom = corners
    if right < left or bottom < top:
        return left - 1, top - 1, right - left, bottom - top
    return left - 1, top - 1, right - left + 1, bottom - top + 1


def _corners(element: Element) -> tuple[tuple[float, ...], int]:
    """The four numbers of an object's box, and their line. Raises XmlError."""
    box = element.child("bndbox")
    if box is None:
        raise XmlError(element.line, "the object has no bndbox")
    return tuple(_number(box, name) for name in _CORNERS), box.line


def _size(root: Element) -> tuple[int, int]:
    """Width and height that the file states. Raises XmlError."""
    if root.name != "annotation":
        raise XmlError(root.line, f"its root is <{root.name}>, expected <annotation>")
    size = root.child("size")
    if size is None:
        raise XmlError(root.line, "it states no <size>")
    width, height = _number(size, "width"), _number(size, "height")
    if not (math.isfinite(width) and math.isfinite(height) and width >= 1 and height >= 1):
        raise XmlError(size.line, f"it states an impossible size of {width:g}×{height:g}")
    return int(width), int(height)


def _number(parent: Element, name: str) -> float:
    child = parent.child(name)
    if child is None:
        raise XmlError(parent.line, f"<{parent.name}> has no <{name}>")
    try:
        return float(child.text)
    except ValueError:
        raise XmlError(child.line, f"<{name}> is {child.text.strip()!r}, a number was expected") from None


def picture_of(root: Path, folder: str, stem: str) -> str | None:
    """The image file of that name, whatever its suffix, relative to the root."""
    for suffix in SUFFIXES:
        if (root / folder / f"{stem}{suffix}").is_file():
            return f"{folder}/{stem}{suffix}"
    return None
