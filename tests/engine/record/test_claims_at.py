"""Claims at an epoch stand beside the same epoch of the runs, in columns of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from crossed import Crossed

from detui.engine.record.baseline import Baseline
from detui.engine.record.claims_at import beside
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.gather import gather
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words


@pytest.fixture(scope="module")
def facts(crossed: Crossed) -> ExperimentFacts:
    return gather(crossed.path)


def reason(facts: ExperimentFacts, **claim: Any) -> str:
    asked = {"metric": "val/AP", "arm": "l-crowded", "value": 0.2, "epoch": None, **claim}
    return beside(facts, asked, Words("en")).reason


def test_claimed_beside_measured_at_the_same_epoch(facts: ExperimentFacts) -> None:
    ledger = Ledger()
    table = Results(facts, Words("en"), ledger).claims()
    assert list(table.head[2:6]) == ["epoch", "claimed", "source of the claim", "measured"]
    first, late, ap, unevaluated, final, bare, unknown = table.rows
    losses = [dict(zip(*run.losses["train/loss_cls"], strict=True))[1] for run in facts.of("mnv4-crowded")]
    assert first[:5] == ["loss cls", "`mnv4-crowded`", "1", "0.38", "seed, 1"]
    assert first[5].startswith(f"{sum(losses) / 3:.4g} ± ") and first[5].endswith("(n = 3)")
    cited = {mark: source for mark, source, _ in ledger.entries()}
    assert {(cited[mark].epoch, cited[mark].file.rpartition("/")[2]) for mark in first[-1].split(", ")} == {
        (1, "metrics.jsonl")
    }
    at = [run.evaluations[1]["values"]["val/AP"] for run in facts.of("mnv4-crowded")]
    assert ap[2:4] == ["20", "5.3"] and ap[5].startswith(f"{100 * sum(at) / 3:.1f} ± ")
    assert late[5] == "— (the run has 30 epochs)" and late[-1] == ""
    assert unevaluated[5] == "— (not evaluated at this epoch; evaluated: 10, 20, 30)"
    assert final[2] == "chosen" and final[5].endswith("(n = 3)")
    assert bare[5] == "— (the claim does not say on which data set)"
    assert unknown[5].startswith("— (the run reports no number of this name; it has train/loss_box")


def test_only_what_a_run_can_still_measure_is_a_placeholder(facts: ExperimentFacts) -> None:
    missing = "_(not measured yet)_"
    nothing = replace(facts, runs=())
    assert reason(nothing, epoch=20) == missing and reason(nothing) == missing
    assert reason(nothing, epoch=31) == "— (the run has 30 epochs)"
    stopped = replace(facts, runs=tuple(replace(run, epoch=25, total_epochs=30) for run in facts.runs))
    assert reason(stopped, epoch=28) == "— (the run ended after epoch 25)"
    waiting = replace(facts, runs=tuple(replace(run, waiting=("p.json",)) for run in facts.runs))
    assert reason(waiting, epoch=21) == missing
    assert reason(facts, metric="val/AP_none", epoch=20) == "n/a"
    assert reason(facts, arm=None) == "— (the claim names no arm)"
    assert reason(facts, arm="other") == "— (this experiment has no such arm)"
    assert reason(facts, data_set="simple") == "— (claimed of the data set `simple`)"
    assert reason(facts, metric="train/loss_cls") == "— (the claim names no epoch)"


def test_what_no_training_says_of_its_model_waits_for_nothing(facts: ExperimentFacts) -> None:
    assert reason(facts, metric="model/channels_P5") == "n/a"
    going = replace(facts, runs=tuple(replace(run, state="running") for run in facts.runs))
    assert reason(going, metric="model/channels_P5") == "n/a"
    assert reason(going, metric="model/parameters") == "_(not measured yet)_", "known, and told when it is finished"
    assert reason(replace(facts, runs=()), metric="model/channels_P5") == "_(not measured yet)_"


def test_unfinished_runs_stand_beside_no_claim(facts: ExperimentFacts) -> None:
    runs = tuple(replace(run, state="running") if run.seed == 0 else run for run in facts.runs)
    found = beside(replace(facts, runs=runs), {"metric": "val/AP", "arm": "l-crowded", "epoch": 20}, Words("en"))
    assert sorted(found.points) == [1, 2]


def test_without_epochs_there_is_no_such_column_and_the_baseline_table_says_it_in_its_rows(
    facts: ExperimentFacts,
) -> None:
    claims = [claim for claim in facts.info["claims"] if claim["epoch"] is None]
    plain = Results(replace(facts, info={**facts.info, "claims": claims}), Words("en"), Ledger())
    assert "epoch" not in plain.claims().head
    rows = Baseline(Results(facts, Words("en"), Ledger())).table().rows
    assert ["AP (%), epoch 21", "`l-crowded`"] in [list(row[:2]) for row in rows]
    references = {row[1] for row in rows if row[0].startswith("AP50")}
    assert references == {"`l-crowded`", "`l-simple`"}
