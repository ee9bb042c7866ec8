"""What a document asks in words and the numbers answer, from runs of the family that document 003 began."""

from __future__ import annotations

import shutil

import pytest
from weighted import AGAINST, STEPS, TITLES

from detui.engine.record.foreign.labels import Names, titled, understand
from detui.engine.record.gather import gather

CALLS = {
    "baseline": ("baseline",),
    "weighted": ("weighted", "Loss 权重改进"),
    "small-2.5": ("small-2.5", "小目标 ×2.5"),
}
NAMES = Names(classes=["car"], arms=CALLS, reference="baseline")
MEANS = {"AP50": 0.4198 + 0.0123 + 0.001, "small": 0.3189 + 0.0123 + 0.001}
"""Of the last epoch over the seeds 0, 1, 2, by the rule of conftest.py."""


@pytest.mark.parametrize(
    ("title", "arm"),
    [
        ("Loss 权重改进实验记录", "weighted"), ("Loss 权重改进", "weighted"), ("Loss权重改进实验记录", None),
        ("Loss 权重改进方案二", None), ("weighted, notes", "weighted"), ("unweighted", None),
        ("Loss 权重改进 vs small-2.5", None), ("Baseline", None), ("Loss 权重改进 over the baseline", "weighted"),
        ("", None),
    ],
)  # fmt: skip
def test_a_title_names_one_arm_or_none(title, arm):
    assert titled(title, NAMES) == arm


@pytest.mark.parametrize(
    ("label", "quantity"),
    [
        ("**趋势**", "fact/trend"), ("Loss 收敛情况", "fact/convergence"), ("是否出现过拟合", "fact/overfitting"),
        ("副作用(Medium/Large 是否下降)", "fact/side_effect"), ("主要提升的类别", "fact/classes_gained"),
        ("是否达到预期(+2-3%)", "fact/expected/2"), ("是否达到预期", "fact/expected"),
        ("是否达到目标(>42%)", "fact/goal/42"), ("Side effects", "fact/side_effect"),
        ("Overfitting?", "fact/overfitting"),
    ],
)  # fmt: skip
def test_whole_labels_ask_for_statements(label, quantity):
    assert understand(label, NAMES).quantities == {quantity} and not understand(label, NAMES).roles


@pytest.mark.parametrize("label", ["趋势分析", "主要原因分析", "过拟合的原因", "观察", "是否达到目标", "副作用分析"])
def test_what_somebody_makes_of_them_stays_a_persons(label):
    assert "person" in understand(label, NAMES).roles


def test_document_003_is_filled_by_its_own_family(document_003, family, fill_from):
    filled = fill_from(document_003, family)
    lines = dict(enumerate(filled.text.splitlines(), 1))
    assert lines[34] == "- **Git Commit**: 0123abcd4567" and lines[77].endswith("UTC")
    assert lines[89] == (
        "- **趋势**: 自第 50 轮起: AP50 +7.2 pp（3 个种子中 3 个升高）; AP small +5.5 pp（3 个种子中 3 个升高）"
    )
    row = [cell.strip() for cell in lines[125].split("|")]
    assert row[1] == "**Overall mAP@0.5**" and row[3] == f"{100 * MEANS['AP50']:.2f}%"
    assert [cell.strip() for cell in lines[126].split("|")][3] == f"{100 * MEANS['small']:.2f}%"
    assert lines[157].startswith("- 是否达到预期(+2-3%): AP small +1.2 pp") and "部分达到" in lines[157]
    assert lines[158] == "- 主要提升的类别: AP small: pedestrian +1.2, people +1.2, van +1.2 pp"
    assert lines[164] == "- 是否达到目标(>42%): ✅ 达到: AP50 43.3 %"
    assert "AP medium +1.2 pp" in lines[165] and "更高" in lines[165]
    assert "第 271–300 轮" in lines[169] and lines[169].count("s2:") == 1
    assert "最后一次评估（第 300 轮）即最高" in lines[170]
    figures = {187: "ap", 191: "small_objects", 192: "detections", 193: "misses", 197: "pr", 198: "pr"}
    assert all(lines[number].endswith(f"/figures/{name}.png`") for number, name in figures.items())
    assert fill_from(filled.text, family).text == filled.text


