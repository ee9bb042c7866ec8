"""The guide's script and recipe do what it says, exactly as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean, stdev

import pytest

from detui.engine.backends.command.formats import KNOWN, OWN
from detui.engine.backends.command.placeholders import PLACEHOLDERS
from detui.engine.backends.command.plan import CommandConfig, Repository
from detui.engine.backends.command.watch import Watch
from detui.engine.process.control import wait
from detui.engine.recipe.load import read_recipe
from detui.engine.recipe.resolve import resolve
from detui.engine.record.fill import fill
from detui.engine.run.history import load_history
from detui.engine.workspace import Workspace


def guide(repository: Path) -> str:
    return (repository / "docs" / "run-your-own.md").read_text(encoding="utf-8")


def block(text: str, language: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    return found[0]


def written(repository: Path, folder: Path) -> Path:
    """The guide's recipe, with its script where the test may write."""
    script = folder / "train.py"
    script.write_text(block(guide(repository), "python"))
    recipe = folder / "mine.yaml"
    recipe.write_text(block(guide(repository), "yaml").replace("/home/me/train.py", str(script)))
    return recipe


def test_the_script_has_twenty_lines_and_the_recipe_resolves(repository: Path, tmp_path: Path) -> None:
    assert len(block(guide(repository), "python").splitlines()) == 20
    arms = resolve(read_recipe("own/mine", written(repository, tmp_path))).arms
    assert [arm.name for arm in arms] == ["slow", "fast"] and arms[0].epochs == 4


@pytest.mark.slow
def test_the_script_is_watched_as_the_guide_says(repository: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(str(tmp_path / "logs"))
    plan = workspace.plan(str(written(repository, tmp_path)), arms=["fast"], seeds=[0], devices="cpu")
    (run,) = workspace.start(plan).runs()
    assert wait([run], 60)[0].state.word == "finished"
    found = load_history(run)
    steps, losses = found.series("train/loss")
    assert steps == list(range(5, 101, 5)) and losses[-1] < losses[0]
    assert set(found.series("lr/all")[1]) == {0.05}
    epochs, values = found.epoch_series("mine/mAP50")
    assert epochs == [1, 2, 3, 4] and values[-1] > 0.8
    assert [Path(line["path"]).name for line in found.checkpoints] == ["last.txt"]


@pytest.mark.slow
def test_the_record_answers_the_guides_question(repository: Path, tmp_path: Path) -> None:
    """Nobody but the program judged its runs, and its own numbers are compared over the seeds."""
    workspace = Workspace.open(str(tmp_path / "logs"))
    experiment = workspace.start(workspace.plan(str(written(repository, tmp_path)), devices="cpu"))
    assert {seen.state.word for seen in wait(experiment.runs(), 120)} == {"finished"}
    of: dict[str, list[float]] = {}
    for run in experiment.runs():
        of.setdefault(run.spec().arm, []).append(load_history(run).epoch_series("mine/mAP50")[1][-1])
    (row,) = re.findall(r"\| mine, mAP50 \| `fast` \|.*", fill(experiment.path)[0].read_text())
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == f"{fmean(of['fast']):.4f} ± {stdev(of['fast']):.4f}" and cells[3] == "3"
    assert cells[4] == f"{fmean(of['fast']) - fmean(of['slow']):+.4f}"
    low, high = (float(bound) for bound in cells[5].strip("[]").split(", "))
    assert 0 < low < fmean(of["fast"]) - fmean(of["slow"]) < high and "higher" in cells[6]


def test_every_field_format_and_placeholder_is_in_the_guide(repository: Path) -> None:
    text = guide(repository)
    names = {*CommandConfig.model_fields, *Repository.model_fields, *Watch.model_fields, *KNOWN, *OWN}
    assert {name for name in names if f"`{name}`" not in text} == set()
    assert {name for name in PLACEHOLDERS if f"{{{name}}}" not in text} == set()
