"""`detui weights` from outside: files that are there or not, right or wrong, and adding one."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.errors import MissingError, RunError
from detui.engine.weights_check import WeightsCheck, check_weights, named_by
from detui.engine.workspace import Workspace
from detui.tui import language
from detui.tui.weights_table import as_lines

Detui = Callable[..., "subprocess.CompletedProcess[str]"]
CONTENT = b"\x80\x02}q\x00."
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{DIGEST[:8]}.pt"
RECIPE = f"""\
schema: 1
title: {{en: From weights, zh: 从权重开始}}
question: {{en: Does it help?, zh: 有用吗？}}
data: {{name: scenes}}
base: {{model: {{name: yolo11n}}}}
arms:
  random: {{}}
  named: {{model: {{weights: {NAME}, sha256: {DIGEST}}}}}
  again: {{model: {{weights: {NAME}, sha256: {DIGEST}}}}}
varies: [model]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "weights.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def checked(recipe: Path, home: Path, *, environ: dict[str, str] | None = None, **chosen: list[str]) -> WeightsCheck:
    configuration = Configuration.load(workspace=str(home / "logs"), environ={"HOME": str(home), **(environ or {})})
    plan = Workspace(home / "logs", configuration).plan(str(recipe), devices="cpu", **chosen)  # type: ignore[arg-type]
    return check_weights(plan, configuration)


def test_an_absent_file_names_every_place(recipe: Path, tmp_path: Path) -> None:
    found = checked(recipe, tmp_path, environ={"DETUI_WEIGHTS": "/w1:/w2"})
    (file,) = found.files
    assert found.exit_code == MissingError.exit_code and file.arms == ("named", "again")
    assert [str(place) for place in file.tried] == [
        str(Path.cwd() / NAME), f"/w1/{NAME}", f"/w2/{NAME}", str(tmp_path / ".local/share/detui/weights" / NAME),
    ]  # fmt: skip
    assert f"detui weights add FILE --name {NAME}" in str(file.problem)


def test_a_file_is_held_against_recipe_and_name(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    where = {"DETUI_WEIGHTS": str(tmp_path)}
    found = checked(recipe, tmp_path, environ=where)
    assert (found.exit_code, found.files[0].known_by, found.files[0].sha256) == (0, "recipe", DIGEST)
    assert not found.compares and found.models == ()
    by_name = checked(recipe, tmp_path, environ=where, overrides=["named.model.sha256=null"], arms=["named"])
    assert by_name.files[0].known_by == "name"
    (tmp_path / NAME).write_bytes(CONTENT + b"more")
    wrong = checked(recipe, tmp_path, environ=where)
    assert wrong.exit_code == RunError.exit_code and "not the one" in str(wrong.files[0].problem)


def test_a_launch_holds_a_file_against_its_name(recipe: Path, tmp_path: Path) -> None:
    """Where the recipe gives no SHA-256, too."""
    path = tmp_path / "net-00000000.pth"
    path.write_bytes(CONTENT)
    chosen = ["random.model.name=rtdetr-mnv4-conv-s", f"random.model.backbone={{weights: {path}}}"]
    workspace = Workspace.open(str(tmp_path / "logs"))
    plan = workspace.plan(str(recipe), arms=["random"], overrides=chosen, devices="cpu")
    assert plan.errors == []
    with pytest.raises(RunError, match=r"net-00000000\.pth says"):
        workspace.start(plan)


@pytest.mark.parametrize(("spoken", "words"), [("en", "absent; looked for at"), ("zh", "不存在；已查找")])
def test_both_languages(recipe: Path, tmp_path: Path, spoken: str, words: str) -> None:
    configuration = Configuration.load(workspace=str(tmp_path / "logs"), environ={"HOME": str(tmp_path)})
    plan = Workspace(tmp_path / "logs", configuration).plan(str(recipe), devices="cpu")
    language.use(spoken)
    text = "\n".join(as_lines(plan, check_weights(plan, configuration)))
    assert words in text and "named, again" in text


def test_the_commands(detui: Detui, recipe: Path, tmp_path: Path) -> None:
    """Add a file, check the recipe that names it; break the file, and check again."""
    file = tmp_path / "fetched.pt"
    file.write_bytes(CONTENT)
    added = detui("weights", "add", str(file), "--name", NAME, "--sha256", DIGEST[:8])
    assert added.returncode == 0, added.stderr
    path, *rest = added.stdout.splitlines()
    assert rest == [f"sha256: {DIGEST}", f"weights: {NAME}"] and Path(path).read_bytes() == CONTENT
    good = detui("weights", "check", str(recipe), "--json")
    told = json.loads(good.stdout)
    assert (good.returncode, told["exit_code"], told["files"][0]["path"]) == (0, 0, path)
    Path(path).write_bytes(CONTENT[:-1])
    bad = detui("weights", "check", str(recipe))
    assert bad.returncode == 1 and "wrong: The file is not the one that the recipe names." in bad.stdout
    assert detui("weights", "add", str(file), "--sha256", "what").returncode == 2


def test_recipes_that_know_a_file() -> None:
    known = named_by("mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth")
    assert "finetune/coco-to-voc" in known and named_by("nobody.pth") == []