def test_what_remains_of_document_003_says_why(document_003, family, fill_from):
    left = {entry.line: entry.note for entry in fill_from(document_003, family).entries if entry.what == "left"}
    persons = {82, 159, 241, 243} | {44, 45} | {152, 175, 179, 237}
    assert persons <= left.keys() and "a person's to write" in left[159]
    assert "was typed, not measured here" in left[156] and "AP50, or the mean" in left[163]
    assert "detui speed" in left[131] and "no such objects" in left[128]
    assert set(left) - persons == {53, 125, 126, 127, 128, 129, 130, 131, 156, 163}


def test_a_statement_names_every_place_that_it_rests_on(document_003, family, fill_from):
    entries = {entry.line: entry for entry in fill_from(document_003, family).entries}
    files = {source.file for source in entries[157].sources}
    runs = [f"{arm}-s{seed}" for arm in ("baseline", "weighted") for seed in (0, 1, 2)]
    assert files == {f"runs/{run}/attempts/1/evaluations.jsonl" for run in runs}
    assert {source.epoch for source in entries[89].sources} == {50, 100}
    assert {source.run for source in entries[169].sources} == {f"weighted-s{seed}" for seed in (0, 1, 2)}


def test_nothing_is_stated_that_is_not_decided(fill_from, family_with):
    labels = ("是否达到预期(+2-3%)", "是否达到预期(+7%)", "是否达到目标(>50%)")
    text = "# Loss 权重改进\n\n" + "".join(f"- {label}: (待填写)\n" for label in labels)
    facts = family_with(seeds=(0, 1))
    notes = {entry.line: entry.note for entry in fill_from(text, facts).entries if entry.what == "left"}
    assert "not decided" in notes[3] and "少于 3" in notes[3]
    assert "no step at +7.0 points" in notes[4] and "no goals of 50.0 %" in notes[5]


def test_the_first_milestone_has_no_trend_and_an_unfinished_run_says_nothing(fill_from, family_with):
    parts = (
        "# Loss 权重改进",
        "## Epoch 50",
        "- 趋势: ?",
        "## Epoch 150",
        "- 趋势: ?",
        "## 其他",
        "- 是否出现过拟合: ?",
    )
    text = "\n\n".join(parts)
    facts = family_with(done={f"weighted-s{seed}": 120 for seed in (0, 1, 2)})
    notes = {entry.line: entry.note for entry in fill_from(text, facts).entries if entry.what == "left"}
    assert "no milestone lies before epoch 50" in notes[5] and "is at epoch 120 of 300" in notes[9]
    assert notes[13] == "no run has finished"


def test_without_a_figure_of_small_objects_or_misses_another_or_none_is_named(
    document_003, family, fill_from, tmp_path
):
    path = shutil.copytree(family.path, tmp_path / family.path.name)
    for name in ("small_objects", "misses"):
        (path / "figures" / f"{name}.png").unlink()
    entries = {entry.line: entry for entry in fill_from(document_003, gather(path)).entries}
    assert "no figure with detections of this size alone" in entries[191].note
    assert entries[193].text.endswith("figures/failures.png`")


def test_a_title_that_ends_with_a_ratio_is_known_without_it(document_003, family, fill_from):
    assert TITLES["weighted"]["zh"].endswith("2/1.5/1")
    entries = fill_from("# R\n\n- Loss 权重改进 mAP50: ?\n- 小目标 mAP: ?\n", family).entries
    assert entries[0].arm == "weighted" and "names no arm" in entries[1].note


def test_what_the_record_escapes_is_escaped_once(family_with, fill_from):
    steps = [{**step, "title": "+1 % < a_b | c"} for step in STEPS]
    decisions = [{"metric": "val/AP_small", **AGAINST, "steps": steps}]
    facts = family_with(decisions=decisions, classes=("car|van", "a<b"))
    text = "# Loss 权重改进\n\n- 是否达到预期: ?\n- 主要提升的类别: ?\n"
    entries = {entry.line: entry.text for entry in fill_from(text, facts).entries}
    assert "&amp;" not in entries[3] + entries[4] and "\\\\" not in entries[3] + entries[4]
    assert "car" in entries[4] and "van +1.2" in entries[4]
