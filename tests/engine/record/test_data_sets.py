"""Records of an experiment on two data sets: arms on different data are set against each other nowhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from crossed import CLASSES, Crossed
from trials import CLASSES as SIMPLE

from detui.engine.comparison import sides
from detui.engine.experiment import Experiment
from detui.engine.record import fill
from detui.engine.record.alike import facts_of
from detui.engine.record.blocks import find
from detui.engine.record.by_class import ByClass
from detui.engine.record.facts import ExperimentFacts, record_path
from detui.engine.record.final import Final
from detui.engine.record.foreign.filling import Options, fill_text, reference
from detui.engine.record.gather import gather
from detui.engine.record.latex import tables
from detui.engine.record.pictures import sources
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.setup import Setup
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words
from detui.engine.run.files import read_json
from detui.engine.speed import _waiting

PAIRS = {("mnv4-crowded", "l-crowded"), ("mnv4-simple", "l-simple")}


@pytest.fixture(scope="module")
def facts(crossed: Crossed) -> ExperimentFacts:
    return gather(crossed.path)


@pytest.fixture(scope="module")
def text(facts: ExperimentFacts) -> str:
    return render(facts, "en")


def pairs_in(text: str) -> set[tuple[str, str]]:
    """Arms that a text sets against each other: "`b` − `a`", "`b` against `a`", seeds left away."""
    arm = r"`([a-z0-9]+-(?:crowded|simple))(?:-s\d)?`"
    return set(re.findall(rf"{arm} (?:−|against) {arm}", text))


def test_each_data_set_has_its_reference(facts: ExperimentFacts) -> None:
    assert facts.references == ["l-crowded", "l-simple"] and facts.compared == ["mnv4-crowded", "mnv4-simple"]
    assert facts.same_data("l-simple", "mnv4-simple") and not facts.same_data("l-simple", "l-crowded")


def test_the_record_sets_no_arms_on_different_data_against_each_other(text: str) -> None:
    assert pairs_in(text) == PAIRS
    assert "the reference of the same data (`l-crowded`, `l-simple`)" in find(text)["delta"]


def test_differences_are_to_the_reference_on_the_same_data(facts: ExperimentFacts) -> None:
    results = Results(facts, Words("en"), Ledger())
    table = results.differences(("val/AP",))
    for arm, row, origins in zip(facts.compared, table.rows, table.origins, strict=True):
        mean = [
            sum(values) / 3 for values in (facts.values(one, "val/AP").values() for one in (facts.reference(arm), arm))
        ]
        assert row[0] == f"`{arm}`" and float(row[2]) == pytest.approx(100 * (mean[1] - mean[0]), abs=0.051)
        assert {source.run.rpartition("-s")[0] for source in origins} == {arm, facts.reference(arm)}
    final = Final(results, {}).table()
    assert {row[1] for row in final.rows} == {"`mnv4-crowded`", "`mnv4-simple`"}
    decision = {"metric": "val/AP", "arm": "mnv4-simple", "against": "l-crowded",
                "steps": [{"at_least": None, "title": {"en": "any"}}]}  # fmt: skip
    across = Final(Results(replace(facts, info={**facts.info, "decisions": [decision]}), Words("en"), Ledger()), {})
    assert "not measured" in next(iter(across.reached())) and not across.outcome(decision)[1]


def test_each_arm_has_the_classes_of_its_own_data(facts: ExperimentFacts, text: str) -> None:
    assert facts.classes == [*CLASSES, SIMPLE[2]]
    results = Results(facts, Words("en"), Ledger())
    rows = [(row[0], row[1]) for row in results.per_class().rows]
    assert len(rows) == 12 and ("lamp", "`l-crowded`") in rows and ("lamp", "`l-simple`") not in rows
    assert "not measured yet" not in find(text)["classes"]
    by_class = ByClass(results)
    lamp = by_class.table("val/AP").rows[2]
    assert lamp[0] == "lamp" and lamp[3:5] == ["–", "–"] and "–" not in lamp[1:3]
    assert [name for name, _ in by_class.gains("mnv4-simple", "val/AP")] and not by_class.gains(
        "mnv4-simple", "val/AP", "l-crowded"
    )


def test_confounders_are_looked_for_within_one_data_set(facts: ExperimentFacts) -> None:
    assert facts_of(facts, "l-simple", facts.of("l-simple"))["data.fingerprint"] == "sha256:0a1b2c3d"
    assert facts_of(facts, "l-crowded", facts.of("l-crowded"))["data.fingerprint"] == "sha256:5e6f"
    assert Setup(facts, Words("en")).confounders() == []
    small = {"model": {"name": "l"}, "train": {"batch": 2, "imgsz": 320}}
    arms = [{**arm, "config": small} if arm["name"] == "l-simple" else arm for arm in facts.info["arms"]]
    (found,) = Setup(replace(facts, info={**facts.info, "arms": arms}), Words("en")).confounders()
    assert "train.batch" in found and "l-simple: 2, mnv4-simple: 4" in found and "crowded" not in found


def test_pictures_are_those_of_each_arms_own_data(facts: ExperimentFacts) -> None:
    found = {prepared.name: [run.arm for run in shown] for shown, prepared in sources(facts)}
    assert found == {"crowded": ["l-crowded", "mnv4-crowded"], "prepared": ["l-simple", "mnv4-simple"]}


def test_latex_names_the_references_of_each_data_set(facts: ExperimentFacts) -> None:
    told = tables(facts)
    (caption,) = [line for line in told.splitlines() if "caption" in line and "minus the reference" in line]
    assert "of the same data" in caption and "l-crowded" in caption and "l-simple" in caption
    assert "-interaction}" in told and told.count("objects an image") == 2


def test_speed_is_measured_of_the_references_of_the_arms_that_goals_name(facts: ExperimentFacts) -> None:
    goal = {"metric": "model/fps", "arm": "mnv4-simple", "at_least": 30.0}
    waiting = _waiting(replace(facts, info={**facts.info, "goals": [goal]}))
    assert [run.arm for run in waiting] == ["l-simple", "mnv4-simple"]


def test_a_document_gets_no_difference_across_data(facts: ExperimentFacts, crossed: Crossed) -> None:
    assert reference(facts, Options()) is None and reference(facts, Options(arm="mnv4-simple")) == "l-simple"
    head = "| metric | Baseline | {0} | gain |\n|---|---|---|---|\n| AP | (TBD) | (TBD) | (TBD) |\n"
    asked = head.format("mnv4-simple")
    right = fill_text(asked, facts, Options(arm="mnv4-simple", reference="l-simple"), crossed.path)
    assert [entry.what for entry in right.entries] == ["filled"] * 3
    wrong = fill_text(asked, facts, Options(arm="mnv4-simple", reference="l-crowded"), crossed.path)
    left = [entry for entry in wrong.entries if entry.what == "left"]
    assert len(left) == 1 and "different data" in left[0].note
    none = fill_text(asked, facts, Options(), crossed.path)
    assert [entry.arm for entry in none.entries if entry.what == "filled"] == ["mnv4-simple"]


def test_sides_of_a_comparison_know_their_data(crossed: Crossed) -> None:
    found = sides([(Experiment(crossed.path), None)])
    assert [side.facts.data_of(side.arm)["name"] for side in found] == ["crowd", "crowd", "scenes", "scenes"]


@pytest.mark.slow
def test_a_filled_record_keeps_to_one_data_set_everywhere(crossed: Crossed) -> None:
    fill(crossed.path)
    for language in ("en", "zh"):
        told = record_path(crossed.path, language).read_text(encoding="utf-8")
        assert pairs_in(told) == PAIRS
        assert {"figures/detections.png", "figures/detections-2.png"} <= set(re.findall(r"figures/[\w-]+\.png", told))
    assert read_json(crossed.path / "record.json")["images"].keys() == {"mnv4-crowded", "mnv4-simple"}
    entries = read_json(crossed.path / "record.json")["images"]
    assert {(one["second"], one["first"]) for one in entries.values()} == {(f"{b}-s0", f"{a}-s0") for b, a in PAIRS}
    assert all(one["problem"] is None for one in entries.values())


def test_the_set_up_names_the_stages_of_each_arm(facts: ExperimentFacts) -> None:
    two = [{"name": "first", "epochs": 4, "data_set": "simple"}, {"name": "second", "epochs": 8, "data_set": "crowded"}]
    arms = [{**arm, **({"stages": two} if number == 1 else {})} for number, arm in enumerate(facts.info["arms"])]
    some = replace(facts, info={**facts.info, "arms": arms})
    every = replace(facts, info={**facts.info, "arms": [{**arm, "stages": two} for arm in facts.info["arms"]]})
    told = [dict(Setup(one, Words("en")).table().rows).get("stages") for one in (facts, some, every)]
    assert told == [None, f"`{facts.arms[1]}`: first (4) → second (8)", "first (4) → second (8)"]
