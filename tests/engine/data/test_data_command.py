"""`detui data`: its exit codes, its streams, and no traceback for anything that is wrong with data."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def detui(site, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from detui.tui.main import main; main()"
    environ = {**site.environ, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-c", code, "data", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_sound_set(site):
    site.yolo("1 0.5 0.5 0.2 0.25\n")
    done = detui(site, "check", str(site.definition))
    assert (done.returncode, done.stderr) == (0, "")
    assert "train: 1 images, 1 boxes (cat 0, dog 1)" in done.stdout
    facts = json.loads(detui(site, "check", str(site.definition), "--json").stdout)
    assert facts["ok"] is True
    assert facts["fingerprint"] in done.stdout


def test_ignore_regions_are_counted(make_site):
    site = make_site()
    for split, text in (("train", "1,1,9,9,1,4,0,0\n20,20,9,9,0,4,0,0\n0,0,9,9,0,0,0,0\n"), ("val", "")):
        site.image(f"{split}/images/a.jpg")
        site.write(f"{split}/annotations/a.txt", text)
    splits = {name: {"folder": name} for name in ("train", "val")}
    site.define(format="visdrone", splits=splits, published={"without_crowd": {"train": 1}})
    done = detui(site, "check", str(site.definition))
    assert (done.returncode, done.stderr) == (0, "")
    assert "train: 1 images, 2 boxes (pedestrian 0, people 0, bicycle 0, car 2," in done.stdout
    assert "1 of them not judged (score 0), 1 ignore regions" in done.stdout
    assert "annotations without crowd of train: 1 ok" in done.stdout
    facts = json.loads(detui(site, "check", str(site.definition), "--json").stdout)["splits"]
    assert [(facts[name]["not_judged"], facts[name]["ignore_regions"]) for name in splits] == [(1, 1), (0, 0)]


def test_a_faulty_set(site):
    site.yolo("1 0.5 0.5 0.2 0.25\n7 0.5 0.5 0.1 0.1\n", published={"images": {"train": 2}})
    done = detui(site, "check", str(site.definition))
    assert done.returncode == 1
    assert "unknown_class: 1, ERROR" in done.stdout
    assert "labels/train/a.txt:2: the class 7 is out of range" in done.stdout
    assert "images of train: 1 DIFFERS: 2 published" in done.stdout
    assert "Traceback" not in done.stderr
    asked = detui(site, "check", str(site.definition), "--json")
    assert asked.returncode == 1
    assert json.loads(asked.stdout)["ok"] is False


@pytest.mark.parametrize(
    ("damage", "code", "text"),
    [
        (lambda s: s.write("tiny.yaml", "name: [\n"), 2, "tiny.yaml:2:1"),
        (lambda s: s.write("tiny.yaml", "schema: 1\nformat: coco\nnme: x\n"), 2, "tiny.yaml:"),
        (lambda s: s.definition.unlink(), 3, "tiny.yaml"),
        (lambda s: s.write("train.json", "{"), 1, "train.json:1:2"),
        (lambda s: [(s.root / f"{n}.json").unlink() for n in ("train", "val")], 3, "tried "),
    ],
)
def test_errors_are_messages(site, damage, code, text):
    site.coco([])
    damage(site)
    done = detui(site, "check", str(site.definition))
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_density_sizes_and_classes(make_site):
    site = make_site()
    site.yolo("1 0.5 0.5 0.9 0.9\n1 0.5 0.5 0.2 0.25\n0 0.3 0.5 0.2 0.25\n")
    done = detui(site, "check", str(site.definition))
    assert "objects an image: mean 3.00, median 3, 90 % have at most 3, max 3\n      3-4  1  ####" in done.stdout
    assert "sizes in original pixels: small 2 (67 %), medium 1 (33 %), large 0 (0 %)" in done.stdout
    lines = done.stdout.splitlines()
    start = lines.index("  objects by class  train  val")
    assert [line.split()[:3] for line in lines[start + 1 : start + 3]] == [["cat", "1", "0"], ["dog", "2", "0"]]
    facts = json.loads(detui(site, "check", str(site.definition), "--json").stdout)["splits"]
    assert facts["train"]["objects_per_image"]["histogram"] == {"0": 0, "1": 0, "2": 0, "3-4": 1}
    assert facts["val"]["objects_per_image"]["mean"] == 0
    assert facts["train"]["sizes"] == {"small": 2, "medium": 1, "large": 0}
    assert facts["train"]["objects_by_class"] == {"cat": 1, "dog": 2}
    assert facts["train"]["selection"] is None


def test_a_selection_is_shown_with_its_hash(make_site):
    site = make_site()
    boxes = [{"id": n, "image_id": 1, "category_id": 17 + n % 2, "bbox": [n, n, 9, 9]} for n in range(1, 4)]
    site.coco(boxes, classes=["dog"], select={"objects": {"min": 2}, "person": "leave_out"})
    done = detui(site, "check", str(site.definition))
    assert (done.returncode, done.stderr) == (0, "")
    assert "selected: 1 of 1 images, 2 boxes (0 crowd); objects an image at least 2, no image with a" in done.stdout
    assert "left out: no image; 1 annotations of other classes dropped" in done.stdout
    assert "left out: 1 with too few objects; 0 annotations of other classes dropped" in done.stdout
    facts = json.loads(detui(site, "check", str(site.definition), "--json").stdout)["splits"]
    assert f"selection: {facts['train']['selection']['sha256']}" in done.stdout


def test_mixed_up_numbers_are_an_error(make_site):
    site = make_site()
    site.coco([{"id": 1, "image_id": 1, "category_id": 17, "bbox": [1, 1, 9, 9]}],
              classes=["cat", "dog"], select={"ids": {"cat": 15}})  # fmt: skip
    done = detui(site, "check", str(site.definition))
    assert done.returncode == 1
    assert "id_space: 2, ERROR (class ids and class names that do not belong together)" in done.stdout
    assert "train.json:categories[1]: the definition says that cat is category 15" in done.stdout
    assert "(15 is cat in the 80 classes counted from 0)" in done.stdout


def test_a_sheet(site):
    site.yolo("1 0.5 0.5 0.2 0.25\n")
    picture = site.home / "my sheet.png"
    done = detui(site, "sheet", str(site.definition), "--split", "train", "-o", str(picture))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{picture}\n", "no object of cat\n")
    before = picture.read_bytes()
    again = detui(site, "sheet", str(site.definition), "-o", str(picture))
    assert again.returncode == 2 and "--force replaces it" in again.stderr
    assert picture.read_bytes() == before
    forced = detui(site, "sheet", str(site.definition), "-o", str(picture), "--force")
    assert forced.returncode == 0 and picture.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("-o", "sheet.jpg"), 2, "The sheet is a PNG"),
        (("-o", "nowhere/sheet.png"), 2, "There is no such folder"),
        (("-o", "sheet.png", "--split", "test"), 2, "has no split 'test'"),
        ((), 2, "Missing option"),
    ],
)
def test_sheets_that_cannot_be(make_site, arguments, code, text):
    site = make_site()
    site.yolo("")
    places = [str(site.home / a) if a.endswith((".png", ".jpg")) else a for a in arguments]
    done = detui(site, "sheet", str(site.definition), *places)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr and "Traceback" not in done.stderr


def test_a_sheet_of_data_with_problems_is_drawn_and_says_so(make_site):
    site = make_site()
    site.yolo("1 0.5 0.5 0.2 0.25\n7 0.5 0.5 0.1 0.1\n")
    done = detui(site, "sheet", str(site.definition), "--split", "train", "-o", str(site.home / "a.png"))
    assert done.returncode == 0
    assert f"the data has 1 problem: `detui data check {site.definition}` lists them" in done.stderr


def test_a_name_that_nobody_knows(site):
    done = detui(site, "check", "blood")
    assert done.returncode == 3
    assert "There is no data set 'blood'" in done.stderr
    assert "bccd" in done.stderr


def test_ls(site):
    rows = json.loads(detui(site, "ls", "--json").stdout)
    generated = {row["name"]: row["generated"] for row in rows}
    shipped = {"bccd", "coco-indoor", "coco2017", "fusion-scenes", "homeobjects", "nuscenes", "nuscenes_frame",
               "scenes", "visdrone", "voc2012"}  # fmt: skip
    assert set(generated) == shipped
    assert {name for name, made in generated.items() if made} == {"fusion-scenes", "scenes"}
    assert "not on this host" in detui(site, "ls").stdout


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, detui.engine.data, detui.tui.commands.data; print([m for m in sys.modules if m in H])"
    code = f"H = {{'numpy', 'pydantic', 'PIL', 'ruamel.yaml'}}; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_frames_of_cameras_and_lidar(make_site, monkeypatch):
    """In this process: a start of the interpreter takes longer than all of it."""
    from click.testing import CliRunner

    from detui.engine.errors import MissingError, RecipeError
    from detui.tui.commands.data import command

    def ask(*arguments: str):
        return CliRunner().invoke(command, arguments)

    site = make_site()
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    options = {"size": [32, 32], "rings": 8, "columns": 64, "objects": [3, 6], "classes": ["car", "bus"]}
    site.define(format="fusion-scenes", options=options, splits={"train": {"frames": 2}, "val": {"frames": 1}})
    done = ask("check", str(site.definition))
    assert done.exit_code == 0, done.output
    assert "  train: 2 frames of 6 cameras, " in done.stdout
    assert "  objects by class  train  val" in done.stdout
    assert done.stdout.endswith("  usable\n")
    asked = ask("check", str(site.definition), "--json", "--decode")
    facts = json.loads(asked.stdout)
    assert (asked.exit_code, facts["ok"], facts["format"], facts["problems"]) == (0, True, "frames", [])
    assert facts["fingerprint"] in done.stdout
    assert facts["splits"]["train"]["boxes"] == sum(facts["splits"]["train"]["objects_by_class"].values()) > 0
    sheet = ask("sheet", str(site.definition), "-o", str(site.root / "sheet.png"))
    assert isinstance(sheet.exception, RecipeError)
    assert "holds frames of cameras and LiDAR" in sheet.exception.message
    drawn = next((site.cache).glob("tiny-drawn-*/frames/train/000000/CAM_BACK.png"))
    drawn.unlink()
    faulty = ask("check", str(site.definition))
    assert faulty.exit_code == 1
    assert "missing_image: 1, ERROR (image that is not there)" in faulty.stdout
    assert "NOT usable" in faulty.stdout
    assert isinstance(ask("check", "nuscenes").exception, MissingError)
