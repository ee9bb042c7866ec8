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


def test_a_name_that_nobody_knows(site):
    done = detui(site, "check", "blood")
    assert done.returncode == 3
    assert "There is no data set 'blood'" in done.stderr
    assert "bccd" in done.stderr


def test_ls(site):
    rows = json.loads(detui(site, "ls", "--json").stdout)
    known = {"bccd": False, "coco2017": False, "scenes": True, "visdrone": False}
    assert {row["name"]: row["generated"] for row in rows} == known
    assert "not on this host" in detui(site, "ls").stdout


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, detui.engine.data, detui.tui.commands.data; print([m for m in sys.modules if m in H])"
    code = f"H = {{'numpy', 'pydantic', 'PIL', 'ruamel.yaml'}}; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
