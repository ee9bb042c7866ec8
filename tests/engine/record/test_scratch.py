"""The record of the scratch family: in the order of its document, whole in both languages, and nothing across data."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crossed import Crossed

from detui.engine.record import fill
from detui.engine.record.blocks import find
from detui.engine.record.facts import StageFacts, record_path
from detui.engine.record.gather import gather
from detui.engine.record.milestones import Milestones
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

GOLDEN = Path(__file__).with_name("golden")
MODELS: dict[str, dict[str, Any]] = {
    "l": {"name": "rtdetr-l", "backbone": "HGNetv2-L", "parameters": 32_812_241, "gflops": 103.4,
          "parameters_by_part": {"backbone": 13_553_376, "neck": 11_950_848, "head": 7_308_017},
          "backbone_convolutions": 80, "levels": {"P3": 512, "P4": 1024, "P5": 2048}},
    "mnv4": {"name": "rtdetr-mnv4-hybrid-m", "backbone": "mobilenetv4_hybrid_medium", "parameters": 27_210_849,
             "gflops": 60.1, "parameters_by_part": {"backbone": 8_562_288, "neck": 11_340_544, "head": 7_308_017},
             "backbone_convolutions": 119, "levels": {"P3": 80, "P4": 160, "P5": 960}},
}  # fmt: skip
CLAIMS = [
    {"metric": "train/loss_cls", "arm": "l-crowded", "value": 0.78, "epoch": 1, "source": "a document",
     "note": "started from rtdetr-l.pt"},
    {"metric": "train/loss_cls", "arm": "mnv4-crowded", "value": 0.77, "epoch": 100, "source": "a document"},
    {"metric": "val/AP", "arm": "mnv4-crowded", "value": 0.053, "epoch": 20, "source": "a document"},
    {"metric": "val/AP", "arm": "mnv4-simple", "value": 0.269, "epoch": None, "source": "a document"},
    {"metric": "model/parameters", "arm": "mnv4-crowded", "value": 11e6, "source": "a document"},
    {"metric": "cost/gpu_memory", "arm": "l-crowded", "value": 18 * 2**30, "source": "a document"},
]  # fmt: skip
ORDER = ("models", "data", "results", "interaction", "convergence", "claims", "loss-terms", "transfer", "goals")
"""Blocks in the order of the document: architectures, expectations by data set, capacity × density, curves, …"""


class Scratch(Crossed):
    """Arms whose workers say what their models are made of, with the template of the family."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        asked = [{"metric": "val/AP", "arm": "mnv4-simple", "against": "l-simple", "delta_at_least": 0.053,
                  "title": {"en": "does the light one lead?", "zh": "轻量模型是否领先？"}}]  # fmt: skip
        record = {"template": "scratch", "languages": ["en", "zh"]}
        super().__init__(folder, **{"claims": CLAIMS, "goals": asked, "record": record, **changes})

    def _lines(self, name: str, epochs: int, number: int):
        for line in super()._lines(name, epochs, number):
            yield {**line, "model": MODELS[name.split("-")[0]]} if line["kind"] == "begin" else line


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """Two models on two data sets, three seeds, trained, evaluated and filled; for tests that only read it."""
    trial = Scratch(tmp_path_factory.mktemp("scratch"))
    trial.train_all()
    fill(trial.path)
    return trial


