"""`detui import`: names, what it prints, and that lists say where a run came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from left_files import LOG, SECOND, written

from detui.tui.main import application


def detui(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(application, ["--workspace", str(folder / "logs"), *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
def test_lists_say_that_a_run_was_imported(tmp_path: Path) -> None:
    a, b = (written(tmp_path / f"{name}, with comma.log", LOG + SECOND) for name in "ab")
    named = ("--arm", f"clamp2.5={b}", "--set", "clamp2.5:model.clamp=2.5", "--tag", "old")
    found = json.loads(detui(tmp_path, "import", str(a), *named, "--json"))
    assert [run["run"].rsplit("/", 1)[1] for run in found["runs"]] == ["a-with-comma-s7", "clamp2.5-s7"]
    assert Path(found["record"]).is_file()
    listed = detui(tmp_path, "ls")
    assert "(imported)" in listed and "#old" in listed and "imported: mmcv 1.x log" in listed
    compared = json.loads(detui(tmp_path, "compare", "last", "--replicates", "0", "--json"))
    assert [row["metric"] for row in compared["metrics"]] == ["mmdet/bbox_mAP"]
    assert "mmdet/bbox_mAP 37.5" in detui(tmp_path, "tail", "last/clamp2.5-s7")
    facts = json.loads((Path(found["path"]) / "experiment.json").read_text())
    assert facts["differs"] == {"model.clamp": {"a-with-comma": None, "clamp2.5": 2.5}}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "Nothing to import"),
        (("--arm", "A=x.log"), "is not NAME=PATH"),
        (("--arm", "a=x.log", "--set", "clamp=1"), "is not ARM.FIELD=VALUE"),
        (("--arm", "a=x.log", "--set", "a.b=1", "--set", "a.b.c=2"), "b was given a value before"),
        (("x.log", "--recipe", "one"), "is not family/name"),
    ],
)
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    done = CliRunner().invoke(application, ["--workspace", str(tmp_path), "import", *words])
    assert done.exit_code == 2 and text in done.output
