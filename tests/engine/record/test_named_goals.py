"""Goals and claims about statistics, fields and iterations: their verdicts, and the evidence beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gauged import RELATIVE, Gauged

from detui.engine.comparison import Side, compare_sides
from detui.engine.record import words_aqr
from detui.engine.record.blocks import find
from detui.engine.record.claims_at import beside
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.gather import gather
from detui.engine.record.render import render
from detui.engine.record.results import Results, label
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words
from detui.tui.comparison_grids import claim_grids

CHANGE = "aqr/camera_relative_change"
ARM = "no-mosaic"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFacts:
    asked = [{"metric": "train/loss", "arm": ARM, "iteration": step, "at_most": 9.0} for step in (30, 31, 36)]
    trial = Gauged(tmp_path_factory.mktemp("gauged"), goals=asked)
    trial.train_all()
    return gather(trial.path)


def goals(facts: ExperimentFacts, *stated: dict[str, Any], language: str = "en") -> list[dict[str, str]]:
    """The rows of the table of goals, by the words of its head."""
    words = Words(language)
    about = replace(facts, info={**facts.info, "goals": [{"arm": ARM, **one} for one in stated]})
    table = Results(about, words, Ledger()).goals()
    return [dict(zip(table.head, row, strict=True)) for row in table.rows]


def test_a_statistic_is_judged_on_its_last_line_up_to_the_chosen_checkpoint(whole: ExperimentFacts) -> None:
    inside, outside = goals(
        whole,
        {"metric": CHANGE, "at_least": 0.25, "at_most": 0.3},
        {"metric": CHANGE, "at_least": 0.27, "at_most": 1.0},
    )
    assert inside["goal"].endswith("(those of zero as unchanged): 25 to 30 %")
    assert inside["measured"] == "26.0 % ± 2.8 %" and inside["n"] == "2" and "✅" in inside["verdict"]
    assert inside["by seed"] == "s0: 24.0 % (iteration 180); s1: 28.0 % (iteration 180)"
    assert "❌" in outside["verdict"]
    earlier = tuple(replace(run, chosen=run.evaluations[0]) for run in whole.runs)
    (row,) = goals(replace(whole, runs=earlier), {"metric": CHANGE, "at_least": 0.25})
    assert "(iteration 60)" in row["by seed"] and row["measured"].startswith("8.7 %")


def test_a_run_that_nobody_evaluates_counts_by_its_last_line(whole: ExperimentFacts) -> None:
    own = replace(whole, runs=tuple(replace(run, chosen=None, evaluations=()) for run in whole.runs))
    assert own.values(ARM, CHANGE) == pytest.approx({0: RELATIVE["no-mosaic-s0"], 1: RELATIVE["no-mosaic-s1"]})
    waiting = replace(own, runs=tuple(replace(run, waiting=("p.json",)) for run in own.runs))
    (row,) = goals(waiting, {"metric": CHANGE, "at_least": 0.25})
    assert row["verdict"] == "_(not measured yet)_"


def test_an_iteration_is_exactly_that_one(whole: ExperimentFacts) -> None:
    at, between, beyond, unknown, every = goals(
        whole,
        {"metric": CHANGE, "iteration": 36, "at_most": 0.3},
        {"metric": CHANGE, "iteration": 30, "at_most": 0.3},
        {"metric": CHANGE, "iteration": 1000, "at_most": 0.3},
        {"metric": "aqr/camera_weight_meen", "at_most": 0.3},
        {"metric": CHANGE, "at_most": 0.3, "arm": None},
    )
    assert at["measured"] == "5.2 % ± 0.6 %" and "at iteration 36 ≤ 30.0 %" in at["goal"]
    assert between["verdict"] == "— (no line of this iteration; the nearest: 24, 36)" == between["measured"]
    assert beyond["verdict"] == "— (the run has 180 iterations)" and beyond["by seed"] == "–"
    assert "it has aqr/camera_weight_mean" in unknown["verdict"]
    assert every["verdict"] == "`baseline`: — (the run reports no number of this name)"


def test_a_field_is_what_the_training_used_and_no_word_is_a_number(whole: ExperimentFacts) -> None:
    good, tight, word, switch = goals(
        whole,
        {"metric": "model.aqr.residual_weight", "at_least": 0.65, "at_most": 0.7},
        {"metric": "model.aqr.residual_weight", "at_least": 0.66, "at_most": 0.7},
        {"metric": "model.aqr.mode", "at_least": 0.5},
        {"metric": "train.amp", "at_least": 0.5},
    )
    assert good["goal"] == "`model.aqr.residual_weight` (as the training used it): 0.65 to 0.70"
    assert "✅" in good["verdict"] and good["by seed"] == "s0: 0.65; s1: 0.65" and good["source"]
    assert "❌" in tight["verdict"]
    assert word["verdict"] == switch["verdict"] == (
        "— (the training does not say which number it used for this field)"
    )  # fmt: skip


def test_a_loss_without_a_total_is_the_sum_of_its_terms_at_that_step(whole: ExperimentFacts) -> None:
    at, absent = goals(
        whole,
        {"metric": "train/loss", "iteration": 36, "at_most": 9.0},
        {"metric": "train/loss", "iteration": 31, "at_most": 9.0},
    )
    assert at["goal"] == "loss (sum of its terms) at iteration 36 ≤ 9" and at["measured"].startswith("3.036 ±")
    assert absent["verdict"] == "— (no step was reported at this iteration)"


def test_the_record_says_it_in_both_languages_and_names_the_file(whole: ExperimentFacts) -> None:
    stated = [
        {"metric": CHANGE, "arm": ARM, "at_least": 0.25, "at_most": 0.3, "title": {"en": "camera", "zh": "相机"}},
        {"metric": "val/mATE", "arm": ARM, "at_most": 0.34},
    ]
    claims = [{"metric": CHANGE, "arm": ARM, "value": 0.3609, "iteration": 36, "source": "document 004"}]
    facts = replace(whole, info={**whole.info, "goals": stated, "claims": claims})
    english, chinese = (find(render(facts, language)) for language in ("en", "zh"))
    assert "(those of zero as unchanged): 25 to 30 %" in english["goals"] and "mATE ≤ 0.3400 m" in english["goals"]
    assert "计入全部特征（零特征按未变化计）：25 至 30 %" in chinese["goals"] and "mATE ≤ 0.3400 米" in chinese["goals"]
    assert "✅ met – s0: 24.0 % (iteration 180)" in english["conclusions"]
    assert "| 36 | 36.09 | document 004 | 5.2 ± 0.6 (n = 2) |" in english["claims"]
    assert "| 迭代 |" in chinese["claims"]
    row = goals(whole, stated[0], {"metric": "val/AP", "arm": ARM, "at_least": 0.4})[1]
    assert " %" in row["measured"] and row["by seed"].startswith("s0: ") and row["source"]
    rows = [line for line in english["provenance"].splitlines() if "iteration 180" in line]
    assert len(rows) == 2 and all("metrics.jsonl" in row and "beside a goal" in row for row in rows)


def test_claims_stand_beside_their_iteration(whole: ExperimentFacts) -> None:
    def said(**claim: Any) -> Any:
        return beside(whole, {"arm": ARM, "value": 1.0, **claim}, Words("en"))

    total = said(metric="train/loss", iteration=36)
    assert [point.value for point in total.points.values()] == pytest.approx([3.036, 3.036])
    assert {point.source.iteration for point in total.points.values()} == {36}
    assert said(metric="train/loss_cls", iteration=30).points[0].value == pytest.approx(1.03)
    assert said(metric="train/loss", epoch=1).points[0].value == pytest.approx(
        sum(of[1][0] for of in whole.of(ARM)[0].losses.values())
    )
    assert said(metric="train/loss_dfl", iteration=30).reason.startswith("— (the run reports no number of this name")
    assert said(metric=CHANGE, epoch=6).reason == "— (statistics are of an iteration, and the claim names an epoch)"


def test_a_number_is_cited_from_the_attempt_that_reported_it(tmp_path: Path) -> None:
    asked = [{"metric": "train/loss", "arm": ARM, "iteration": step, "value": 3.0} for step in (84, 90)]
    trial = Gauged(tmp_path, seeds=(0,), claims=asked, goals=[])
    trial.train("no-mosaic-s0", 20, ended="stopped", evaluate=False)
    trial.train("no-mosaic-s0", number=2, after=14, evaluate=False)
    (run,) = gather(trial.path).of(ARM)

    def attempt(metric: str, iteration: int) -> int | None:
        found = run.at_iteration(metric, iteration)
        return found.source.attempt if found else None

    assert [attempt("train/loss", step) for step in (84, 90)] == [1, 2]
    assert [attempt(CHANGE, step) for step in (84, 96, 120)] == [1, 2, 2]


def test_a_comparison_has_a_column_for_the_iteration(whole: ExperimentFacts) -> None:
    claims = [{"metric": CHANGE, "arm": ARM, "value": 0.3486, "iteration": 36, "source": "document 004"}]
    facts = replace(whole, info={**whole.info, "claims": claims})
    report = compare_sides([Side(arm, facts, arm, tuple(facts.of(arm))) for arm in facts.arms])
    (grid,) = claim_grids(report)
    assert grid.head[2:5] == ("epoch", "iteration", "claimed")
    assert "all features counted" in grid.rows[0][1] and grid.rows[0][2:6] == ("–", "36", "34.86", "5.2 ± 0.6 (2)")


def test_labels_say_which_features_a_relative_change_counts() -> None:
    assert "all features counted" in label(CHANGE) and "全部特征" in label(CHANGE, "zh")
    assert "only active features" in label(f"{CHANGE}_active") and "仅计入活跃特征" in label(f"{CHANGE}_active", "zh")
    assert "all features counted" in label("aqr/perspective_change_relative")
    assert label("aqr/camera_weight_mean/rank_min") == "camera: weight of the queries, mean (lowest of the processes)"
    assert words_aqr.label("val/AP") is None and words_aqr.label("aqr/else") is None


def test_every_statistic_of_the_backend_has_a_label() -> None:
    from detui.engine.backends.torch.names import STATISTICS

    assert set(words_aqr.BUILT_IN) == set(STATISTICS)
    assert all(english and chinese and english != chinese for english, chinese in words_aqr.BUILT_IN.values())
