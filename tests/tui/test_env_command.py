"""`detui env` from outside, `doctor`, and what the application says of an environment that is missing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pilots import LARGE, play, shows
from textual.pilot import Pilot

from detui.tui.app import DetuiApp
from detui.tui.settings import Settings

Detui = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = ["jittor", "jittor-1.3.9.14", "jittor-cuda", "mmdet", "mmdet-cuda", "mmdet-upstream", "nuscenes"]

RECIPE = """\
schema: 1
title: {en: Evaluated elsewhere, zh: 在别处评估}
question: {en: Does it run?, zh: 能运行吗？}
backend: command
environment: nuscenes
base: {command: ["{python}", "-V"], epochs: 1}
arms: {baseline: {}}
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One recipe, in place of those that ship, and a place without environments."""
    folder = tmp_path / "shelf" / "far"
    folder.mkdir(parents=True)
    (folder / "there.yaml").write_text(RECIPE)
    monkeypatch.setattr("detui.engine.recipe.library.shipped", lambda: folder.parent)
    monkeypatch.setenv("DETUI_ENVIRONMENTS", str(tmp_path / "environments"))
    return folder


@pytest.mark.parametrize(
    ("spoken", "texts"),
    [("en", ("missing: environment nuscenes (detui env create nuscenes)", "is not made yet. try: detui env create")),
     ("zh", ("缺少：环境 nuscenes", "环境 nuscenes 尚未建立。"))],
)  # fmt: skip
def test_the_application_says_how_it_is_made(workspace: Path, shelf: Path, spoken: str, texts: tuple[str, str]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await shows(app, pilot, texts[0])
        await pilot.press("G", "enter")
        await shows(app, pilot, "nuscenes (detui env create nuscenes)")
        await pilot.press("s")
        await shows(app, pilot, texts[1])

    play(workspace, script, LARGE, settings=Settings(language=spoken))


def test_the_list_names_what_could_be_made(detui: Detui) -> None:
    found = {one["name"]: one for one in json.loads(detui("env", "list", "--json").stdout)}
    assert [*found] == NAMES
    listed = found["nuscenes"]
    assert (listed["name"], listed["state"], listed["usable"]) == ("nuscenes", "absent", False)
    assert listed["packages"]["nuscenes-devkit"] == "1.2.0"
    assert "aqr/mode" in listed["needed_by"], "its evaluator has an environment of its own"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("check", "nuscenes"), 3, "detui env create nuscenes"),
        (("check", "strange"), 3, "environments: {strange:"),
        (("create", "strange"), 2, f"one of {', '.join(NAMES)}"),
        (("remove", "../../x", "--yes"), 2, "nothing of an environment"),
    ],
)
def test_what_is_not_there_is_said(detui: Detui, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str):
    done = detui("env", *arguments)
    assert done.returncode == code and said in done.stderr and done.stdout == ""
    assert not (tmp_path / ".local").exists(), "looking makes no folder"
