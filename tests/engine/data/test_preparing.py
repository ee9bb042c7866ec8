"""Prepared data: what is written, when it is reused, and what its fingerprint depends on."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.errors import DataError, RecipeError, RunError

BOX = {"id": 1, "image_id": 1, "category_id": 17, "bbox": [10, 10, 20, 30]}
CROWD = {"id": 2, "image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 50], "iscrowd": 1}


def many(site, count: int = 4, **fields) -> None:
    """Train has `count` images, val one."""
    site.coco([BOX, CROWD], **fields)
    images = [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 80} for n in range(1, count + 1)]
    for image in images:
        site.image(f"train/{image['file_name']}", colour=image["id"])
    value = json.loads((site.root / "train.json").read_text())
    site.write("train.json", json.dumps({**value, "images": images[::-1]}))


def test_what_is_written(site):
    many(site)
    prepared = site.prepare(yolo=True, train={"split": "train", "images": 4})
    assert prepared.path.name == f"tiny-{prepared.info['fingerprint'][:12]}"
    assert json.loads((prepared.path / "dataset.json").read_text()) == prepared.info
    assert prepared.info["splits"] == {
        "train": {"json": "train.json", "images": 4, "boxes": 2,
                  "objects": 1, "objects_per_image": {"mean": 0.25, "median": 0.0}},
        "val": {"json": "val.json", "images": 1, "boxes": 0,
                "objects": 0, "objects_per_image": {"mean": 0.0, "median": 0.0}},
    }  # fmt: skip
    truth = json.loads((prepared.path / "train.json").read_text())
    assert truth["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert truth["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 10, 20, 30],
        "area": 600,
        "iscrowd": 0,
    }
    for image in truth["images"]:
        link = prepared.path / "yolo/images/train" / f"{image['id']:012d}.png"
        assert str(link.readlink()) == f"{prepared.info['root']}/{image['file_name']}"
        assert link.read_bytes() == (site.root / image["file_name"]).read_bytes()
    # The crowd region is no object to train on.
    label = (prepared.path / "yolo/labels/train/000000000001.txt").read_text()
    assert label == "0 0.200000000 0.312500000 0.200000000 0.375000000\n"
    assert (prepared.path / "yolo/labels/val/000000000002.txt").read_text() == ""


def test_the_first_images_in_the_order_of_the_split(make_site):
    site = make_site()
    many(site)
    prepared = site.prepare(train={"split": "train", "images": 2})
    assert [i["id"] for i in json.loads((prepared.path / "train.json").read_text())["images"]] == [4, 3]


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        ({"train": {"split": "trian"}}, "no split 'trian'"),
        ({"train": {"split": "train", "images": 9}}, "has 4 images, 9 are asked for"),
    ],
)
def test_selections_that_cannot_be(make_site, selection, text):
    site = make_site()
    many(site)
    with pytest.raises(RecipeError, match=text):
        site.prepare(**selection)


def test_reuse(make_site):
    site = make_site()
    many(site)
    first = site.prepare()
    before = {p: p.stat().st_mtime_ns for p in first.path.rglob("*")}
    assert site.prepare() == first
    with_yolo = site.prepare(yolo=True)
    assert with_yolo == first
    assert {p: p.stat().st_mtime_ns for p in before if p.is_file()} == {p: t for p, t in before.items() if p.is_file()}
    assert (first.path / "yolo/data.yaml").is_file()
    assert not [p for p in site.cache.iterdir() if p.name.startswith(".tiny")]


def test_a_folder_from_before_objects_were_counted_stays_in_use(make_site):
    site = make_site()
    many(site)
    first = site.prepare()
    path = first.path / "dataset.json"
    stored = json.loads(path.read_text())
    for split in stored["splits"].values():
        del split["objects"], split["objects_per_image"]
    path.write_text(json.dumps(stored))
    second = site.prepare()
    assert second == first, "the counts are told all the same"
    assert json.loads(path.read_text()) == stored and len(list(site.cache.glob("tiny-*"))) == 1
    path.write_text(json.dumps({"schema": 1}))
    assert site.prepare().path != first.path


def test_a_damaged_folder_is_not_used(make_site):
    site = make_site()
    many(site)
    first = site.prepare()
    (first.path / "val.json").unlink()
    second = site.prepare()
    assert second.path != first.path
    assert (second.path / "val.json").is_file()
    (second.path / "val.json").unlink()
    assert (site.prepare().path / "val.json").is_file()


def _change_label(site):
    value = json.loads((site.root / "train.json").read_text())
    value["annotations"][0]["bbox"][2] += 0.5
    site.write("train.json", json.dumps(value))


def _change_byte(site):
    path = site.root / "val/b.png"
    path.write_bytes(path.read_bytes() + b"\0")


def _change_class(site):
    for name in ("train.json", "val.json"):
        site.write(name, (site.root / name).read_text().replace('"dog"', '"wolf"'))


@pytest.mark.parametrize(
    ("change", "selection"),
    [
        (_change_label, {}),
        (_change_byte, {}),
        (_change_class, {}),
        (lambda site: None, {"train": {"split": "train", "images": 3}}),
        (lambda site: None, {"test": {"split": "val"}}),
    ],
)
def test_the_fingerprint_changes(make_site, change, selection):
    site = make_site()
    many(site)
    before = site.prepare().info["fingerprint"]
    change(site)
    assert site.prepare(**selection).info["fingerprint"] != before


def test_the_fingerprint_stays_where_the_data_moves(make_site):
    site = make_site("here")
    many(site)
    first = site.prepare(yolo=True)
    other = make_site("there")
    shutil.rmtree(other.root)
    shutil.copytree(site.root, other.root)
    other.cache = site.cache
    second = other.prepare(yolo=True)
    assert second.info["fingerprint"] == first.info["fingerprint"]
    # Each has links to its own images.
    assert second.path != first.path
    assert all(link.is_file() for p in (first, second) for link in (p.path / "yolo/images").rglob("*.png"))


def test_the_fingerprint_does_not_depend_on_annotations_elsewhere(make_site):
    site = make_site()
    many(site)
    before = site.prepare(train={"split": "train", "images": 2}).info["fingerprint"]
    _change_label(site)
    assert site.prepare(train={"split": "train", "images": 2}).info["fingerprint"] == before


def test_the_same_picture_in_train_and_val(make_site):
    site = make_site()
    many(site)
    shutil.copy(site.root / "train/1.png", site.root / "val/b.png")
    with pytest.raises(DataError, match=r"the same picture is in train \(train/1\.png\) and in val"):
        site.prepare()


def test_one_split_for_both_roles_is_said_not_refused(make_site):
    site = make_site()
    many(site)
    prepared = site.prepare(val={"split": "train"})
    (problem,) = prepared.info["problems"]
    assert (problem["kind"], problem["action"], problem["count"]) == ("in_two_splits", "keep", 4)


def test_nothing_left(make_site):
    site = make_site()
    site.coco([], on_problem={"missing_image": "leave_out"})
    (site.root / "train/a.png").unlink()
    with pytest.raises(RecipeError, match="No image of tiny is left for train"):
        site.prepare()


def test_a_cut_jpeg_is_copied_not_linked(make_site):
    """Trainers mend such files through the link, in the person's data."""
    site = make_site()
    site.voc("")
    path = site.root / "JPEGImages/a.jpg"
    path.write_bytes(path.read_bytes()[:-2])
    prepared = site.prepare(yolo=True)
    copy = prepared.path / "yolo/images/train/000000000001.jpg"
    assert not copy.is_symlink()
    assert copy.read_bytes() == path.read_bytes()
    assert (prepared.path / "yolo/images/val/000000000002.jpg").is_symlink()


