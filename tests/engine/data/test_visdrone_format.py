"""VisDrone-DET's files: objects, regions, boxes that are not judged, and what may be wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.data.fingerprint import fingerprint
from detui.engine.data.form import IgnoreRegion
from detui.engine.data.visdrone import CLASSES
from detui.engine.errors import DataError, MissingError

CAR = "10,10,20,15,1,4,0,1"
SPLITS = ("train", "val")


def visdrone(site, text: str | bytes | None = f"{CAR}\n", **fields) -> None:
    """A site with one image in train and one in val; `text` is what the first one's annotation file holds."""
    for split, stem in zip(SPLITS, "ab", strict=True):
        site.image(f"{split}/images/{stem}.jpg")
        site.write(f"{split}/annotations/{stem}.txt", f"{CAR}\n")
    path = site.root / "train" / "annotations" / "a.txt"
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    site.define(**{"format": "visdrone", "splits": {name: {"folder": name} for name in SPLITS}, **fields})


def test_each_row_becomes_what_its_category_says(site):
    rows = [
        CAR,
        "40,5,9,30,1,1,0,0,",  # with the trailing comma of some files
        " 60 , 5 , 9 , 9 , 0 , 10 , 1 , 2 ",  # score 0: not an object
        "0,0,30,30,0,0,0,0",
        "70,50,30,30,1,0,0,0",  # a region, whatever its score
        "50,50,5,5,0,11,0,0",
        "",
    ]
    visdrone(site, "\ufeff" + "\r\n".join(rows))
    dataset = site.open()
    split = dataset.splits["train"]
    assert dataset.classes == CLASSES and dataset.summary == ()
    found = [(dataset.classes[a.category_id - 1], a.box, a.area, a.crowd) for a in split.annotations]
    assert found == [
        ("car", (10, 10, 20, 15), 300, False),
        ("pedestrian", (40, 5, 9, 30), 270, False),
        ("motor", (60, 5, 9, 9), 81, True),
    ]
    image = split.images[0].id
    regions = [(0.0, 0.0, 30.0, 30.0), (70.0, 50.0, 30.0, 30.0)]
    assert split.ignore_regions == tuple(IgnoreRegion(image_id=image, box=box) for box in regions)
    assert dataset.splits["val"].ignore_regions == (), "none found, and not: no notion of them"


@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [
        ("1,2,3", "malformed", "it has 3 columns"),
        ("1,2,3,4,1,4,0,0,0", "malformed", "it has 9 columns"),
        ("1,2,3,4,1,4,0,0,,", "malformed", "it has 10 columns"),
        ("1 2 3 4 1 4 0 0", "malformed", "it has 1 columns"),
        ("1,2,x,4,1,4,0,0", "malformed", "in place of 'x'"),
        ("1,2,,4,1,4,0,0", "malformed", "in place of ''"),
        ("1,2,nan,4,1,4,0,0", "malformed", "in place of 'nan'"),
        ("1,2,1_0,4,1,4,0,0", "malformed", "in place of '1_0'"),
        ("1,2,3,4,1,4,0,few", "malformed", "in place of 'few'"),
        ("1,2,3,4,0.93,4,-1,-1", "malformed", "is it a file of detections?"),
        ("1,2,3,4,1,4.5,0,0", "malformed", "the category is 4.5"),
        ("1,2,3,4,1,12,0,0", "unknown_class", "there is no category 12"),
        ("1,2,3,4,1,-1,0,0", "unknown_class", "there is no category -1"),
        ("1,2,1e999,4,1,4,0,0", "not_finite", "is not finite"),
        ("1,2,-3,4,1,4,0,0", "inverted", "negative size"),
        ("200,2,3,4,1,4,0,0", "outside", "outside the image of 100×80"),
        ("200,2,3,4,0,0,0,0", "outside", "outside the image of 100×80"),
        ("1,2,-3,4,0,0,0,0", "inverted", "negative size"),
    ],
)
def test_a_faulty_row_is_named_with_file_and_line(make_site, row, kind, says):
    site = make_site()
    visdrone(site, f"{CAR}\n\n{row}\n")
    with pytest.raises(DataError) as caught:
        site.open()
    message = caught.value.message
    assert "train/annotations/a.txt:3: " in message and f"[{kind}]" in message and says in message


