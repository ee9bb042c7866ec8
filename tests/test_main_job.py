"""The main job, end to end, as a user does it: a recipe becomes runs, the runs become a record."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DETUI = str(Path(sys.executable).with_name("detui"))

# Not importorskip: importing ultralytics patches Pillow, for every other test too.
if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)


def detui(*arguments: str, seconds: float = 280, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DETUI, *arguments], capture_output=True, text=True, timeout=seconds, env={**os.environ, **environ}
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one finished smoke experiment, started on the command line."""
    folder = tmp_path_factory.mktemp("workspace")
    done = detui(
        "--workspace", str(folder), "run", "starter/mosaic", "--profile", "smoke", "--devices", "cpu",
        "--seeds", "0,1", "--name", "exp_mosaic_v1", "--tag", "test", "--note", "a note", "--yes",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


def test_it_ends_with_the_record_and_the_paths(workspace: Path) -> None:
    """The record is data, on standard output; the paths are narration, and they exist."""
    record = (workspace / "stdout").read_text()
    assert record.startswith("# ") or "# Mosaic augmentation" in record
    paths = re.findall(r"^(?:experiment|record|figure)s?\s+(.+)$", (workspace / "stderr").read_text(), re.M)
    assert len(paths) >= 4
    assert all(Path(path).exists() for path in paths)


def test_the_record_says_what_was_run(workspace: Path) -> None:
    record = (workspace / "stdout").read_text()
    begin = json.loads(next(workspace.glob("*/runs/baseline-s0/attempts/1/metrics.jsonl")).read_text().splitlines()[0])
    assert begin["packages"]["torch"] in record
    assert begin["packages"]["ultralytics"] in record
    assert "--seeds 0,1" in record and "exp_mosaic_v1" in record
    assert "smoke run: not a result" in record
    for arm in ("baseline", "no-mosaic"):
        for seed in (0, 1):
            assert re.search(rf"\| `{arm}` \| {seed} \| \d+\.\d", record), f"{arm} {seed} has no measured AP"
    assert "inconclusive" in record
    assert "was changed by hand" not in record


def test_numbers_in_the_record_are_those_on_disk(workspace: Path) -> None:
    record = (workspace / "stdout").read_text()
    for path in workspace.glob("*/runs/*/attempts/1/evaluations.jsonl"):
        values = json.loads(path.read_text().splitlines()[-1])["values"]
        arm, seed = path.parts[-4].rsplit("-s", 1)
        row = next(line for line in record.splitlines() if line.startswith(f"| `{arm}` | {seed} |"))
        assert row.split("|")[3].strip() == f"{100 * values['val/AP']:.1f}"


def test_the_frozen_plan_can_be_run_again(workspace: Path) -> None:
    """experiment.json holds the recipe's text, and the command that was given."""
    facts = json.loads(next(workspace.glob("*/experiment.json")).read_text())
    assert facts["command"].startswith("detui run starter/mosaic --profile smoke --seeds 0,1")
    assert facts["recipe_text"].startswith("# Does mosaic")
    assert facts["code"]["version"] and len(facts["data"]["fingerprint"]) == 64
    assert (facts["name"], facts["tags"], facts["note"]) == ("exp_mosaic_v1", ["test"], "a note")


def test_the_other_commands_see_it(workspace: Path) -> None:
    listed = detui("--workspace", str(workspace), "ls", "--json")
    assert "exp_mosaic_v1" in listed.stdout
    assert detui("--workspace", str(workspace), "record", "show", "exp_mosaic_v1").stdout
    assert "record.zh.md" in detui("--workspace", str(workspace), "record", "path", "last", "--lang", "zh").stdout


def test_nothing_keeps_running(workspace: Path) -> None:
    """No process of these runs is left, and the data is prepared once for all of them."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert f"DETUI_RUN={workspace}".encode() not in environ.read_bytes()
        except OSError:
            continue
    assert len(list((workspace / ".data").glob("scenes-*/dataset.json"))) == 1


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_real_photographs(shared_data: Path, repository: Path, tmp_path: Path) -> None:
    """BCCD, YOLO11n from scratch: AP50 of at least 0.40, and both zero-size boxes named. Keeps the record."""
    done = detui(
        "--workspace", str(tmp_path), "run", "starter/blood-cells", "--devices", "cpu", "--yes",
        seconds=1400, DETUI_DATA=str(shared_data),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    experiment = next(tmp_path.glob("starter.blood-cells-*"))
    lines = next(experiment.glob("runs/*/attempts/1/evaluations.jsonl")).read_text().splitlines()
    best = max(json.loads(line)["values"]["val/AP"] for line in lines)
    values = next(v for line in lines if (v := json.loads(line)["values"])["val/AP"] == best)
    artefacts = repository / "artefacts"
    artefacts.mkdir(exist_ok=True)
    shutil.copytree(experiment / "figures", artefacts / "figures", dirs_exist_ok=True)
    shutil.copyfile(experiment / "record.md", artefacts / "record.md")
    assert values["val/AP50"] >= 0.40, values
    facts = json.loads((experiment / "experiment.json").read_text())
    assert facts["data"]["splits"]["train"]["images"] == 120
    assert "met" in (experiment / "record.md").read_text()


def test_the_two_zero_size_boxes_are_named(shared_data: Path) -> None:
    done = detui("data", "check", "bccd", DETUI_DATA=str(shared_data))
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    assert "BloodImage_00338.xml" in text and "BloodImage_00343.xml" in text
