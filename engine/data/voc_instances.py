"""PASCAL VOC instance segmentation: objects from the pictures in SegmentationObject, one index an object.

Of each picture the palette's indices are read, never its colours: 0 is background, 255 is void, and every other index
is an object, whose class most of its pixels have in SegmentationClass. Void is the band that annotators drew around
objects, and things that they gave up on; it is kept beside the objects, because masks must not be judged on it.

The XML file of an image, which names its objects on its own, says which are difficult, and is a cross-check: objects
are matched to its boxes by class and overlap, not by their order. Masks decide where the two differ.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detui.engine.data.definition import VocInstancesDefinition
from detui.engine.data.form import Image, Void
from detui.engine.data.imagefiles import NoImageError, pillow_errors
from detui.engine.data.index_picture import BACKGROUND, VOID, IndexPicture, Piece
from detui.engine.data.reading import Content, Gathering, Reading
from detui.engine.data.voc import ReadImage, XmlError, XmlObject, parse_xml, picture_of, read_listed, xml_objects
from detui.engine.data.xml_match import matched

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Indices = npt.NDArray[np.uint8]


def read_voc_instances(layout: VocInstancesDefinition, reading: Reading) -> Content:
    """Read the wanted splits. Raises MissingError, DataError for a split list that cannot be read."""

    def reader(gathering: Gathering) -> ReadImage:
        gathering.void = []  # this format knows such pixels
        return _Instances(layout, reading, gathering).read

    return read_listed(layout, reading, reader)


@dataclass(frozen=True, slots=True)
class _Instances:
    """What the images of a split are read with."""

    layout: VocInstancesDefinition
    reading: Reading
    gathering: Gathering

    def read(self, stem: str, image_id: int, place: tuple[str, int]) -> None:
        """Read the pictures and the XML file of one image; its problems go to the ledger."""
        layout, ledger = self.layout, self.reading.ledger
        file = picture_of(self.reading.root, layout.images, stem)
        if file is None:
            ledger.report("missing_image", *place, f"there is no image {layout.images}/{stem}.*")
            return
        size = self.reading.size(file)
        if size is None:
            return
        pictures = [self._indices(f"{folder}/{stem}.png", size, file) for folder in (layout.objects, layout.kinds)]
        objects, kinds = pictures
        if objects is None or kinds is None:
            return
        described = self._described(stem, place)
        if described is None:
            return
        image = Image(id=image_id, file=file, width=size[0], height=size[1], source=f"{layout.objects}/{stem}.png")
        self.gathering.begin_image(image)
        self._take(image, IndexPicture.of(objects, kinds), described, f"{layout.annotations}/{stem}.xml")

    def _indices(self, file: str, size: tuple[int, int], image: str) -> Indices | None:
        """[height, width] The indices of a palette PNG; None for one that cannot be used, which is reported."""
        import numpy as np
        from PIL import Image as Pictures

        ledger = self.reading.ledger
        try:
            content = (self.reading.root / file).read_bytes()
            with pillow_errors(), Pictures.open(io.BytesIO(content)) as picture:
                if picture.mode != "P" or picture.format != "PNG":
                    reason = (
                        f"it is a {picture.format} of mode {picture.mode}, and no palette PNG: its indices are lost"
                    )
                    ledger.report("mask_mode", file, None, reason)
                    return None
                if picture.size != size:
                    wide, high = picture.size
                    ledger.report("mask_size", file, None, f"it is {wide}×{high}, and {image} {size[0]}×{size[1]}")
                    return None
                return np.asarray(picture)
        except FileNotFoundError:
            ledger.report("missing_mask", file, None, f"there is no such file, which {image} needs")
        except (NoImageError, OSError) as error:
            ledger.report("broken_mask", file, None, f"the picture cannot be used: {error}")
        return None

    def _described(self, stem: str, place: tuple[str, int]) -> list[XmlObject] | None:
        """What the XML file says of the image's objects; None where the image is left out for it."""
        ledger, source = self.reading.ledger, f"{self.layout.annotations}/{stem}.xml"
        try:
            return list(xml_objects(parse_xml((self.reading.root / source).read_bytes())))
        except FileNotFoundError:
            action = ledger.report("missing_annotation", *place, f"there is no file {source}")
            return [] if action == "keep" else None
        except XmlError as error:
            ledger.report("unreadable_file", source, error.line, error.reason)
        except OSError as error:
            ledger.report("unreadable_file", source, None, f"it cannot be read ({error.strerror})")
        return None

    def _take(self, image: Image, picture: IndexPicture, described: list[XmlObject], xml: str) -> None:
        """Take an image's objects and its void."""
        pieces = {index: found for index in picture.indices if (found := self._piece(image, picture, index))}
        classes = {index: self.gathering.classes[piece.kind - 1] for index, piece in pieces.items()}
        boxes = {index: (classes[index], piece.box) for index, piece in pieces.items()}
        pairs = matched(boxes, described)
        if described:
            self._compare(image, boxes, described, pairs, xml)
        for index, piece in pieces.items():
            at = pairs.get(index)
            crowd = self.layout.difficult == "ignore" and at is not None and described[at].difficult
            self.gathering.declare(classes[index], crowd=crowd)
            self.gathering.take(image, piece.kind, piece.box, area=float(piece.area), crowd=crowd,
                                segmentation=piece.segmentation)  # fmt: skip
        if (void := picture.piece(VOID)) is not None and self.gathering.void is not None:
            self.gathering.void.append(Void(image_id=image.id, segmentation=void.segmentation))

    def _piece(self, image: Image, picture: IndexPicture, index: int) -> Piece | None:
        """An object; None where it is left out, because nothing sound says what it is."""
        piece, ledger, place = picture.piece(index), self.reading.ledger, (image.source, f"object {index}")
        if piece is None:
            return None
        if piece.kind in (BACKGROUND, VOID):
            reason = f"none of its {piece.area} pixels has a class in {self.layout.kinds}"
            ledger.report("mask_class", *place, reason)
            return None
        if piece.kind > len(self.gathering.classes):
            reason = f"its class has the number {piece.kind}, and there are {len(self.gathering.classes)}"
            ledger.report("unknown_class", *place, reason)
            return None
        if piece.others:
            reason = f"{piece.others} of its {piece.area} pixels have another class than most"
            if ledger.report("mixed_class", *place, reason) != "keep":
                return None
        return piece

    def _compare(
        self, image: Image, masks: dict[int, Any], described: list[XmlObject], pairs: dict[int, int], xml: str
    ) -> None:
        """Report where masks and boxes do not say the same."""
        ledger = self.reading.ledger
        for index, (name, box) in masks.items():
            place = (image.source, f"object {index}")
            if index not in pairs:
                ledger.report("mask_without_box", *place, f"{xml} has no box for this {name}")
                continue
            other = described[pairs[index]]
            if other.name != name:
                ledger.report("xml_class", *place, f"its pixels say {name}, {xml}:{other.line} says {other.name}")
            overlap = other.overlap(box)
            if overlap < FAR:
                reason = f"its extent has an IoU of {overlap:.2f} with its box in {xml}:{other.line}"
                ledger.report("box_elsewhere", *place, reason)
        for at in sorted(set(range(len(described))) - set(pairs.values())):
            ledger.report("box_without_mask", xml, described[at].line, f"this {described[at].name} has no mask")


FAR = 0.5
"""IoU of an object's extent and its box below which they are not of the same thing, or one of them is wrong."""