@pytest.mark.parametrize(
    ("row", "kind", "action"),
    [
        ("5,5,7,7,1,11,0,0", "others_judged", "leave_out"),
        ("5,5,0,7,1,4,0,0", "zero_size", "leave_out"),
        ("5,5,0,7,0,0,0,0", "zero_size", "leave_out"),
        (CAR, "duplicate_box", "leave_out"),
        ("90,70,20,20,1,4,0,0", "beyond_border", "clip"),
        ("-5,70,20,20,0,0,0,0", "beyond_border", "clip"),
    ],
)
def test_what_can_be_lived_with_is_told(make_site, row, kind, action):
    site = make_site()
    visdrone(site, f"{CAR}\n{row}\n")
    dataset = site.open()
    (problem,) = dataset.summary
    assert (problem.kind, problem.action, problem.count) == (kind, action, 1)
    assert problem.examples[0].startswith("train/annotations/a.txt:2: ")
    boxes, regions = dataset.splits["train"].annotations, dataset.splits["train"].ignore_regions
    if kind == "beyond_border":
        assert [a.box for a in boxes[1:]] + [r.box for r in regions] in ([(90, 70, 10, 10)], [(0, 70, 15, 10)])
    else:
        assert len(boxes) == 1 and regions == ()


def test_others_that_are_judged_can_be_an_error(make_site):
    site = make_site()
    visdrone(site, "5,5,7,7,1,11,0,0\n", on_problem={"others_judged": "error"})
    with pytest.raises(DataError, match=r"a\.txt:1: a box of others has the score 1"):
        site.open()


def test_boxes_beyond_the_border_and_twice_can_stay_as_published(make_site):
    site = make_site()
    kept = {"beyond_border": "keep", "duplicate_box": "keep"}
    visdrone(site, f"90,70,20,20,1,4,0,0\n{CAR}\n{CAR}\n", on_problem=kept)
    assert site.open().splits["train"].annotations[0].box == (90, 70, 20, 20)
    assert len(site.open().splits["train"].annotations) == 3


def test_files_that_do_not_go_together(make_site):
    site = make_site()
    visdrone(site, None)
    with pytest.raises(DataError, match=r"train/images/a\.jpg: there is no file train/annotations/a\.txt"):
        site.open()
    visdrone(site, None, on_problem={"missing_annotation": "keep"})
    assert len(site.open().splits["train"].images) == 1
    visdrone(site)
    site.write("train/annotations/lost.txt", CAR)
    with pytest.raises(DataError, match=r"annotations/lost\.txt: there is no image train/images/lost\.\*"):
        site.open()
    (site.root / "train/annotations/lost.txt").unlink()
    site.image("train/images/a.png")
    with pytest.raises(DataError, match=r"images/a\.png: it shares its annotation file with train/images/a\.jpg"):
        site.open()


def test_files_that_are_no_text_and_no_image(make_site):
    site = make_site()
    visdrone(site, CAR.encode() + b"\n\xff\xfe")
    with pytest.raises(DataError, match=r"annotations/a\.txt:2: it is not UTF-8 text"):
        site.open()
    visdrone(site)
    site.write("train/images/a.jpg", "no picture")
    with pytest.raises(DataError, match=r"train/images/a\.jpg: the image cannot be used"):
        site.open()


def test_what_macos_leaves_behind_is_not_looked_at(make_site):
    site = make_site()
    visdrone(site)
    for name in ("train/images/._a.jpg", "train/annotations/._a.txt", "train/annotations/notes.md"):
        site.write(name, "\0\5\26\7")
    assert site.open().summary == ()


def test_a_split_that_is_not_there_is_named(make_site):
    site = make_site()
    visdrone(site, splits={"train": {"folder": "train"}, "test-dev": {"folder": "test-dev"}})
    assert len(site.open(splits=("train",)).splits["train"].images) == 1, "what nobody asks for need not be there"
    with pytest.raises(MissingError, match=r"cannot be read: No such file") as caught:
        site.open()
    assert "test-dev/images" in str(caught.value) and "a definition of your own" in str(caught.value)


def test_an_empty_split_is_named(make_site):
    site = make_site()
    visdrone(site)
    for path in (site.root / "train/images/a.jpg", site.root / "train/annotations/a.txt"):
        path.unlink()
    with pytest.raises(DataError, match=r"There is no image in train/images"):
        site.open()


def test_published_counts_are_of_objects(make_site):
    """Rows with score 0, regions and others are none; what is left out later was published all the same."""
    site = make_site()
    rows = f"{CAR}\n{CAR}\n1,1,0,5,1,4,0,0\n3,3,5,5,0,4,0,0\n0,0,9,9,0,0,0,0\n9,9,9,9,0,11,0,0\n"
    visdrone(site, rows, published={"images": {"train": 1}, "without_crowd": {"train": 3, "val": 2}})
    with pytest.raises(DataError, match="annotations without crowd of val: 2 are published, 1 were found") as caught:
        site.open()
    assert "One problem" in caught.value.message