def settled(text: str) -> str:
    """A record without what depends on the moment."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= \|)", "(moment)", text)


def text_of(trial: Scratch, language: str = "en") -> str:
    return record_path(trial.path, language).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_is_the_one_that_was_read(scratch: Scratch, language: str) -> None:
    text = settled(text_of(scratch, language))
    golden = GOLDEN / f"scratch.{language}.md"
    if os.environ.get("DETUI_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "look at what changed; DETUI_GOLDEN=write makes it the new one"


@pytest.mark.slow
def test_its_order_is_that_of_the_document_in_both_languages(scratch: Scratch) -> None:
    blocks = list(find(text_of(scratch)))
    assert [name for name in blocks if name in ORDER] == list(ORDER)
    assert blocks == list(find(text_of(scratch, "zh")))


@pytest.mark.slow
def test_only_a_persons_places_are_left(scratch: Scratch) -> None:
    assert len(re.findall(r"to be filled in|not measured yet", text_of(scratch))) == 3
    assert len(re.findall(r"待填写|尚未测得", text_of(scratch, "zh"))) == 3


@pytest.mark.slow
def test_a_claim_has_its_note_and_what_no_run_can_measure_says_why(scratch: Scratch) -> None:
    claims = find(text_of(scratch))["claims"]
    assert "started from rtdetr-l.pt" in claims and "| 18.0 GiB |" in claims and "no GPU was used" in claims
    assert re.search(r"\| 100 \| 0\.77 \|.*the run has 30 epochs", claims)


@pytest.mark.slow
def test_a_goal_that_is_a_question_keeps_its_mark(scratch: Scratch) -> None:
    assert "does the light one lead? AP, `mnv4-simple` − `l-simple` ≥ +5.3 pp" in find(text_of(scratch))["goals"]
    assert "轻量模型是否领先？ AP" in find(text_of(scratch, "zh"))["goals"]


def test_it_can_be_written_before_anything_has_begun(tmp_path: Path) -> None:
    trial = Scratch(tmp_path, seeds=(0,))
    fill(trial.path)
    blocks = find(text_of(trial))
    assert all("not measured yet" in blocks[name] for name in ("models", "results", "transfer"))


def test_a_training_that_does_not_say_is_waited_for_no_longer(tmp_path: Path) -> None:
    trial = Scratch(tmp_path, seeds=(0,))
    for name in trial.runs:
        trial.train(name, 1, evaluate=False, begin={"model": {}})
    blocks = find(render(gather(trial.path), "en"))
    assert "does not say what its models are made of" in blocks["models"]
    assert "does not say what its stages started from" in blocks["transfer"] and "at random" not in blocks["transfer"]


def test_random_weights_are_told_where_the_training_told_of_them(tmp_path: Path) -> None:
    trial = Scratch(tmp_path, seeds=(0,))
    trial.train("l-crowded-s0", 1, evaluate=False)
    facts = gather(trial.path)
    stage = StageFacts(line={"stage": "main", "transfer": None}, epochs=1, rates=None)
    runs = tuple(replace(run, stages=(stage,)) for run in facts.runs)
    assert "every model began at random" in find(render(replace(facts, runs=runs), "en"))["transfer"]


def test_tables_of_stages_and_weights_push_the_goals_back(tmp_path: Path) -> None:
    facts = gather(Scratch(tmp_path, seeds=(0,)).path)
    stages = [{"name": "simple", "epochs": 10}, {"name": "crowded", "epochs": 20}]
    info = {**facts.info, "arms": [{**arm, "stages": stages} for arm in facts.info["arms"]]}
    blocks = find(render(replace(facts, info=info), "en"))
    assert "**Table 13.**" in blocks["stages"] and "**Table 14.**" in blocks["goals"]


def test_one_arm_on_two_data_sets_has_nothing_to_be_set_against(tmp_path: Path) -> None:
    trial = Scratch(tmp_path, seeds=(0,), goals=[])
    facts = gather(trial.path)
    info = {**facts.info, "arms": [arm for arm in facts.info["arms"] if arm["of"] == "l"]}
    for language, said in (("en", "No arm has another one on its data"), ("zh", "没有两个实验组在同一数据上运行")):
        blocks = find(render(replace(facts, info=info), language))
        assert all(said in blocks[name] and "|" not in blocks[name] for name in ("delta", "images", "final"))


@pytest.mark.slow
def test_tables_are_numbered_without_a_gap(scratch: Scratch) -> None:
    """Nothing is staged here, and nothing was taken over: the goals' table follows the milestones'."""
    told = re.findall(r"^\*\*Table (\d+)\.", text_of(scratch), re.MULTILINE)
    assert told == [str(number) for number in range(1, 14)]


def test_an_arm_that_is_shorter_has_no_milestone_beyond_its_end(tmp_path: Path) -> None:
    trial = Scratch(tmp_path, seeds=(0,), milestones=[10, 20, 30, 300])
    trial.train("l-crowded-s0")
    rows = Milestones(Results(gather(trial.path), Words("en"), Ledger())).table().rows
    assert [row[0] for row in rows if row[1] == "`l-crowded`"] == ["10", "20", "30"]
