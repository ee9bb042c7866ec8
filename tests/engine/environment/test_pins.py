"""Pin files: what they may say, and that those which ship are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.environment.pin_file import SHIPPED, find_pins, known_names, read_pins
from detui.engine.errors import RecipeError

from .conftest import Site

WHOLE = """\
schema: 1
title: Tiny
python: {at_least: "3.10", below: "3.13"}
steps:
  - packages: [Some_Thing==1.0]
  - packages: [other==2.1+cpu]
    build_isolation: false
    environ: {WITH_OPS: "1"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_ships_is_complete(path: Path) -> None:
    pins = read_pins(path)
    assert pins.file.check.imports and pins.file.mebibytes
    assert "://" not in path.read_text(), "where packages come from is for uv or pip to know"


def test_the_evaluation_of_nuscenes_keeps_numpy_below_2(site: Site) -> None:
    pins = find_pins("nuscenes", site.configuration)
    assert pins is not None and pins.packages["numpy"].startswith("1.")


def test_mmdetection_has_the_torch_of_detui(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text().splitlines()
    asked = dict(line.split("==") for line in lines if "==" in line)
    for name in ("mmdet", "mmdet-upstream"):
        pins = read_pins(SHIPPED / f"{name}.yaml")
        packages = pins.packages
        assert {one: packages[one] for one in asked} == asked
        assert pins.file.steps[0].dependencies, "a CUDA build of torch has some"


def test_mmdetection_for_gpus_compiles_beside_the_torch_that_it_runs_with() -> None:
    cuda, plain = (read_pins(SHIPPED / f"{name}.yaml") for name in ("mmdet-cuda", "mmdet"))
    assert [version in cuda.file.python for version in ("3.11.7", "3.12.1", "3.13.0")] == [False, True, False]
    first, *_, last = cuda.file.steps
    assert (cuda.packages["torch"], cuda.packages["torchvision"]) == ("2.10.0", "0.25.0") and first.dependencies
    assert last.packages == ["onedl-mmcv==2.3.6"] and not last.build_isolation and last.environ["FORCE_CUDA"] == "1"
    assert "mmcv.ops" in cuda.file.check.imports
    torches = {"torch", "torchvision"}
    shared = {*cuda.packages} & {*plain.packages} - torches
    assert {one: cuda.packages[one] for one in shared} == {one: plain.packages[one] for one in shared}
    assert {*plain.packages} - {*cuda.packages} == {"tomli"}, "which is for Python 3.10"


def test_names_are_those_of_packages(tmp_path: Path) -> None:
    pins = read_pins(written(tmp_path, WHOLE))
    assert pins.packages == {"some-thing": "1.0", "other": "2.1+cpu"}
    assert [version in pins.file.python for version in ("3.9.1", "3.10.0", "3.12.9", "3.13.0")] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("Some_Thing==1.0", "Some_Thing>=1.0", ":5:", "exact version"),
        ("Some_Thing==1.0", "numpy", ":5:", "numpy==1.26.4"),
        ("Some_Thing==1.0", "-e git+x==1", ":5:", "exact version"),
        ("other==2.1+cpu", "some-thing==2", "", "some-thing"),
        ('"3.10"', "3.10", ":3:", "python.at_least"),
        ("title: Tiny", "titel: Tiny", ":2:", "titel"),
        ("build_isolation: false", "build_isolation: 0", ":7:", "build_isolation"),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, old: str, new: str, place: str, said: str) -> None:
    path = written(tmp_path, WHOLE.replace(old, new))
    with pytest.raises(RecipeError, match=said) as caught:
        read_pins(path)
    assert str(caught.value.where).startswith(f"{path}{place}")


def test_the_hash_is_of_what_is_installed(tmp_path: Path) -> None:
    def of(text: str) -> str:
        return read_pins(written(tmp_path, text)).hash

    first = of(WHOLE)
    assert first == of(WHOLE.replace("Tiny", "Small") + "check: {imports: [other]}\nenviron: {A: b}\n")
    others = [("1.0]", "1.1]"), ("false", "true"), ('"1"', '"0"'), ("3.13", "3.12")]
    assert len({first, *(of(WHOLE.replace(old, new)) for old, new in others)}) == 5


def test_own_pins_come_first_and_detui_has_none(site: Site) -> None:
    site.pins("nuscenes")
    site.pins("detui")
    site.pins("Capital")
    found = find_pins("nuscenes", site.configuration)
    assert found is not None and found.packages == {"tiny": "1.0"}
    assert find_pins("detui", site.configuration) is None and find_pins("../config", site.configuration) is None
    names = list(known_names(site.configuration))
    assert "nuscenes" in names and not {"detui", "Capital"} & {*names}