def test_prepared_data_says_what_is_ignored_and_by_what_it_is_judged(site):
    visdrone(site, f"{CAR}\n0,0,30,30,0,0,0,0\n3,3,5,5,0,4,0,0\n")
    prepared = site.prepare(yolo=True)
    train, val = (json.loads((prepared.path / f"{role}.json").read_text()) for role in SPLITS)
    assert train["ignore_regions"] == [{"image_id": train["images"][0]["id"], "bbox": [0.0, 0.0, 30.0, 30.0]}]
    assert val["ignore_regions"] == [] and prepared.info["metric"] == "visdrone"
    assert [a["iscrowd"] for a in train["annotations"]] == [0, 1]
    (labels,) = (prepared.path / "yolo" / "labels" / "train").iterdir()
    assert len(labels.read_text().splitlines()) == 1, "no trainer sees what is not an object"


def test_a_selection_takes_the_regions_of_its_images(make_site):
    site = make_site()
    visdrone(site)
    for stem in "cd":
        site.image(f"train/images/{stem}.jpg")
        site.write(f"train/annotations/{stem}.txt", f"{CAR}\n1,1,{9 if stem == 'c' else 8},9,0,0,0,0\n")
    prepared = site.prepare(train={"split": "train", "images": 2})
    regions = json.loads((prepared.path / "train.json").read_text())["ignore_regions"]
    assert [region["bbox"] for region in regions] == [[1.0, 1.0, 9.0, 9.0]]


def test_the_fingerprint_knows_regions(make_site):
    site = make_site()
    visdrone(site, f"{CAR}\n0,0,30,30,0,0,0,0\n")
    first = site.prepare().info["fingerprint"]
    visdrone(site, f"{CAR}\n0,0,30,31,0,0,0,0\n")
    assert site.prepare().info["fingerprint"] != first


def test_data_without_the_notion_is_prepared_as_before(make_site):
    site = make_site()
    site.voc("")
    prepared = site.prepare()
    assert "metric" not in prepared.info and "ignore_regions" not in (prepared.path / "val.json").read_text()
    plain = site.open()
    assert all(split.ignore_regions is None for split in plain.splits.values())


def test_the_definition_of_the_docs_is_one(make_site, repository: Path):
    site = make_site()
    text = (repository / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (block,) = (one for one in re.findall(r"```yaml\n(.*?)```", text, re.S) if "format: visdrone" in one)
    path = site.write("drone.yaml", block)
    for split in ("train", "val"):
        site.image(f"VisDrone2019-DET-{split}/images/a.jpg")
        site.write(f"VisDrone2019-DET-{split}/annotations/a.txt", CAR)
    dataset = open_dataset(load_definition(path), site.configuration, cache=site.cache)
    assert [len(split.annotations) for split in dataset.splits.values()] == [1, 1]


def test_the_published_set_states_its_counts():
    published = load_definition("visdrone").layout.published
    assert published.images == {"train": 6471, "val": 548, "test-dev": 1610}
    assert published.without_crowd == {"val": 38759, "test-dev": 75102}


@pytest.fixture
def sample(shared_data: Path, tmp_path: Path) -> tuple[Path, Configuration]:
    """A definition of the sample in VisDrone's format, and where it lies."""
    place = shared_data / "visdrone_format"
    if not place.is_dir():
        pytest.skip(f"needs the sample in VisDrone's format at {place}, which is absent")
    definition = tmp_path / "sample.yaml"
    fields = {
        "schema": 1, "name": "sample", "title": "Sample", "format": "visdrone",
        "splits": {"val": {"folder": "VisDrone2019-DET-val"}},
        "published": {"images": {"val": 6}, "without_crowd": {"val": 85}},
    }  # fmt: skip
    definition.write_text(json.dumps(fields))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sample").symlink_to(place)
    environ = {"HOME": str(tmp_path), "DETUI_WORKSPACE": str(tmp_path / "w"), "DETUI_DATA": str(tmp_path / "data")}
    return definition, Configuration.load(environ=environ)


def test_the_sample_is_read_whole(sample, tmp_path: Path):
    dataset = open_dataset(load_definition(sample[0]), sample[1], cache=tmp_path / "c")
    split = dataset.splits["val"]
    (problem,) = dataset.summary
    assert (problem.kind, problem.count) == ("beyond_border", 1) and all(c.ok for c in dataset.checksums)
    assert (len(split.images), len(split.annotations), len(split.ignore_regions)) == (6, 86, 5)
    assert sum(a.crowd for a in split.annotations) == 1
    assert {(image.width, image.height) for image in split.images} == {(960, 540), (1360, 765), (1400, 788)}
    assert len(fingerprint(dataset.classes, dataset.splits, dataset.hashes)) == 64


def test_the_sample_is_prepared(sample, tmp_path: Path):
    selection = {"name": str(sample[0]), "train": {"split": "val", "images": 4}, "val": {"split": "val"}}
    prepared = prepare(selection, sample[1], tmp_path / "c", yolo=True)
    truth = json.loads((prepared.path / "val.json").read_text())
    assert prepared.info["metric"] == "visdrone" and len(truth["ignore_regions"]) == 5
    assert len(json.loads((prepared.path / "train.json").read_text())["ignore_regions"]) == 4