def test_published_counts(make_site):
    site = make_site()
    many(site, published={"images": {"train": 5}, "annotations": {"train": 2}, "without_crowd": {"train": 1}})
    with pytest.raises(DataError, match="images of train: 5 are published, 4 were found"):
        site.prepare()
    many(site, published={"images": {"train": 5}}, on_problem={"published_count": "keep"})
    assert site.prepare().info["problems"][0]["kind"] == "published_count"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written(make_site):
    site = make_site()
    many(site)
    site.cache.mkdir(parents=True)
    site.cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(RunError, match="Permission"):
        site.prepare()


def test_a_file_where_the_cache_should_be(make_site):
    site = make_site()
    many(site)
    site.cache.parent.mkdir(parents=True)
    site.cache.write_text("")
    with pytest.raises(RunError):
        site.prepare()


def _prepare_in_process(home, cache, ready, answers):
    selection = {"name": "scenes", "train": {"images": 12}, "val": {"images": 4}, "options": {"size": 64}}
    configuration = Configuration.load(environ={"HOME": home})
    ready.wait(30)
    prepared = prepare(selection, configuration, cache, yolo=True)
    answers.put((str(prepared.path), prepared.info["fingerprint"]))


def test_two_processes_at_once(tmp_path):
    """Both draw, both prepare, one folder stays, and nothing half made is left."""
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(3), context.Queue()
    cache = tmp_path / "cache"
    processes = [
        context.Process(target=_prepare_in_process, args=(str(tmp_path), cache, ready, answers)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    found = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert len(found) == 1
    folders = sorted(p.name.split("-")[:-1] for p in cache.iterdir() if p.name != ".seen")
    assert folders == [["scenes"], ["scenes", "drawn"]]


def test_generated_data_says_so(tmp_path):
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    selection = {"name": "scenes", "train": {"images": 3}, "val": {"images": 2}, "options": {"size": 64}}
    info = prepare(selection, configuration, tmp_path / "c", yolo=False).info
    assert info["generated"] is True
    assert info["classes"] == ["disc", "box", "triangle", "cross"]
    elsewhere = prepare(selection, configuration, tmp_path / "d", yolo=False).info
    assert elsewhere["fingerprint"] == info["fingerprint"]


def test_progress_reaches_its_end(make_site):
    site = make_site()
    many(site)
    told = []
    open_dataset(
        load_definition(site.definition), site.configuration, cache=site.cache, progress=lambda *a: told.append(a)
    )
    last = {what: (done, total) for what, done, total in told}
    assert last["checking images of train"] == (4, 4)
    assert all(done <= total for _, done, total in told)


FULL_DISK = """
import resource, sys
from pathlib import Path
from detui.engine.configuration import Configuration
from detui.engine.data import prepare

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
selection = {"name": "scenes", "train": {"images": 3}, "val": {"images": 2}, "options": {"size": 64}}
prepare(selection, Configuration.load(environ={"HOME": "/nowhere"}), Path(sys.argv[1]), yolo=True)
"""


def test_a_full_disk_leaves_nothing_half_made(tmp_path):
    """A limit on the size of files makes writing fail as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "RunError" in done.stderr
    assert "Cannot write: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
