"""Evidence on how a training went, from curves whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from weighted import Weighted

from detui.engine.record.facts import StageFacts
from detui.engine.record.gather import gather
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.stability import Stability, after_best, loss_between, loss_end, total_loss
from detui.engine.record.words import Words


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    trial = Weighted(tmp_path_factory.mktemp("stability"), arms=("baseline", "weighted"), seeds=(0,))
    trial.train_all()
    return gather(trial.path)


def losing(run, values, other=1.0):
    """The run with a box loss by epoch, and a constant second term that begins at epoch 1."""
    epochs = tuple(range(1, len(values) + 1))
    return replace(run, losses={"train/loss_box": (epochs, tuple(values)),
                                "train/loss_cls": (epochs, (other,) * len(epochs))})  # fmt: skip


def validated(run, **by_epoch):
    lines = tuple({"epoch": int(epoch[1:]), "values": {"val/AP": value}, "attempt": 1} for epoch, value in
                  by_epoch.items())  # fmt: skip
    best = max(lines, key=lambda line: (line["values"]["val/AP"], -line["epoch"]))
    return replace(run, evaluations=lines, chosen=best, total_epochs=30)


def test_the_end_of_the_loss_is_a_tenth_against_the_tenth_before(facts):
    run = losing(facts.runs[0], [*[9.0] * 26, 3.0, 3.0, 2.6, 2.2, 1.8][:30])
    end = loss_end(run)  # epochs 28–30: 3.0, 2.6, 2.2 + 1; 25–27: 9, 9, 3 + 1
    assert end is not None and end.epochs == (28, 30)
    assert (end.before, end.last) == (pytest.approx(8.0), pytest.approx(3.6))
    assert end.change == pytest.approx(3.6 / 8.0 - 1)


def test_a_loss_of_few_epochs_says_what_it_can(facts):
    assert loss_end(losing(facts.runs[0], [1.0])) is None
    end = loss_end(losing(facts.runs[0], [3.0, 1.0]))
    assert end is not None and end.epochs == (2, 2) and end.change == pytest.approx(-0.5)
    assert loss_end(replace(facts.runs[0], losses={})) is None


def test_only_epochs_with_all_terms_have_a_total(facts):
    run = replace(facts.runs[0], losses={"train/loss_box": ((1, 2, 3), (1.0, 2.0, 3.0)),
                                         "train/loss_cls": ((2, 3), (10.0, 20.0))})  # fmt: skip
    assert total_loss(run) == ((2, 3), (12.0, 23.0))
    assert loss_between(run, 2, 3) == pytest.approx(23 / 12 - 1) and loss_between(run, 1, 3) is None


def test_validation_after_its_highest_is_put_beside_the_training_loss(facts):
    run = validated(losing(facts.runs[0], [2.0 - 0.05 * n for n in range(30)]), e10=0.2, e20=0.3, e30=0.28)
    found = after_best(run, "val/AP")
    assert found is not None and (found.best_epoch, found.last_epoch) == (20, 30)
    words = Stability(Results(facts, Words("en"), Ledger()))
    loss = 100 * loss_between(run, 20, 30)
    said = f"-2.0 pp from epoch 20 (30.0 %) to 30; training loss meanwhile {loss:+.1f} %"
    assert loss < 0 and words.after(run) == said
    assert words.place(run) == "20 of 30 (67 %)"


def test_the_highest_at_the_end_is_said_to_be_the_last(facts):
    words = Stability(Results(facts, Words("en"), Ledger()))
    run = validated(facts.runs[0], e10=0.2, e30=0.3)
    assert words.after(run) == "highest at the last evaluation (epoch 30)"
    assert words.place(run) == "30 of 30 (100 %); the last one evaluated"
    assert after_best(validated(facts.runs[0], e10=0.3, e30=0.3), "val/AP").best_epoch == 10


def test_each_run_has_a_row_with_where_its_numbers_stand(facts):
    ledger = Ledger()
    table = Stability(Results(facts, Words("en"), ledger)).table()
    assert [row[0] for row in table.rows] == ["`baseline`", "`weighted`"] and all(
        row[2] == "none" for row in table.rows
    )
    files = {source.file.rpartition("/")[2] for _, source, _ in ledger.entries()}
    assert files == {"metrics.jsonl", "evaluations.jsonl"}


def mixing(facts, **stages):
    """The facts with the values that each stage used; a run of no stages for `begin`."""
    used = {name: {"train.close_mosaic": 10, "augment.mosaic": mosaic, "augment.mixup": 0.0}
            for name, mosaic in stages.items()}  # fmt: skip
    later = tuple(StageFacts(line={"stage": name, "used": values}, epochs=15, rates=None)
                  for name, values in used.items() if name != "begin")  # fmt: skip
    first = next(iter(used.values()))
    runs = tuple(replace(run, begin={**run.begin, "used": first}, stages=later) for run in facts.runs)
    return Stability(Results(replace(facts, runs=runs), Words("en"), Ledger())).mosaic_closes()


def test_only_mosaic_that_was_on_is_switched_off(facts):
    assert mixing(facts, begin=1.0) == "10"
    assert mixing(facts, begin=0.0) == ""
    assert mixing(facts, first=0.0, second=0.5) == "10" and mixing(facts, first=0.5, second=0.0) == ""
