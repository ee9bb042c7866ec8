"""VisDrone-DET's text files: one annotation file an image, one row an object.

A row is ``x,y,width,height,score,category,truncation,occlusion``, in pixels
from 0, some files with a comma at the end of each row. The category says what
the row is:

- 0 is a region that nobody annotated, whatever its score.
- 1 to 10 with score 1 is an object; truncation and occlusion are not used.
- 1 to 10 with score 0 is no object but a box "that will be ignored": the
  toolkit forgives detections on it as COCO forgives those on a crowd region
  (intersection over the detection's own area, as many as there are), so it
  becomes one. It is neither trained on nor looked for.
- 11 is `others`, which the challenge does not judge and whose score should be
  0. It is left out; one with another score is reported, because somebody may
  have meant it as an object.

Files whose names begin with a dot, as macOS leaves behind, are not looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from detui.engine.data.definition import VisdroneDefinition
from detui.engine.data.form import Box, Image, Split
from detui.engine.data.imagefiles import SUFFIXES
from detui.engine.data.reading import Content, Gathering, Reading
from detui.engine.errors import DataError, MissingError

CLASSES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
"""Categories 1 to 10."""
REGION, OTHERS = 0, 11
COLUMNS = 8
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_visdrone(layout: VisdroneDefinition, reading: Reading) -> Content:
    """Read the wanted splits. Raises MissingError for a folder that is not there, DataError for one without images."""
    first_id = 1
    splits = {}
    for name, split in layout.splits.items():
        if reading.wants(name):
            splits[name] = _read_split(reading, name, split.folder, first_id)
            first_id += splits[name].declared_images
    return Content(CLASSES, splits)


def _read_split(reading: Reading, name: str, folder: str, first_id: int) -> Split:
    gathering = Gathering(name, CLASSES, reading.ledger, ignore_regions=[])
    images = _images(reading, f"{folder}/images")
    texts = _files(reading.root, f"{folder}/annotations", (".txt",))
    labels = {Path(file).stem: file for file in texts}
    stems = sorted(images.keys() | labels.keys())
    if not stems:
        raise DataError(f"There is no image in {folder}/images.", where=str(reading.root))
    gathering.declared_images = len(stems)
    for index, stem in enumerate(stems):
        reading.progress(f"reading {name}", index, len(stems))
        if stem not in images:
            reading.ledger.report("missing_image", labels[stem], None, f"there is no image {folder}/images/{stem}.*")
            continue
        source = f"{folder}/annotations/{stem}.txt"
        _read_image(reading, gathering, images[stem], source, first_id + index)
    reading.progress(f"reading {name}", len(stems), len(stems))
    return gathering.split()


def _images(reading: Reading, folder: str) -> dict[str, str]:
    """The images of a folder by stem; a second one of a stem is reported: its annotations would be those of both."""
    found: dict[str, str] = {}
    for file in _files(reading.root, folder, SUFFIXES):
        first = found.setdefault(Path(file).stem, file)
        if first != file:
            reading.ledger.report("duplicate_image", file, None, f"it shares its annotation file with {first}")
    return found


def _files(root: Path, folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files of a folder with one of these suffixes, by name, relative to the root. Raises MissingError."""
    try:
        entries = sorted(entry.name for entry in (root / folder).iterdir() if entry.suffix in suffixes)
    except OSError as error:
        hint = "put it there, or name the splits that you have in a definition of your own"
        message = f"This folder of the data set cannot be read: {error.strerror}."
        raise MissingError(message, where=str(root / folder), hint=hint) from None
    return [f"{folder}/{name}" for name in entries if not name.startswith(".")]


def _read_image(reading: Reading, gathering: Gathering, file: str, source: str, image_id: int) -> None:
    size = reading.size(file)
    if size is None:
        return
    lines: list[str] | None = []
    if (reading.root / source).is_file():
        lines = reading.lines(source)
    elif reading.ledger.report("missing_annotation", file, None, f"there is no file {source}") != "keep":
        return
    if lines is None:
        return
    image = Image(id=image_id, file=file, width=size[0], height=size[1], source=source)
    gathering.begin_image(image)
    for line, text in enumerate(lines, 1):
        if text.strip():
            _take(gathering, image, text, (source, line))


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as far as it is used."""

    box: Box
    judged: bool
    """Its score: whether it is an object, where the category is one's."""
    category: int


class RowError(Exception):
    """A row that does not follow the format; the text says why."""


def parse_row(text: str) -> Row:
    """One row of an annotation file. Raises RowError; the category may be any whole number."""
    words = [word.strip() for word in text.split(",")]
    if len(words) == COLUMNS + 1 and not words[-1]:
        words.pop()
    if len(words) != COLUMNS:
        raise RowError(f"it has {len(words)} columns, expected x,y,width,height,score,category,truncation,occlusion")
    wrong = next((word for word in words if not _NUMBER.fullmatch(word)), None)
    if wrong is not None:
        raise RowError(f"a number was expected in place of {wrong[:60]!r}")
    x, y, width, height, score, category = map(float, words[:6])
    if score not in (0, 1):
        raise RowError(f"the score is {words[4]}, expected 0 or 1: is it a file of detections?")
    if not category.is_integer():
        raise RowError(f"the category is {words[5]}, expected a whole number")
    return Row((x, y, width, height), score == 1, int(category))


def _take(gathering: Gathering, image: Image, text: str, place: tuple[str, int]) -> None:
    """Put a row where it belongs; what is wrong with it goes to the ledger."""
    report = gathering.ledger.report
    try:
        row = parse_row(text)
    except RowError as error:
        report("malformed", *place, str(error))
        return
    if row.category == REGION:
        gathering.ignore(image, row.box, place)
    elif row.category == OTHERS:
        if row.judged:
            report("others_judged", *place, "a box of others has the score 1, and nobody is judged by others")
    elif 1 <= row.category <= len(CLASSES):
        gathering.declare(CLASSES[row.category - 1], crowd=not row.judged)
        gathering.add(image, row.category, row.box, place, crowd=not row.judged)
    else:
        report("unknown_class", *place, f"there is no category {row.category}, they are 0 to {OTHERS}")
