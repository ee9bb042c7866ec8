"""The loss terms of whole runs: a term that rises to the end, beside the others and AP over the same epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.gather import gather
from detui.engine.record.loss_terms import LossTerms, terms_of
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

CLS, GIOU = "train/loss_cls", "train/loss_giou"
DOCUMENT = {CLS: {1: 0.38, 10: 0.58, 50: 0.73, 100: 0.77}, GIOU: {1: 1.67, 10: 1.35, 50: 1.08, 100: 0.96}}
"""What a document states of a detector trained from scratch; the last giou is ours."""


def told(run: RunFacts, terms: dict[str, dict[int, float]], ap: dict[int, float], **more: Any) -> RunFacts:
    """A run with other curves: straight lines between the points."""
    last = max(epoch for points in terms.values() for epoch in points)
    epochs = tuple(range(1, last + 1))
    losses = {name: (epochs, tuple(np.interp(epochs, list(points), list(points.values()))))
              for name, points in terms.items()}  # fmt: skip
    lines = tuple({"epoch": epoch, "attempt": 1, "values": {"val/AP": value}} for epoch, value in ap.items())
    return replace(run, losses=losses, evaluations=lines, trained=dict.fromkeys(epochs, 1), **more)


@pytest.fixture(scope="module")
def facts(finished) -> ExperimentFacts:
    return gather(finished.path)


def table(facts: ExperimentFacts, run: RunFacts, language: str = "en") -> list[list[str]]:
    one = replace(facts, runs=(run,))
    return [list(row) for row in LossTerms(Results(one, Words(language), Ledger())).table().rows]


def test_the_documents_story(facts) -> None:
    cls, giou = table(facts, told(facts.runs[0], DOCUMENT, {10: 0.004, 50: 0.031, 100: 0.053}))
    assert cls[2:8] == ["cls", "0.38 (epoch 1)", "0.38 (epoch 1)", "0.77 (epoch 100)", "epoch 1: 0.38 → 0.77",
                        "giou 1.67 → 0.96; AP (%) 0.4 → 5.3 (epochs 10 → 100)"]  # fmt: skip
    assert giou[2:8] == ["giou", "1.67 (epoch 1)", "0.96 (epoch 100)", "0.96 (epoch 100)", "–", "–"]
    chinese = table(facts, told(facts.runs[0], DOCUMENT, {10: 0.004, 100: 0.053}), "zh")[0]
    assert chinese[6:8] == ["第 1 轮：0.38 → 0.77", "giou 1.67 → 0.96; AP (%) 0.4 → 5.3（第 10 → 100 轮）"]


def test_the_counter_example_is_told_in_the_same_words(facts) -> None:
    curves = {CLS: {1: 0.9, 20: 0.45, 120: 0.61}, GIOU: {1: 1.5, 120: 0.7}}
    cls, _ = table(facts, told(facts.runs[0], curves, {10: 0.02, 60: 0.216, 120: 0.269}))
    assert cls[3:8] == ["0.9 (epoch 1)", "0.45 (epoch 20)", "0.61 (epoch 120)", "epoch 20: 0.45 → 0.61",
                        "giou 1.37 → 0.7; AP (%) 21.6 → 26.9 (epochs 60 → 120)"]  # fmt: skip


def test_what_was_not_evaluated_is_said(facts) -> None:
    once = table(facts, told(facts.runs[0], DOCUMENT, {100: 0.053}))[0]
    assert once[7].endswith("; AP (%) 5.3 (epoch 100), not evaluated in another of these epochs")
    assert table(facts, told(facts.runs[0], DOCUMENT, {}))[0][7].endswith("; AP (%) not evaluated in these epochs")


def test_a_rise_is_looked_for_within_the_last_stage(facts) -> None:
    curves = {CLS: {1: 0.4, 49: 0.4, 50: 0.4, 51: 0.72, 100: 0.7}, GIOU: {1: 1.0, 100: 0.9}}
    two, one = (told(facts.runs[0], curves, {}, stage_starts=starts) for starts in ((0, 50), ()))
    assert [term.rise for term in terms_of(two)] == [None, None]
    assert terms_of(one)[0].rise == (50, 0.4)
    later = told(facts.runs[0], {CLS: {1: 0.9, 50: 0.2, 51: 0.5, 100: 0.8}, GIOU: {1: 1.0, 100: 0.9}}, {},
                 stage_starts=(0, 50))  # fmt: skip
    assert terms_of(later)[0].rise == (51, 0.5) and terms_of(later)[0].lowest == (50, 0.2)


def test_a_few_last_epochs_are_no_rise(facts) -> None:
    for begin, rise in ((96, None), (95, (95, 0.4))):
        curves = {CLS: {1: 0.9, begin: 0.4, 100: 0.5}, GIOU: {1: 1.0, 100: 0.9}}
        assert terms_of(told(facts.runs[0], curves, {}))[0].rise == rise


def test_numbers_that_are_not_finite_are_left_out(facts) -> None:
    run = told(facts.runs[0], DOCUMENT, {})
    epochs, values = run.losses[CLS]
    broken = replace(run, losses={**run.losses, CLS: (epochs, (*values[:-1], float("nan")))})
    cls, giou = terms_of(broken)
    assert cls.last[0] == 99 and giou.last[0] == 100


def test_a_real_experiment_has_a_row_for_every_run_and_term_with_its_source(finished, facts) -> None:
    ledger = Ledger()
    found = LossTerms(Results(facts, Words("en"), ledger)).table()
    assert [row[:3] for row in found.rows][:4] == [
        ["`baseline`", "0", "box"], ["`baseline`", "0", "cls"], ["`baseline`", "1", "box"], ["`baseline`", "1", "cls"],
    ]  # fmt: skip
    assert len(found.rows) == 8 and all(row[-1].startswith("S") for row in found.rows)
    files = {source.file for _, source, _ in ledger.entries()}
    assert "runs/baseline-s0/attempts/1/metrics.jsonl" in files
    assert all((finished.path / file).is_file() for file in files)


def test_before_the_first_epoch_there_is_no_table(trial) -> None:
    facts = gather(trial.path)
    assert not LossTerms(Results(facts, Words("en"), Ledger())).table()
    assert render(facts, "en")
