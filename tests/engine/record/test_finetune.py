"""The record of a fine-tuning: configuration, weights, rates by part, boxes and masks, convergence, claims."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tuned import EPOCHS, LAYERS, RATE, Tuned

from detui.engine.record import fill
from detui.engine.record.blocks import find
from detui.engine.record.facts import EPOCHS_TO_90, SECONDS_TO_90, record_path
from detui.engine.record.finetune import Finetune
from detui.engine.record.finetune_figures import own_losses
from detui.engine.record.gather import gather
from detui.engine.record.loss_terms import terms_of
from detui.engine.record.render import render
from detui.engine.record.results import Results, label
from detui.engine.record.sources import Ledger
from detui.engine.record.stability import total_loss
from detui.engine.record.words import Words

GOLDEN = Path(__file__).with_name("golden")
ORDER = ("question", "configuration", "transfer", "rates", "curves", "results", "masks", "summary", "convergence",
         "claims", "figures", "limits", "conclusions")  # fmt: skip
"""Blocks in the order in which such work is handed in."""


def settled(text: str) -> str:
    """A record without what depends on the moment."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= \|)", "(moment)", text)


def text_of(trial: Tuned, language: str = "en") -> str:
    return record_path(trial.path, language).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Three arms and three seeds, trained, evaluated and filled; for tests that only read it."""
    trial = Tuned(tmp_path_factory.mktemp("tuned"))
    trial.train_all()
    fill(trial.path)
    return trial


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """The same with one seed of two arms, trained and evaluated, not filled."""
    trial = Tuned(tmp_path_factory.mktemp("short"), seeds=(0,))
    for name in ("imagenet-s0", "coco-s0"):
        trial.train(name)
    return trial


@pytest.fixture(scope="module")
def blocks(short: Tuned) -> dict[str, dict[str, str]]:
    """Language → the blocks of the record of `short`."""
    facts = gather(short.path)
    return {language: dict(find(render(facts, language))) for language in ("en", "zh")}


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_is_the_one_that_was_read(tuned: Tuned, language: str) -> None:
    text = settled(text_of(tuned, language))
    golden = GOLDEN / f"finetune.{language}.md"
    if os.environ.get("DETUI_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "look at what changed; DETUI_GOLDEN=write makes it the new one"


@pytest.mark.slow
def test_both_languages_have_the_same_blocks_and_only_a_persons_places_are_left(tuned: Tuned) -> None:
    blocks = list(find(text_of(tuned)))
    assert [name for name in blocks if name in ORDER] == list(ORDER)
    assert blocks == list(find(text_of(tuned, "zh")))
    assert len(re.findall(r"to be filled in|not measured yet", text_of(tuned))) == 3
    assert len(re.findall(r"待填写|尚未测得", text_of(tuned, "zh"))) == 3
    told = re.findall(r"^\*\*Table (\d+)\.", text_of(tuned), re.MULTILINE)
    assert told == [str(number) for number in range(1, 19)]


@pytest.mark.slow
def test_figures_are_there(tuned: Tuned) -> None:
    names = {path.stem for path in (tuned.path / "figures").iterdir()}
    assert {"losses", "val_losses", "part_rates", "ap", "pr", "detections", "failures"} == names


def test_it_can_be_written_before_anything_has_begun(tmp_path: Path) -> None:
    trial = Tuned(tmp_path, seeds=(0,))
    for language, waits in (("en", "not measured yet"), ("zh", "尚未测得")):
        blocks = find(render(gather(trial.path), language))
        assert all(waits in blocks[name] for name in ("transfer", "rates", "masks", "summary", "operators"))


def test_rates_weights_and_settings_are_those_that_the_training_said(short: Tuned, blocks) -> None:
    facts = gather(short.path)
    (stage,) = facts.of("coco")[0].stages
    factors = dict(zip(("lr/backbone", "lr/neck", "lr/head"), LAYERS["coco"], strict=True))
    assert {name: peak for name, (_, peak, _) in stage.by_part.items()} == pytest.approx(
        {name: RATE["coco"] * factor for name, factor in factors.items()}
    )
    english = blocks["en"]
    row = next(line for line in english["rates"].splitlines() if "`coco`" in line and "| backbone |" in line)
    assert "| 1e-05 | 0.0002 | 2e-06 | × 0.1 |" in row
    assert "| `roi_head.bbox_head` | 4 | 4 | 0 | 0 |" in english["transfer"]
    assert "backbone 0.0002, neck 0.001, RPN head 0.002, RoI head 0.002" in english["configuration"]
    assert "plain torch, in place of mmcv's compiled ones" in english["operators"]


def test_a_part_that_does_not_learn_says_so(short: Tuned) -> None:
    facts = gather(short.path)
    frozen = {"train.layers.backbone": None, "train.rates.backbone": None}
    runs = tuple(
        replace(run, begin={**run.begin, "used": {**run.begin["used"], **frozen}}) if run.begin else run
        for run in facts.runs
    )
    text = find(render(replace(facts, runs=runs), "en"))["configuration"]
    assert "backbone (does not learn), neck 0.001, RPN head 0.002" in text
    assert "backbone × (does not learn), neck × 0.5" in text


def test_the_corners_of_a_rate_survive_thinning(short: Tuned) -> None:
    steps, values = gather(short.path).of("coco")[0].rates["lr/head"]
    told = dict(zip(steps, values, strict=True))
    assert len(steps) < 40 and {20, 160, 161, 220, 221, EPOCHS * 10} <= set(told)
    assert told[160] == pytest.approx(0.002) and told[161] == pytest.approx(0.0002)


def test_convergence_follows_the_metric_of_the_rule(short: Tuned, blocks) -> None:
    facts = gather(short.path)
    assert "final mask AP (%)" in blocks["en"]["convergence"]
    assert "最终 掩膜 AP (%)" in blocks["zh"]["convergence"]
    run = facts.of("coco")[0]
    values = [(line["epoch"], line["values"]["val/mask_AP"]) for line in run.evaluations]
    first = next(epoch for epoch, value in values if value >= 0.9 * values[-1][1])
    assert run.cost[EPOCHS_TO_90].value == first
    assert run.cost[SECONDS_TO_90].value == pytest.approx(3.25 * first)


def test_epochs_of_a_stage_on_other_classes_are_not_counted(tmp_path: Path) -> None:
    """The first stage trains the weights that the second starts with: its epochs say nothing about how soon that
    converged."""
    trial = Tuned(tmp_path, seeds=(0,))

    def lines(name: str, epochs: int, number: int):
        for line in Tuned._lines(trial, name, epochs, number):
            if line["kind"] == "stage":
                yield {**line, "stage": "before", "epochs": 2, "data": {"judged": "not"}, "transfer": None}
                continue
            if line["kind"] == "epoch" and line["epoch"] == 3:
                yield {"kind": "stage", "t": 6.1, "stage": "main", "index": 1, "epochs": EPOCHS - 2, "step": 20,
                       "epoch": 2, "data": {"judged": "whole"}}  # fmt: skip
            if line["kind"] != "evaluation" or line["epoch"] > 2:
                yield line

    trial._lines = lines  # type: ignore[method-assign]
    trial.train("coco-s0")
    (run,) = gather(trial.path).of("coco")
    assert [stage.name for stage in run.stages] == ["before", "main"] and run.judged_from == 2
    values = [(line["epoch"], line["values"]["val/mask_AP"]) for line in run.evaluations]
    first = next(epoch for epoch, value in values if value >= 0.9 * values[-1][1])
    assert run.cost[EPOCHS_TO_90].value == first - 2
    assert {term.first[0] for term in terms_of(run)} == {3} and min(term.lowest[0] for term in terms_of(run)) > 2
    dropped = replace(run, framework={"mmdet/val_loss": ((1, 2, 3, 4), (0.1, 0.2, 0.8, 1.0))})
    facts = replace(gather(trial.path), runs=(dropped,))
    (row,) = Finetune(Results(facts, Words("en"), Ledger())).own_losses().rows
    assert row[3:6] == ["1", "0.8 (3)", "+25.0 %"], "the lowest is of the data that the run is judged on"
    (series,) = [runs["coco-s0"][1] for runs in own_losses(facts).values()]
    assert series[0] == (1, 2, 2.5, 3, 4) and math.isnan(series[1][2]), "no line from one data set to the other"


def test_a_claim_stands_beside_each_metric_that_it_may_mean(short: Tuned, blocks) -> None:
    rows = blocks["en"]["claims"].splitlines()
    of_coco = [row for row in rows if "`coco`" in row and "| 70.0 |" in row]
    assert [row.split(" | ")[0] for row in of_coco] == [f"| {name} %" for name in (
        "box AP", "box AP50", "mask AP", "mask AP50")]  # fmt: skip
    assert all("(n = 1" in row for row in of_coco)
    epochs = next(row for row in rows if row.startswith("| epochs to 90 % of the final value | `coco` | 20 |"))
    measured = gather(short.path).of("coco")[0].cost[EPOCHS_TO_90].value
    assert f"| {measured:.0f} (n = 1" in epochs


def test_masks_have_a_name_in_both_languages() -> None:
    assert label("val/mask_AP") == "mask AP" and label("val/mask_AP", "zh") == "掩膜 AP"
    assert label("val/mask_AP_small/cat", "zh") == "掩膜 AP small, cat"
    assert label("convergence/epochs_to_90") == "epochs to 90 % of the final value"
    assert label("train/loss_rpn_cls") == "loss RPN cls" and label("train/loss_rpn_cls", "zh") == "RPN 分类损失"


def test_goals_and_decisions_say_mask_ap(blocks) -> None:
    english, chinese = blocks["en"], blocks["zh"]
    assert "mask AP, `coco` − `imagenet` ≥ +5.0 pp" in english["goals"]
    assert "掩膜 AP, `coco` − `coco-flat`" in chinese["decisions"]


def test_the_gain_is_told_in_points_and_as_a_part(short: Tuned, blocks) -> None:
    facts = gather(short.path)
    old, new = (facts.values(arm, "val/mask_AP")[0] for arm in ("imagenet", "coco"))
    row = next(line for line in blocks["en"]["summary"].splitlines() if line.startswith("| `coco` |"))
    assert f"| {100 * (new - old):+.1f} | {100 * (new / old - 1):+.1f} |" in row


def test_the_gain_over_the_arm_that_a_goal_names_has_a_row_of_its_own(short: Tuned) -> None:
    facts = gather(short.path)
    goals = [{"metric": "val/mask_AP", "arm": "imagenet", "against": "coco", "delta_at_least": 0.05},
             {"metric": "val/mask_AP", "arm": "coco", "against": "imagenet", "delta_at_least": 0.05},
             {"metric": "val/mask_AP", "arm": "coco", "against": "elsewhere", "delta_at_least": 0.05},
             {"metric": "val/AP", "arm": "imagenet", "against": "coco-flat", "delta_at_least": 0.01}]  # fmt: skip
    told = replace(facts, info={**facts.info, "goals": goals})
    rows = Finetune(Results(told, Words("en"), Ledger())).summary().rows
    old, new = (facts.values(arm, "val/mask_AP")[0] for arm in ("coco", "imagenet"))
    (pair,) = [row for row in rows if "against" in row[0]]
    assert pair[0] == "`imagenet` against `coco`", "not the pairs that the table has already, nor arms that are absent"
    assert pair[4:7] == [f"{100 * (new - old):+.1f}", f"{100 * (new / old - 1):+.1f}", "1 / 1"]


def test_flops_say_who_counted_them(short: Tuned) -> None:
    facts = gather(short.path)
    for convention, label_ in (("a multiply-add is 2 FLOPs", "GFLOPs (counted by torch;"), (None, "GFLOPs (mmdet's")):
        model = {"gflops": 1.261, **({"flops_convention": convention} if convention else {})}
        runs = tuple(replace(run, begin={**run.begin, "model": model}) for run in facts.runs)
        assert Results(replace(facts, runs=runs), Words("en"), Ledger()).gflops().startswith(label_)


def test_the_frameworks_loss_on_validation_pictures_is_labelled_and_set_beside_trainings(short: Tuned, blocks) -> None:
    facts = gather(short.path)
    run = facts.of("coco")[0]
    own = dict(zip(*run.framework["mmdet/val_loss"], strict=True))
    low = min(own, key=own.__getitem__)
    row = next(line for line in blocks["en"]["own-losses"].splitlines() if line.startswith("| `coco` |"))
    assert f"| {own[EPOCHS]:.4g} | {own[low]:.4g} ({low}) |" in row


def test_a_whole_loss_is_not_added_to_its_terms(short: Tuned) -> None:
    run = gather(short.path).of("coco")[0]
    assert total_loss(run) == run.losses["train/loss"]
    terms = replace(run, losses={name: of for name, of in run.losses.items() if name != "train/loss"})
    assert total_loss(terms)[1] == pytest.approx(run.losses["train/loss"][1])


def test_without_masks_nothing_is_called_box_ap(finished) -> None:
    results = Results(gather(finished.path), Words("en"), Ledger())
    assert not results.masks and results.label("val/AP") == "AP" and results.judged == results.main
