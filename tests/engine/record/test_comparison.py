"""Arms and runs side by side, on experiments that the real evaluator has scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detui.engine.comparison import compare_sides, joined, sides
from detui.engine.errors import UsageError
from detui.engine.experiment import Experiment
from detui.engine.run.directory import RunDir


def report_of(trial, *runs: str, replicates: int = 50):
    experiment = Experiment(trial.path)
    chosen = [(experiment, RunDir(trial.path / "runs" / run)) for run in runs] or [(experiment, None)]
    return compare_sides(sides(chosen), replicates=replicates)


def test_the_arms_of_an_experiment(finished) -> None:
    report = report_of(finished)
    assert [side.name for side in report.sides] == ["baseline", "no-mosaic"]
    row = next(row for row in report.rows if row.metric == "val/AP")
    points = [json.loads(line) for name in ("no-mosaic-s0", "no-mosaic-s1") for line in
              (finished.path / "runs" / name / "attempts/1/evaluations.jsonl").read_text().splitlines()]  # fmt: skip
    best = [max(p["values"]["val/AP"] for p in points[:3]), max(p["values"]["val/AP"] for p in points[3:])]
    assert row.summary.points == pytest.approx(tuple(best))
    assert row.seeds.verdict == "inconclusive" and row.seeds.reason == "too few seeds"
    (images,) = report.images
    assert (images.first, images.second, images.problem) == ("baseline-s0", "no-mosaic-s0", None)
    delta = next(one for one in images.deltas if one.metric == "AP")
    assert delta.second == pytest.approx(best[0]) and delta.images == 10
    assert [one.field for one in report.findings if one.level == "confounder"] == []


def test_ignore_regions_are_dropped_in_every_number(make_trial) -> None:
    """The bootstrap over images starts from the very numbers of the evaluations."""
    trial = make_trial(seeds=(0,))
    path = Path(trial.data["prepared"]) / "val.json"
    truth = json.loads(path.read_text())
    regions = [{"image_id": image["id"], "bbox": [0, 0, 160, 240]} for image in truth["images"][:5]]
    path.write_text(json.dumps({**truth, "ignore_regions": regions}))
    trial.train_all()
    report = report_of(trial)
    lines = [json.loads((trial.path / f"runs/{run}-s0/attempts/1/evaluations.jsonl").read_text().splitlines()[-1])
             for run in ("baseline", "no-mosaic")]  # fmt: skip
    assert {line["max_dets"] for line in lines} == {500} and lines[0]["boxes"] < len(truth["annotations"])
    official = [row.summary.points for row in report.rows if row.metric == "val/official_AP"]
    assert official == [(lines[1]["values"]["val/official_AP"],)]
    (images,) = report.images
    assert images.problem is None
    for delta in images.deltas:
        values = [line["values"][f"val/{delta.metric}"] for line in lines]
        assert [delta.first, delta.second] == pytest.approx(values, abs=1e-12), delta.metric


def test_two_runs_of_one_arm(finished) -> None:
    report = report_of(finished, "baseline-s0", "baseline-s1")
    assert [side.name for side in report.sides] == ["baseline-s0", "baseline-s1"]
    assert {one.field for one in report.findings if one.level == "confounder"} == {"protocol.seeds"}
    assert report.images[0].first == "baseline-s0" and report.images[0].second == "baseline-s1"


def test_named_runs_as_seeds_of_their_arms(finished) -> None:
    experiment = Experiment(finished.path)
    runs = [(experiment, finished.runs[name]) for name in ("no-mosaic-s1", "baseline-s0", "no-mosaic-s0")]
    found = joined(sides(runs))
    assert [(side.name, [run.name for run in side.runs]) for side in found] == [
        ("no-mosaic", ["no-mosaic-s1", "no-mosaic-s0"]), ("baseline", ["baseline-s0"]),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="of one arm"):
        joined(sides([runs[0], runs[2]]))


def test_a_run_that_has_not_finished_enters_no_number(trial) -> None:
    trial.train("baseline-s0")
    trial.train("baseline-s1")
    trial.train("no-mosaic-s0", 20, ended="stopped")
    report = report_of(trial)
    assert report.rows == () and report.images[0].problem == "one side has no evaluated run"
    trial.train("no-mosaic-s1")
    report = report_of(trial)
    assert {row.seeds.reason for row in report.rows} == {"runs unfinished"}
    assert (report.images[0].first, report.images[0].second) == ("baseline-s1", "no-mosaic-s1"), (
        "the seed that both have"
    )


def test_other_images_are_not_compared(finished, make_trial) -> None:
    other = make_trial()
    truth = json.loads((other.path.parent / "prepared" / "val.json").read_text())
    truth["annotations"][0]["bbox"][0] += 1
    (other.path.parent / "prepared" / "val.json").write_text(json.dumps(truth))
    other.train("baseline-s0")
    elsewhere = other.path.rename(other.path.with_name("starter.mosaic-20261121-080000"))
    chosen = [(Experiment(path), RunDir(path / "runs" / "baseline-s0")) for path in (finished.path, elsewhere)]
    report = compare_sides(sides(chosen), replicates=10)
    assert [side.name for side in report.sides] == [f"{path.name}/baseline-s0" for path in (finished.path, elsewhere)]
    assert report.images[0].problem == "they were evaluated on different images"


def test_one_side_is_no_comparison(finished) -> None:
    with pytest.raises(UsageError, match="one side only"):
        report_of(finished, "baseline-s0")
