"""The record of an experiment that is judged in the manner of nuScenes: mAP, NDS, errors, classes, ceilings."""

from __future__ import annotations

import pytest
from framed import CLASSES, Framed

from detui.engine.comparison import compare_sides, sides
from detui.engine.experiment import Experiment
from detui.engine.record import fill
from detui.engine.record.alike import compare_facts, facts_of
from detui.engine.record.blocks import find
from detui.engine.record.gather import gather
from detui.engine.record.over_images import of_arms
from detui.engine.record.render import render


def rows(block: str) -> list[list[str]]:
    """The cells of every line of the tables in a block."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines() if line[:1] == "|"]


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Framed:
    trial = Framed(tmp_path_factory.mktemp("framed"), seeds=(0,))
    trial.train_all()
    return trial


@pytest.fixture(scope="module")
def blocks(framed: Framed) -> dict[str, str]:
    facts = gather(framed.path)
    return find(render(facts, "en", images=of_arms(facts, {})))


def test_the_best_checkpoint_is_that_of_the_highest_nds(framed: Framed) -> None:
    for run in gather(framed.path).runs:
        nds = {line["epoch"]: line["values"]["val/NDS"] for line in run.evaluations}
        assert run.chosen and run.chosen["epoch"] == max(nds, key=lambda epoch: nds[epoch])


def test_map_nds_and_errors_stand_where_ap_does_elsewhere(framed: Framed, blocks: dict[str, str]) -> None:
    tables = rows(blocks["results"])
    assert tables[0][2:4] == ["mAP (%)", "NDS (%)"]
    (run, *_) = gather(framed.path).of("baseline")
    assert run.chosen and tables[2][2] == f"{100 * run.chosen['values']['val/mAP']:.1f}"
    errors = next(row for row in tables if "mATE (m)" in row)
    assert errors[2:7] == ["mATE (m)", "mASE (1 − IoU)", "mAOE (rad)", "mAVE (m/s)", "mAAE (1 − accuracy)"]
    of_run = tables[tables.index(errors) + 2]
    assert of_run[2] == f"{run.chosen['values']['val/mATE']:.4f}" and "AP50" not in blocks["results"]
    assert "nuScenes metric of detui" in blocks["results"] and "At most 500 detections a frame" in blocks["results"]


def test_what_the_data_allows_stands_beside_it(blocks: dict[str, str]) -> None:
    last = rows(blocks["results"])[-1]
    assert last[:2] == ["`baseline`, `no-mosaic`", "50.0"]


def test_classes_have_their_ap_and_errors(blocks: dict[str, str]) -> None:
    head, _, *table = rows(blocks["classes"])
    assert head[2:5] == ["AP (%)", "ATE (m)", "ASE (1 − IoU)"]
    assert [row[0] for row in table[::2]] == list(CLASSES)
    cone = next(row for row in table if row[0] == "traffic_cone")
    assert cone[5:8] == ["n/a"] * 3, "a cone has no heading, no velocity, no attribute"


def test_differences_goals_claims_and_milestones_are_of_the_same_metrics(blocks: dict[str, str]) -> None:
    assert [row[1] for row in rows(blocks["delta"])[2:]] == ["mAP", "NDS"]
    assert [row[0] for row in rows(blocks["final"])[2:4]] == ["mAP (%)", "NDS (%)"]
    assert rows(blocks["milestones"])[0][2:4] == ["mAP (%)", "NDS (%)"]
    nds, ate = rows(blocks["claims"])[2:]
    assert nds[:3] == ["NDS %", "`baseline`", "68.25"] and ate[:3] == ["mATE (m)", "`baseline`", "0.3373"]
    assert "no bootstrap" in blocks["images"] and "no part of nuScenes' metric" in blocks["operating"]
    assert "NDS" in blocks["title"]


def test_a_comparison_names_two_evaluators(framed: Framed) -> None:
    facts = gather(framed.path)
    told = {arm: facts_of(facts, arm, facts.of(arm)) for arm in facts.arms}
    told["no-mosaic"]["protocol.evaluator"] = "nuscenes-devkit 1.2.0"
    found = compare_facts(told, ["train.mosaic"])
    assert [one.field for one in found if one.level == "confounder"] == ["protocol.evaluator"]


def test_a_comparison_is_of_map_and_nds(framed: Framed) -> None:
    report = compare_sides(sides([(Experiment(framed.path), None)]), replicates=10)
    assert [row.metric for row in report.rows] == ["val/mAP", "val/NDS"]


def test_before_the_first_evaluation_it_is_a_record(tmp_path) -> None:
    text = render(gather(Framed(tmp_path).path), "zh")
    assert "mATE (米)" in text and "的上限" not in text


@pytest.mark.slow
def test_the_figures_are_of_these_metrics(framed: Framed) -> None:
    fill(framed.path)
    names = {path.name for path in (framed.path / "figures").iterdir()}
    assert {"ap.png", "pr.png"} <= names and not {"detections.png", "failures.png"} & names
    text = (framed.path / "record.zh.md").read_text()
    assert "mAOE (弧度)" in text and "右为 2 米以内" in text
