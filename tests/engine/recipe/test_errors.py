"""A bad recipe: the message names file, line, column and field, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.errors import RecipeError
from detui.engine.recipe.load import read_recipe
from detui.engine.recipe.resolve import Resolved, resolve

GOOD = """\
schema: 1
title: a test
question: does it work?
data: {name: scenes}
base:
  model: {name: yolo12n}
  train:
    epochs: 10
    lr0: 0.01
arms:
  baseline: {}
  slow: {train: {lr0: 0.001}}
varies: [train.lr0]
milestones: [5]
goals:
  - {metric: val/AP50, arm: slow, at_least: 0.4}
profiles:
  quick: {base: {train: {epochs: 5}}}
"""


def planned(tmp_path: Path, text: str, **choices: object) -> Resolved:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return resolve(read_recipe("own/own", path), **choices)  # type: ignore[arg-type]


def refusal(tmp_path: Path, text: str, **choices: object) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        planned(tmp_path, text, **choices)
    return caught.value


def test_the_good_one_is_good(tmp_path: Path) -> None:
    resolved = planned(tmp_path, GOOD)
    assert [arm.name for arm in resolved.arms] == ["baseline", "slow"]
    assert resolved.milestones == (5, 10)


@pytest.mark.parametrize(
    ("old", "new", "line", "words", "hint"),
    [
        ("question:", "qestion:", 3, "qestion", "question"),
        ("    lr0: 0.01", "    lr: 0.01", 9, "train.lr", "train.lr"),
        ("    lr0: 0.01", "    lr0: fast", 9, "'fast'", None),
        ("    lr0: 0.01", "    lr0: -1.0", 9, "greater than 0", None),
        ("    epochs: 10", "    epochs: 0", 8, "greater than or equal to 1", None),
        ("    epochs: 10", "    epochs: true", 8, "True", None),
        ("{name: yolo12n}", "{nam: yolo12n}", 6, "nam", "model.name"),
        ("slow: {train: {lr0: 0.001}}", "slow: {trian: {lr0: 0.001}}", 12, "trian", "train"),
        ("varies: [train.lr0]", "varies: [train.lr00]", 13, "train.lr00", "train.lr0"),
        ("arm: slow", "arm: slwo", 16, "slwo", "slow"),
        ("at_least: 0.4", "at_least: 0.4, delta_at_least: 0.5", 16, "exactly one", None),
        ("milestones: [5]", "milestones: [50]", 14, "50", "milestones"),
        ("schema: 1", "schema: 99", 1, "schema 99", None),
        ("data: {name: scenes}", "data: {nmae: scenes}", 4, "nmae", "name"),
        ("{train: {epochs: 5}}", "{train: {epoch: 5}}", 18, "train.epoch", "train.epochs"),
        ("  baseline: {}", "  baseline: {}\n  baseline: {}", 12, "second time", None),
        ("  baseline: {}", "  Base Line: {}", 11, "not a name", None),
        ("  baseline: {}", "  baseline: {title: {en: warm, then cold, zh: 热}}", 11, "then cold", None),
        ("title: a test", "title: [a", 3, "not valid YAML", None),
        ("title: a test", "title: !!python/object/apply:os.system [ls]", 2, "tag", None),
    ],
)
def test_message_has_place_and_next_step(
    tmp_path: Path, old: str, new: str, line: int, words: str, hint: str | None
) -> None:
    assert old in GOOD
    error = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert str(error.where).startswith(f"{tmp_path / 'own.yaml'}:{line}:"), str(error)
    assert words in error.message
    assert hint is None or hint in (error.hint or "")
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("record", "words", "hint"),
    [
        ("{best_of: {by: train.lr}}", "no such field", "train.lr"),
        ("{best_of: {by: train}}", "a section of fields", None),
        ("{best_of: {by: train.batch}}", "do not differ in train.batch", "varies: [train.batch]"),
        ("{best_of: {by: train.lr0, metric: train/loss}}", "train/loss", None),
        ("{best_of: {by: train.lr0, metric: val/mATE}}", "the lower the better", None),
        ("{template: scratch, best_of: {by: train.lr0}}", "not by scratch", None),
    ],
)
def test_what_chooses_the_best_arm_must_be_fit_for_it(
    tmp_path: Path, record: str, words: str, hint: str | None
) -> None:
    text = f"{GOOD}record: {record}\n"
    assert planned(tmp_path, f"{GOOD}record: {{best_of: {{by: train.lr0}}}}\n").recipe.file.record.best_of is not None
    error = refusal(tmp_path, text)
    assert str(error.where).startswith(f"{tmp_path / 'own.yaml'}:19"), str(error)
    assert words in error.message
    assert hint is None or hint in (error.hint or "")


def test_no_best_arm_is_chosen_across_data_sets(tmp_path: Path) -> None:
    text = GOOD.replace("data: {name: scenes}", "data: [a, b]\ndata_sets: {a: {name: scenes}, b: {name: scenes}}")
    assert "several data sets" in refusal(tmp_path, f"{text}record: {{best_of: {{by: train.lr0}}}}\n").message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.lr=3", "train.lr"),
        ("train.lr0=abc", "'abc'"),
        ("train.lr0", "KEY=VALUE"),
        ("arm.nobody.train.lr0=1.0", "nobody"),
        ("train.batch=0", "found 0"),
        ("train.lr0=[", "YAML"),
        ("data.nmae=x", "nmae"),
    ],
)
def test_a_wrong_override_names_the_argument(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(Exception) as caught:
        planned(tmp_path, GOOD, overrides=[override])
    assert getattr(caught.value, "exit_code", None) == 2
    assert f"--set {override}".startswith(str(caught.value.where).split(":")[0])  # type: ignore[attr-defined]
    assert words in caught.value.message  # type: ignore[attr-defined]


def test_a_wrong_value_in_a_mapping_is_not_called_no_text_and_no_list(tmp_path: Path) -> None:
    """`data` may be a name, a list or a mapping: what is wrong inside the mapping is all that is said."""
    error = refusal(tmp_path, GOOD.replace("data: {name: scenes}", "data: {name: scenes, evaluator: foo}", 1))
    assert error.message == "data.evaluator: found 'foo', expected 'detui' or 'nuscenes-devkit'."


def test_unknown_profile_and_arm_name_those_there_are(tmp_path: Path) -> None:
    assert "full or quick" in str(refusal(tmp_path, GOOD, profile="quik").hint)
    assert refusal(tmp_path, GOOD, arms=["slo"]).hint == "slow"
    assert refusal(tmp_path, GOOD, seeds=[1, 1]).where == "--seeds"


class TestStages:
    """Stages are an ordered list; they must not contradict the rest."""

    STAGED = GOOD.replace("varies:", "stages:\n  - {name: warm, epochs: 4}\n  - {name: fine, epochs: 6}\nvaries:")

    def test_they_add_up(self, tmp_path: Path) -> None:
        arm = planned(tmp_path, self.STAGED).arms[0]
        assert [(s.name, s.epochs, s.config["train"]["epochs"]) for s in arm.stages] == [("warm", 4, 4), ("fine", 6, 6)]

    def test_a_sum_that_differs_from_the_epochs(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, self.STAGED.replace("epochs: 6", "epochs: 7"))
        assert "11 epochs together" in error.message
        assert str(error.where).endswith("own.yaml:8:5")

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, self.STAGED.replace("name: fine", "name: warm"))
        assert "called 'warm'" in error.message

    def test_epochs_given_twice(self, tmp_path: Path) -> None:
        text = self.STAGED.replace("epochs: 6}", "epochs: 6, set: {train: {epochs: 3}}}")
        assert "twice" in refusal(tmp_path, text).message

    def test_the_model_of_a_stage(self, tmp_path: Path) -> None:
        text = self.STAGED.replace("epochs: 6}", "epochs: 6, set: {model: {name: yolo11n}}}")
        assert "sets model.name, and it continues" in refusal(tmp_path, text).message

    def test_a_stage_overrides_its_own_sections(self, tmp_path: Path) -> None:
        text = self.STAGED.replace("epochs: 6}", "epochs: 6, set: {augment: {mosaic: 0.0}}}")
        first, second = planned(tmp_path, text).arms[0].stages
        assert (first.config["augment"]["mosaic"], second.config["augment"]["mosaic"]) == (1.0, 0.0)


@pytest.mark.parametrize(("written", "hint"), [("[nan, divergense]", "divergence"), ("[plateu]", "plateau")])
def test_stop_on_names_alarms_that_exist(tmp_path: Path, written: str, hint: str) -> None:
    with pytest.raises(RecipeError, match="There is no alarm") as raised:
        planned(tmp_path, GOOD + f"stop_on: {written}\n")
    assert raised.value.hint == hint and "own.yaml:19:" in str(raised.value.where)
