"""Whole records in both languages as they were read and found right; `DETUI_GOLDEN=write` writes them anew, to be read.

What a machine or a moment decides (times of starts) is left out; all numbers are those of the real evaluator.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from detui.engine.record import fill
from detui.engine.record.facts import record_path

GOLDEN = Path(__file__).with_name("golden")
DECISION = {
    "metric": "val/AP", "arm": "no-mosaic", "against": "baseline",
    "steps": [
        {"at_least": 0.02, "title": {"en": "reached", "zh": "达到"}, "next": {"en": "go on", "zh": "继续优化"}},
        {"at_least": None, "title": {"en": "not reached", "zh": "未达到"}, "next": {"en": "look why", "zh": "找原因"}},
    ],
}  # fmt: skip


def settled(text: str) -> str:
    """A record without what depends on the moment."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= \|)", "(moment)", text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_is_the_one_that_was_read(make_trial, language: str) -> None:
    trial = make_trial(profile="full", seeds=(0, 1, 2), decisions=[DECISION])
    for name in trial.runs:
        if name != "baseline-s2":
            trial.train(name)
    trial.train("baseline-s2", 20, ended="stopped")
    fill(trial.path)
    text = settled(record_path(trial.path, language).read_text(encoding="utf-8"))
    golden = GOLDEN / f"record.{language}.md"
    if os.environ.get("DETUI_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "look at what changed; DETUI_GOLDEN=write makes it the new one"
