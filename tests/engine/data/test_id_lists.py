"""Images chosen by a committed list of ids: what is taken, and what is said of a list that is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data.id_lists import read_ids
from detui.engine.errors import DataError, DetuiError, MissingError, RecipeError
from detui.engine.placement import Placement
from detui.engine.planning import make_plan
from detui.engine.recipe.library import shipped
from detui.engine.recipe.load import load_recipe
from detui.engine.recipe.resolve import resolve

BOXES = [
    {"id": 1, "image_id": 1, "category_id": 17, "bbox": [10, 10, 20, 30]},
    {"id": 2, "image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 50], "iscrowd": 1},
]
CPU = Placement(kind="cpu", asked="cpu", candidates=("cpu:0",), names=("CPU",), threads=1)
LISTS = sorted((shipped() / "lists").glob("*.json"))


def many(site) -> None:
    """Train has four images, the last first; val one."""
    images = [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 80} for n in (4, 3, 2, 1)]
    for image in images:
        site.image(f"train/{image['file_name']}", colour=image["id"])
    site.coco(BOXES, images=images)


def listed(path: Path, text: str) -> dict[str, str]:
    """A list in a file, as a recipe names it."""
    path.write_text(text)
    return {"file": str(path), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def test_the_listed_images_are_taken_in_the_order_of_the_list(site, tmp_path):
    many(site)
    (site.root / "train/2.png").unlink()  # an image that nobody listed is not opened
    ids = listed(tmp_path / "two.json", '{"ids": [1, 3]}')
    prepared = site.prepare(train={"split": "train", "ids": ids})
    truth = json.loads((prepared.path / "train.json").read_text())
    assert [image["id"] for image in truth["images"]] == [1, 3]
    said = prepared.info["splits"]["train"]
    assert (said["images"], said["boxes"]) == (2, 2)
    assert said["list"] == {"file": "two.json", "sha256": ids["sha256"], "images": 2}
    other = site.prepare(train={"split": "train", "ids": listed(tmp_path / "one.json", '{"ids": [3]}')})
    assert other.info["fingerprint"] != prepared.info["fingerprint"]


def test_one_role_lists_what_another_takes_the_first_of(site, tmp_path):
    many(site)
    ids = listed(tmp_path / "one.json", '{"ids": [1]}')
    info = site.prepare(train={"split": "train", "images": 2}, val={"split": "train", "ids": ids}).info
    assert (info["splits"]["train"]["images"], info["splits"]["val"]["images"]) == (2, 1)


def test_ids_that_the_split_lacks_are_named_and_counted(site, tmp_path):
    many(site)
    ids = listed(tmp_path / "far.json", json.dumps({"ids": [1, *range(100, 107)]}))
    with pytest.raises(
        DataError, match=r"lacks 7 of the 8 images that far\.json lists.*100, 101, 102, 103, 104 …"
    ) as e:
        site.prepare(train={"split": "train", "ids": ids})
    assert e.value.where == "data.train.ids"


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ('{"ids": [1, 2, 1]}', "The id 1 stands there already, as ids[0]", "list.json: ids[2]"),
        ('{"ids": [1, "2"]}', 'this is "2"', "list.json: ids[1]"),
        ('{"ids": [1, true]}', "this is true", "list.json: ids[1]"),
        ('{"ids": []}', "at least one", "list.json: ids"),
        ("[1]", "a mapping with `ids`", "list.json: ids"),
        ('{"ids":\n[1,,]}', "not valid JSON", "list.json:2"),
    ],
)
def test_a_wrong_list_is_refused_with_its_place(tmp_path, text, said, place):
    ids = listed(tmp_path / "list.json", text)
    with pytest.raises(DataError) as error:
        read_ids(Path(ids["file"]), ids["sha256"], where="data.train.ids")
    assert said in error.value.message and str(error.value.where).endswith(place)


def test_a_list_that_is_absent_or_was_changed_is_refused(tmp_path):
    ids = listed(tmp_path / "list.json", '{"ids": [1]}')
    with pytest.raises(MissingError) as absent:
        read_ids(tmp_path / "none.json", ids["sha256"], where="data.train.ids")
    assert absent.value.where == "data.train.ids.file"
    (tmp_path / "list.json").write_text('{"ids": [2]}')
    with pytest.raises(RecipeError, match="not the one that the recipe means") as changed:
        read_ids(tmp_path / "list.json", ids["sha256"], where="data.train.ids")
    assert changed.value.where == "data.train.ids.sha256"


def test_other_formats_have_no_ids(site, tmp_path):
    ids = listed(tmp_path / "list.json", '{"ids": [1]}')
    with pytest.raises(RecipeError, match="no ids of their own"):
        site.prepare(name="scenes", train={"split": "train", "ids": ids})


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_a_list_that_ships_is_what_its_rule_chooses_and_holds_the_smaller_ones(path):
    found = json.loads(path.read_text())
    count = int(path.stem.rsplit("-", 1)[1])
    assert len(set(found["ids"])) == len(found["ids"]) == count and found["ids"] == sorted(found["ids"])

    def rank(one: int) -> str:
        return hashlib.sha256(f"detui-parity-{found['split']}2017-{one}".encode()).hexdigest()

    for other in LISTS:
        fewer = json.loads(other.read_text())
        if fewer["split"] == found["split"] and len(fewer["ids"]) <= count:
            assert sorted(sorted(found["ids"], key=rank)[: len(fewer["ids"])]) == fewer["ids"]


@pytest.mark.parametrize("name", ["parity/training", "parity/tuned"])
@pytest.mark.parametrize(("profile", "count"), [("full", 50), ("larger", 500), ("largest", 1000)])
def test_the_recipes_name_lists_whose_hash_is_right(name, profile, count, tmp_path):
    configuration = Configuration.load(environ={"HOME": str(tmp_path), "DETUI_DATA": str(tmp_path)})
    plan = make_plan(resolve(load_recipe(name), profile=profile), CPU, configuration)
    assert not [one for one in plan.problems if ".ids" in str(one.where)]
    parts = plan.resolved.data_sets[None].parts()
    assert [len(read_ids(Path(p.ids.file), p.ids.sha256, where="").ids) for p in parts.values()] == [count, count]


def test_another_data_set_or_all_of_it_takes_no_list():
    found = resolve(load_recipe("parity/training"), data=["coco2017"])
    assert all(part.ids is None and part.images is None for part in found.data_sets[None].parts().values())
    with pytest.raises(RecipeError, match="two ways to choose"):
        resolve(load_recipe("parity/training"), overrides=["data.train.images=10"])


def test_the_photographs_are_listed_by_the_ids_of_coco(site, tmp_path, shared_data):
    home = shared_data / "coco_free"
    if not home.is_dir():
        pytest.skip("the 137 COCO photographs of shared/data are not here")
    content = json.loads((home / "annotations/instances_free.json").read_text())
    numbers = [image["id"] for image in content["images"]]
    assert len(numbers) == 137
    for folder in ("images", "annotations"):
        (site.root / folder).symlink_to(home / folder)
    split = {"annotations": "annotations/instances_free.json", "images": "images"}
    site.define(format="coco", splits={"train": split, "val": split},
                on_problem={"in_two_splits": "keep", "beyond_border": "keep", "duplicate_box": "keep"})  # fmt: skip
    ours = listed(tmp_path / "ours.json", json.dumps({"ids": numbers[60:50:-1]}))
    theirs = listed(tmp_path / "theirs.json", json.dumps({"ids": numbers[5:8]}))
    prepared = site.prepare(train={"split": "train", "ids": ours}, val={"split": "val", "ids": theirs})
    truth = json.loads((prepared.path / "train.json").read_text())
    assert [image["id"] for image in truth["images"]] == numbers[60:50:-1]
    assert len(truth["categories"]) == 80
    with pytest.raises(DetuiError, match="lacks 1 of the 1"):
        site.prepare(train={"split": "train", "ids": listed(tmp_path / "none.json", '{"ids": [1]}')})
