"""Arms of several experiments, arms on different data, and claims: what is set side by side, and what is not."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from crossed import Crossed
from trials import Trial

from detui.engine.comparison import Report, Side, _declared, choose, compare_sides, joined, sides
from detui.engine.errors import MissingError
from detui.engine.experiment import Experiment
from detui.engine.record.gather import gather
from detui.engine.record.over_images import same_images


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    """Two arms on two data sets, one seed, trained and evaluated."""
    trial = Crossed(tmp_path_factory.mktemp("crossed"), seeds=(0,))
    trial.train_all()
    return trial


def report_of(*names: tuple[Trial, str | None], replicates: int = 0) -> Report:
    chosen = [choose(Experiment(trial.path), name) if name else (Experiment(trial.path), None)
              for trial, name in names]  # fmt: skip
    return compare_sides(sides(chosen), replicates=replicates)


def ap_of(trial: Trial, run: str) -> float:
    lines = (trial.path / "runs" / run / "attempts/1/evaluations.jsonl").read_text().splitlines()
    return max(json.loads(line)["values"]["val/AP"] for line in lines)


def levels(report: Report) -> dict[str, str]:
    return {one.field: one.level for one in report.findings}


def test_a_name_is_a_runs_or_an_arms(crossed) -> None:
    experiment = Experiment(crossed.path)
    assert choose(experiment, "l-simple-s0")[1].name == "l-simple-s0"
    assert choose(experiment, "l-simple") == (experiment, "l-simple")
    with pytest.raises(MissingError, match="has no arm and no run 'mnv4-simpel'") as caught:
        choose(experiment, "mnv4-simpel")
    assert caught.value.hint == f"{experiment.id}/mnv4-simple"
    with pytest.raises(MissingError) as caught:
        choose(experiment, "zzz")
    assert caught.value.hint.startswith("one of l-crowded, mnv4-crowded")


def test_arms_of_two_experiments(crossed, finished) -> None:
    report = report_of((finished, "baseline"), (crossed, "mnv4-simple"), (finished, "no-mosaic"), replicates=20)
    names = [f"{finished.path.name}/baseline", f"{crossed.path.name}/mnv4-simple", f"{finished.path.name}/no-mosaic"]
    assert [side.name for side in report.sides] == names
    assert [len(side.runs) for side in report.sides] == [2, 1, 2]
    assert [[side.name for side in group] for group in report.groups] == [names], "the images are the same"
    assert {row.reference for row in report.rows} == {names[0]} and len(report.images) == 2
    row = next(row for row in report.rows if row.side == names[1] and row.metric == "val/AP")
    mean = statistics.fmean(ap_of(finished, f"baseline-s{seed}") for seed in (0, 1))
    assert row.seeds.delta == pytest.approx(ap_of(crossed, "mnv4-simple-s0") - mean)


def test_within_one_experiment_each_arm_stands_against_the_first_on_its_data(crossed) -> None:
    report = report_of((crossed, None), replicates=20)
    assert [[side.name for side in group] for group in report.groups] == [
        ["l-crowded", "mnv4-crowded"], ["l-simple", "mnv4-simple"],
    ]  # fmt: skip
    assert {(row.side, row.reference) for row in report.rows} == {
        ("mnv4-crowded", "l-crowded"), ("mnv4-simple", "l-simple"),
    }  # fmt: skip
    assert [(one.first, one.second, one.problem) for one in report.images] == [
        ("l-crowded-s0", "mnv4-crowded-s0", None), ("l-simple-s0", "mnv4-simple-s0", None),
    ]  # fmt: skip
    found = levels(report)
    assert found["data.fingerprint"] == found["data.name"] == "varies", "the recipe crosses its arms with data"


def test_capacity_by_density_is_the_difference_of_the_differences(crossed) -> None:
    found = report_of((crossed, None)).crossed
    assert found is not None and (found.arms, found.data_sets) == (("l", "mnv4"), ("crowded", "simple"))
    ap = {name: ap_of(crossed, name) for name in crossed.runs}
    expected = (ap["mnv4-crowded-s0"] - ap["l-crowded-s0"]) - (ap["mnv4-simple-s0"] - ap["l-simple-s0"])
    (one,) = found.interactions
    assert one.contrast is not None and one.contrast.value == pytest.approx(expected)
    assert (one.contains_zero, one.reason) == (None, "too few seeds")


def test_arms_that_are_not_crossed_have_no_such_table(crossed, finished) -> None:
    assert report_of((crossed, "l-crowded"), (crossed, "mnv4-crowded")).crossed is None, "one data set"
    assert report_of((crossed, "l-crowded"), (crossed, "l-simple")).crossed is None, "one arm"
    assert report_of((crossed, "l-crowded"), (crossed, "mnv4-simple")).crossed is None, "no arm on both"
    assert report_of((crossed, "l-crowded"), (finished, "baseline")).crossed is None, "another recipe"


def test_other_data_is_a_confounder_and_nothing_is_subtracted(crossed, finished) -> None:
    report = report_of((finished, "baseline"), (crossed, "l-crowded"), (finished, "no-mosaic"), replicates=20)
    names = [side.name for side in report.sides]
    assert [[side.name for side in group] for group in report.groups] == [[names[0], names[2]], [names[1]]]
    assert {row.side for row in report.rows} == {names[2]} and len(report.images) == 1
    found = levels(report)
    assert found["data.fingerprint"] == found["data.name"] == "confounder"
    alone = report_of((finished, "baseline"), (crossed, "l-crowded"), replicates=20)
    assert alone.rows == () and alone.images == () and len(alone.groups) == 2


def test_the_same_validation_images_beside_other_training_images_are_compared(finished) -> None:
    data = finished.data
    more = {**data, "fingerprint": "sha256:ffff", "splits": {**data["splits"], "train": {"images": 500, "boxes": 9}}}
    assert same_images(data, more)
    fewer = {**more, "splits": {**data["splits"], "val": {**data["splits"]["val"], "images": 9}}}
    assert not same_images(data, fewer)
    assert not same_images(data, {**more, "prepared": str(Path(data["prepared"]) / "gone")})
    assert same_images({}, data), "a program that brings its own data says nothing of it"


def test_the_same_counts_with_other_boxes_are_other_images(make_trial) -> None:
    one = make_trial().data
    path = Path(one["prepared"])
    truth = json.loads((path / "val.json").read_text())
    truth["annotations"][0]["bbox"][0] += 1
    other = path.with_name("other")
    other.mkdir()
    (other / "val.json").write_text(json.dumps(truth))
    assert not same_images(one, {**one, "fingerprint": "sha256:ffff", "prepared": str(other)})


def test_claims_stand_beside_what_was_measured_there(crossed) -> None:
    claims = report_of((crossed, None)).claims
    found = {(one.side, one.metric, one.epoch): one for one in claims}
    assert len(found) == len(claims) == 7
    start = found[("mnv4-crowded", "train/loss_cls", 1)]
    lines = map(json.loads, crossed.runs["mnv4-crowded-s0"].attempt(1).metrics_path.read_text().splitlines())
    first = next(line for line in lines if line["kind"] == "epoch")
    assert (start.value, start.source) == (0.38, "seed, 1")
    assert start.measured is not None and start.measured.points == (first["values"]["train/loss_cls"],)
    assert found[("mnv4-crowded", "train/loss_cls", 100)].measured is None, "the run has 30 epochs"
    assert found[("l-crowded", "val/AP", 21)].measured is None, "nothing was evaluated there"
    final = found[("mnv4-simple", "val/AP", None)].measured
    assert final is not None and final.mean == pytest.approx(ap_of(crossed, "mnv4-simple-s0"))
    assert found[("mnv4", "val/AP", None)].measured is None, "the claim does not say on which data"


def test_only_claims_about_the_sides_are_told(crossed, finished) -> None:
    report = report_of((crossed, "l-simple"), (finished, "no-mosaic"))
    assert [(one.side, one.metric) for one in report.claims] == [
        (f"{crossed.path.name}/l-simple", "train/loss_giou"),
    ]  # fmt: skip
    run = report_of((finished, "baseline-s1"), (finished, "no-mosaic"))
    (claim,) = run.claims
    assert (claim.side, claim.value) == ("baseline-s1", 0.41)
    assert claim.measured is not None and claim.measured.n == 1, "of that run alone"


def test_an_arm_and_one_of_its_runs_are_one_side_when_joined(finished) -> None:
    experiment = Experiment(finished.path)
    found = joined(sides([choose(experiment, name) for name in ("baseline", "baseline-s1", "no-mosaic-s0")]))
    assert [(side.name, [run.name for run in side.runs]) for side in found] == [
        ("baseline", ["baseline-s0", "baseline-s1"]), ("no-mosaic", ["no-mosaic-s0"]),
    ]  # fmt: skip


def test_stages_that_only_one_side_has_are_a_difference(tmp_path: Path, finished) -> None:
    trial = Trial(tmp_path)
    stages = [{"name": "warm", "epochs": 10, "data_set": "simple"}, {"name": "full", "epochs": 20, "data_set": None}]
    arms = [{**trial.info["arms"][0], "stages": stages}, trial.info["arms"][1]]
    info = {**json.loads((trial.path / "experiment.json").read_text()), "arms": arms}
    (trial.path / "experiment.json").write_text(json.dumps(info))
    report = report_of((trial, "baseline"), (trial, "no-mosaic"))
    (stage,) = (one for one in report.findings if one.field == "stages")
    assert stage.level == "confounder" and stage.values["baseline"] == "warm (10, simple) → full (20)"


def test_what_only_one_of_the_recipes_declares_is_a_confounder(crossed, finished) -> None:
    found = levels(report_of((finished, "baseline"), (crossed, "mnv4-simple")))
    assert found["model.name"] == "confounder", "the one varies the model, the other mosaic"
    assert _declared([["train", "model"], ["train.lr0", "model.name"]]) == ["model.name", "train.lr0"]
    assert _declared([["model"], []]) == []


def test_one_recipe_on_several_data_sets_asks_of_data_in_several_experiments_too(crossed) -> None:
    facts = gather(crossed.path)
    other = replace(facts, path=Path("elsewhere"))
    both = [Side(arm, facts if arm.endswith("crowded") else other, arm, tuple(facts.of(arm))) for arm in facts.arms]
    report = compare_sides(both, replicates=0)
    assert report.crossed is not None and levels(report)["data.fingerprint"] == "varies"
    changed = {**crossed.data_sets["simple"], "fingerprint": "sha256:ffff"}
    info = {**facts.info, "data_sets": {**crossed.data_sets, "simple": changed}}
    again = Side("again", replace(other, info=info), "l-simple", tuple(facts.of("l-simple")))
    report = compare_sides([*both, again], replicates=0)
    assert len(report.groups) == 2 and levels(report)["data.fingerprint"] == "confounder", "the images were the same"
