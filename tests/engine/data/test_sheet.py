"""The contact sheet: the right crops beside the right names, the same ones each time."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from detui.engine.data.sheet import GAP, HEAD, LABEL, TILE, chosen, contact_sheet

RED, BLUE = (220, 20, 20), (20, 20, 220)


def build(site: Any, images: int = 3, *, size: int = 40) -> None:
    """Pictures with a red cat and a blue dog on each, and one class that has nothing."""
    annotations = []
    for number in range(1, images + 1):
        picture = Image.new("RGB", (200, 120), (90, 150, 90))
        for place, colour in ((20, RED), (120, BLUE)):
            box = [place, 30, place + size - 1, 30 + size - 1]
            ImageDraw.Draw(picture).rectangle(box, fill=colour)
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1 + (colour == BLUE),
                                "bbox": [place, 30, size, size]})  # fmt: skip
        (site.root / "val").mkdir(exist_ok=True)
        picture.putpixel((0, 0), (number, 0, 0))
        picture.save(site.root / "val" / f"{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 120} for n in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "鸟"}],
    }
    site.write("val.json", json.dumps(content))
    site.define(format="coco", splits={"val": {"annotations": "val.json", "images": "val"}})


def pixels(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def middle(sheet: Any, row: int, column: int) -> tuple[int, ...]:
    """The colour in the middle of a crop."""
    step = TILE + GAP
    return tuple(sheet[HEAD + row * step + TILE // 2, LABEL + column * step + TILE // 2])


def test_each_row_shows_its_class(site: Any) -> None:
    build(site)
    sheet = contact_sheet(site.open(), "val", per_class=5)
    assert sheet.crops == {"cat": 3, "dog": 3, "鸟": 0}
    assert sheet.unreadable == ()
    drawn = pixels(sheet.png)
    assert [middle(drawn, 0, column) for column in range(4)] == [RED, RED, RED, (255, 255, 255)]
    assert [middle(drawn, 1, column) for column in range(3)] == [BLUE] * 3
    names = drawn[HEAD:, :LABEL]
    assert all((names[row * 100 : row * 100 + 96] < 128).any() for row in range(3)), "a name stands beside each row"


def test_a_wrong_id_is_seen(make_site: Any) -> None:
    """Two classes that changed places: nothing complains, and the picture shows it."""
    site = make_site()
    build(site)
    text = (site.root / "val.json").read_text()
    site.write("val.json", text.replace('"cat"', '"x"').replace('"dog"', '"cat"').replace('"x"', '"dog"'))
    dataset = site.open()
    assert dataset.summary == ()
    drawn = pixels(contact_sheet(dataset, "val").png)
    assert dataset.classes[0] == "dog"
    assert middle(drawn, 0, 0) == RED


def test_the_same_data_gives_the_same_picture_wherever_it_lies(make_site: Any) -> None:
    sheets = []
    for name in ("one", "two"):
        site = make_site(name)
        build(site, 8)
        sheets.append(contact_sheet(site.open(), "val", per_class=3).png)
    assert sheets[0] == sheets[1]


def test_large_objects_and_other_images_come_first(make_site: Any) -> None:
    """One image has many large cats, one a single one, one only small cats."""
    site = make_site()
    build(site, 3)
    content = json.loads((site.root / "val.json").read_text())
    cats = [(1, [n * 30, 70, 28, 28 + n]) for n in range(6)] + [(2, [20, 30, 40, 40])]
    cats += [(3, [n * 9, 1, 8, 8]) for n in range(5)]
    annotations = [{"id": n, "image_id": at, "category_id": 1, "bbox": box} for n, (at, box) in enumerate(cats, 1)]
    site.write("val.json", json.dumps({**content, "annotations": annotations}))
    split = site.open().splits["val"]
    images = {image.id: image for image in split.images}
    order = [(image.id, a.box[2]) for image, a in chosen(images, split.annotations, 99)]
    assert sorted(order[:2]) == [(1, 28), (2, 40)]
    assert order[2:7] == [(1, 28)] * 5
    assert order[7:] == [(3, 8)] * 5
    assert [(image.id, a.box[2]) for image, a in chosen(images, split.annotations, 3)] == order[:3]


@pytest.mark.parametrize("box", [[0, 0, 200, 120], [0, 0, 1, 120], [199, 119, 1, 1], [-30, -30, 260, 40]])
def test_boxes_of_every_shape(make_site: Any, box: list[int]) -> None:
    site = make_site()
    build(site, 1)
    content = json.loads((site.root / "val.json").read_text())
    content["annotations"] = [{"id": 1, "image_id": 1, "category_id": 3, "bbox": box}]
    site.write("val.json", json.dumps(content))
    value = json.loads(site.definition.read_text())
    site.definition.write_text(json.dumps({**value, "on_problem": {"beyond_border": "keep"}}))
    sheet = contact_sheet(site.open(), "val")
    assert sheet.crops["鸟"] == 1
    assert (pixels(sheet.png)[HEAD + 200 : HEAD + 296, LABEL : LABEL + 96] != 255).any()


def test_a_picture_that_turns(make_site: Any) -> None:
    """Boxes are in the picture as a viewer shows it."""
    site = make_site()
    build(site, 1)
    turned = Image.open(site.root / "val/1.png").rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(site.root / "val/1.jpg", exif=exif, quality=95)
    site.write("val.json", (site.root / "val.json").read_text().replace("1.png", "1.jpg"))
    drawn = pixels(contact_sheet(site.open(), "val").png)
    assert np.abs(np.subtract(middle(drawn, 0, 0), RED)).max() < 40
    assert np.abs(np.subtract(middle(drawn, 1, 0), BLUE)).max() < 40


def test_a_picture_that_cannot_be_decoded(make_site: Any) -> None:
    site = make_site()
    build(site)
    dataset = site.open()
    (site.root / "val/2.png").write_bytes((site.root / "val/2.png").read_bytes()[:60])
    sheet = contact_sheet(dataset, "val")
    assert sheet.unreadable == ("val/2.png",)
    assert [middle(pixels(sheet.png), 0, column) for column in range(3)].count((255, 255, 255)) == 1


def test_long_and_strange_names(make_site: Any) -> None:
    site = make_site()
    build(site, 1)
    text = (site.root / "val.json").read_text()
    site.write("val.json", text.replace('"cat"', json.dumps("a very long name\nof a class " * 9)))
    assert contact_sheet(site.open(), "val").png.startswith(b"\x89PNG")
