"""`detui compare` as somebody types it: arms of experiments, data that differ, claims apart from the measured."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from crossed import Crossed
from pilots import LARGE, play, shows, text, until

from detui.engine.comparison import compare_sides, sides
from detui.engine.errors import MissingError
from detui.engine.experiment import Experiment
from detui.engine.run.pulled import Pulled
from detui.tui import language
from detui.tui.comparison_grids import comparison_grids
from detui.tui.context import Session, complete_sides, find_side
from detui.tui.screens.compare import CompareScreen

DETUI = str(Path(sys.executable).with_name("detui"))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    """Two arms on two data sets, one seed, trained and evaluated."""
    trial = Crossed(tmp_path_factory.mktemp("crossed"), seeds=(0,))
    trial.train_all()
    return trial


def detui(trial: Crossed, *words: str) -> subprocess.CompletedProcess[str]:
    command = [DETUI, "--workspace", str(trial.path.parent), "compare", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_arms_by_name_and_claims_in_json(crossed: Crossed) -> None:
    done = detui(crossed, "last/mnv4-crowded", f"{crossed.path.name}/l-crowded", "l-simple", "--json", "--replicates=0")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(side["name"], side["data"], side["reference"]) for side in found["sides"]] == [
        ("mnv4-crowded", "crowded", "mnv4-crowded"), ("l-crowded", "crowded", "mnv4-crowded"),
        ("l-simple", "simple", "l-simple"),
    ]  # fmt: skip
    assert {(row["side"], row["reference"]) for row in found["metrics"]} == {("l-crowded", "mnv4-crowded")}
    claim = next(one for one in found["claims"] if one["metric"] == "val/AP" and one["side"] == "mnv4-crowded")
    assert (claim["value"], claim["epoch"], claim["source"]) == (0.053, 20, "seed, 3")
    assert claim["measured"]["points"] and found["interactions"] == []


@pytest.mark.parametrize(
    ("word", "said", "hint"),
    [
        ("last/l-crowdet", "no arm and no run 'l-crowdet'", "/l-crowded"),
        ("nowhere/l", "There is no experiment 'nowhere'", "detui ls"),
        ("l-crowdet", "There is no experiment 'l-crowdet'", "detui ls"),
    ],
)
def test_a_wrong_name_says_the_nearest(crossed: Crossed, word: str, said: str, hint: str) -> None:
    with pytest.raises(MissingError, match=said) as caught:
        find_side(Session(str(crossed.path.parent)).workspace, word)
    assert caught.value.hint is not None and hint in caught.value.hint


def test_claims_have_a_table_of_their_own(crossed: Crossed) -> None:
    written = detui(crossed, "last", "--format", "csv", "--replicates", "0").stdout
    tables = [list(csv.reader(io.StringIO(part))) for part in written.split("\n\n")]
    claims = next(table for table in tables if "claimed" in table[0])
    assert claims[0] == ["side", "metric", "epoch", "claimed", "measured", "source of the claim"]
    assert claims[1] == ["l-crowded", "AP (%)", "21", "23.5", "–", "seed, 4"]
    assert claims[2][:4] == ["mnv4-crowded", "train/loss cls", "1", "0.38"] and claims[2][4].endswith("(1)")
    assert sum("claimed" in table[0] for table in tables) == 1


def titles(crossed: Crossed, *arms: str) -> list[str]:
    experiment = Experiment(crossed.path)
    report = compare_sides(sides([(experiment, arm) for arm in arms] or [(experiment, None)]), replicates=10)
    return [grid.title for grid in comparison_grids(report)]


def test_the_tables_and_their_order(crossed: Crossed) -> None:
    assert titles(crossed) == [
        "! Not all sides were judged on the same images",
        "mnv4-crowded against l-crowded", "mnv4-simple against l-simple", "Arms by data",
        "mnv4-crowded-s0 against l-crowded-s0, over the validation images",
        "mnv4-simple-s0 against l-simple-s0, over the validation images",
        "Claimed elsewhere", "What differs",
    ]  # fmt: skip
    assert titles(crossed, "l-crowded", "mnv4-crowded")[0] == "mnv4-crowded against l-crowded"
    assert "l-simple, alone on simple" in titles(crossed, "l-crowded", "mnv4-crowded", "l-simple")


def test_the_tables_in_chinese(crossed: Crossed) -> None:
    language.use("zh")
    assert "他处声称的数值" in titles(crossed) and "! 各方并非在同样的图像上评估" in titles(crossed)


def test_capacity_by_density_is_written_out(crossed: Crossed) -> None:
    report = compare_sides(sides([(Experiment(crossed.path), None)]), replicates=0)
    grid = next(one for one in comparison_grids(report) if one.title == "Arms by data")
    assert grid.head == ("AP (%)", "crowded", "simple", "crowded − simple (pp)")
    assert [row[0] for row in grid.rows] == ["l", "mnv4", "mnv4 − l (pp)"]
    assert [row[3] for row in grid.rows[:2]] == ["–", "–"], "an arm is not subtracted from itself on other data"
    assert report.crossed is not None
    (one,) = report.crossed.interactions
    assert one.contrast is not None and grid.rows[2][3] == f"{100 * one.contrast.value:+.1f}"
    assert "mnv4 − l (pp) by crowded against simple: inconclusive (too few seeds)." in grid.note


def test_names_are_completed(crossed: Crossed, tmp_path: Path) -> None:
    with click.Context(click.Command("detui"), obj=Session(str(crossed.path.parent))) as context:
        found = complete_sides(context, click.Argument(["refs"]), f"{crossed.path.name}/l-c")
        assert found == [f"{crossed.path.name}/l-crowded", f"{crossed.path.name}/l-crowded-s0"]
        assert complete_sides(context, click.Argument(["refs"]), "la") == ["last"]


def test_what_a_word_names(crossed: Crossed) -> None:
    workspace = Session(str(crossed.path.parent)).workspace
    experiment = Experiment(crossed.path)
    assert find_side(workspace, "last") == (experiment, None)
    assert find_side(workspace, "mnv4-simple") == (experiment, "mnv4-simple")
    run = crossed.path / "runs" / "l-simple-s0"
    for word in ("l-simple-s0", "last/l-simple-s0", str(run)):
        found, part = find_side(workspace, word)
        assert (found, part.path) == (experiment, run)  # type: ignore[union-attr]


def test_the_screen_shows_claims_and_data_that_differ(crossed: Crossed) -> None:
    async def script(app, pilot) -> None:
        await until(pilot, lambda: app.home.selected_experiment() is not None)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and "latest" in text(app))
        await pilot.press("tab")
        await shows(app, pilot, "[Metrics]", "! Not all sides were judged on the same images", "! other images")
        await until(pilot, lambda: app.screen._tables is not None and app.screen._tables.done)
        page = str(app.screen.query_one("#page").render())
        assert "Claimed elsewhere" in page and "Arms by data" in page
        assert "l-simple against l-crowded" not in page and "mnv4-simple against l-simple" in page

    play(crossed.path.parent, script, LARGE)


def test_copies_from_another_host_are_compared_by_what_is_here(crossed: Crossed, tmp_path: Path) -> None:
    """Without predictions: the evaluations say what those of the original say, and over images nothing is said."""
    copy = tmp_path / "logs" / crossed.path.name
    shutil.copytree(crossed.path, copy, ignore=shutil.ignore_patterns("predictions", "checkpoints"))
    Pulled(host="lab", ssh="me@server", path=str(crossed.path), at="2026-11-21T08:30:00.000Z").write(copy)
    first, second = (
        json.loads(
            subprocess.run(
                [DETUI, "--workspace", str(folder), "compare", "last/mnv4-crowded", "last/l-crowded", "--json"],
                capture_output=True, text=True, check=True,
            ).stdout
        )
        for folder in (crossed.path.parent, copy.parent)
    )  # fmt: skip
    assert first["metrics"] == second["metrics"]
    assert [one["problem"] for one in first["images"]] == [None]
    assert [one["problem"] for one in second["images"]] == [
        "the predictions and the data are on lab: compare there, with --host"
    ]
