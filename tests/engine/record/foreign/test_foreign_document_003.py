"""A real user's record, filled as it stands from runs of the demo's arms."""

from __future__ import annotations

import difflib


def lines_of(text: str) -> dict[int, str]:
    return dict(enumerate(text.splitlines(), 1))


def test_it_is_filled_where_the_runs_have_the_answer(document_003, fill):
    lines = lines_of(fill(document_003).text)
    assert lines[34] == "- **Git Commit**: 0123abcd4567"
    assert lines[78] == "- **mAP@0.5**: 7.20%" and lines[79] == "- **Small mAP**: 5.52%"
    assert lines[80] == "- **box_loss**: 1.02" and lines[81] == "- **cls_loss**: 2.02"
    assert lines[115] == "- **最佳 Epoch**: 300" and lines[116] == "- **最佳mAP@0.5**: 43.21%"
    assert lines[126] == "| **Small mAP**       | 30.94%   | 33.12%        | ?    | 目标>33% |"
    assert lines[142] == "| car             | 24.23%    | 24.23%     | 24.23%    |"
    assert lines[171] == "- 最佳 epoch 位置: 300"
    assert lines[197].startswith("- 📊 Overall PR curve: `") and lines[197].endswith("/figures/pr.png`")
    assert lines[225] == "- **CUDA 版本**: 13.0" and lines[226] == "- **PyTorch 版本**: 2.13.0+cu130"


def test_what_a_person_writes_and_what_was_not_measured_stays(document_003, fill):
    filled = fill(document_003)
    lines, reasons = lines_of(filled.text), {(e.line, e.label): e.note for e in filled.entries if e.what == "left"}
    for number, label in ((82, "观察"), (159, "主要原因分析"), (241, "实验负责人"), (243, "最后更新")):
        assert "(待填写)" in lines[number] and reasons[number, label] == "a person's to write"
    assert "not measured" in reasons[44, "Precision × Baseline"]
    assert "FPS" in lines[131] and "not measured" in reasons[131, "FPS (RTX 4090) × Loss 权重改进"]
    assert "no such objects" in reasons[128, "Large mAP × Loss 权重改进"]
    assert lines[152] == "### 效果验证 (待填写)" and lines[175] == lines[179] == lines[237] == "(待填写)"


def test_changes_beside_a_typed_baseline_are_left_with_the_measured_one_said(document_003, fill):
    left = {e.line: e.note for e in fill(document_003).entries if e.what == "left" and e.label == "Small mAP × 变化"}
    assert "30.94% was typed" in left[126] and "measured: +1.23%" in left[126] and "--baseline typed" in left[126]


def test_a_typed_baseline_is_subtracted_when_that_is_asked_for(document_003, fill):
    lines = lines_of(fill(document_003, typed_baseline=True).text)
    assert lines[126].split("|")[4].strip() == "+2.18%"  # 33.12 − 30.94, as they stand there
    assert lines[125].split("|")[4].strip() == "~+2.21%"
    assert lines[156] == "- Small mAP 提升: +2.18%"


def test_a_bare_map_is_not_guessed_where_the_document_means_map_at_half(document_003, fill):
    filled = fill(document_003)
    assert any(e.line == 163 and "AP50, or the mean" in e.note for e in filled.entries)
    mapped = fill(document_003, typed_baseline=True, maps=["Overall mAP 提升=val/AP50"])
    assert lines_of(mapped.text)[163] == "- Overall mAP 提升: ~+2.21%"


def test_what_the_runs_contradict_is_listed_and_changed_only_when_asked(document_003, fill):
    filled = fill(document_003)
    said = {e.line: (e.was, e.text) for e in filled.entries if e.what == "contradicted"}
    assert said[244] == ("🚀 训练中", "🚀 已完成") and said[132] == ("2.70M", "2.57M")
    assert said[227][1] == "8.4.190" and 41 not in said and 22 not in said  # a claimed baseline; right epochs
    assert lines_of(filled.text)[244] == "**状态**: 🚀 训练中"
    updated = fill(document_003, update=True)
    assert lines_of(updated.text)[244] == "**状态**: 🚀 已完成"
    assert fill(updated.text, update=True).text == updated.text


def test_every_other_byte_stays_and_filling_again_changes_nothing(document_003, fill):
    filled = fill(document_003)
    assert fill(filled.text).text == filled.text
    changed = {e.line for e in filled.entries if e.what == "filled"}
    before, after = lines_of(document_003), lines_of(filled.text)
    assert {number for number in before if before[number] != after[number]} == changed
    crlf = document_003.replace("\n", "\r\n")
    assert fill(crlf).text == filled.text.replace("\n", "\r\n")
    assert fill("\ufeff" + document_003).text == "\ufeff" + filled.text
    removed = [line for line in difflib.ndiff(document_003.splitlines(), filled.text.splitlines()) if line[0] == "-"]
    assert len(removed) == len(changed)


def test_a_run_that_is_not_so_far_leaves_the_later_epochs(document_003, experiment, fill_from):
    facts = experiment(done={"no-mosaic-s0": 120})
    filled = fill_from(document_003, facts)
    lines, notes = lines_of(filled.text), {e.line: e.note for e in filled.entries if e.what == "left"}
    assert lines[87] == "- **mAP@0.5**: 14.40%" and lines[94] == "- **mAP@0.5**: (待填写)"
    assert notes[94] == "no-mosaic-s0 is at epoch 120 of 300"
    assert "no run has finished" in notes[126] and lines[126].split("|")[3].strip() == "(待填写)"
    assert not any(e.line == 244 for e in filled.entries)  # it does train still


def test_a_shorter_run_with_other_classes_leaves_what_it_does_not_have(document_003, experiment, fill_from):
    filled = fill_from(document_003, experiment(epochs=24, classes=("disc", "box")))
    notes = {e.line: e.note for e in filled.entries if e.what == "left"}
    assert notes[78] == notes[117] == "no-mosaic-s0 has 24 epochs"
    assert notes[142] == "'car' is no class of the data (disc, box)"
    assert any(e.line == 22 and e.text == "24" and e.what == "contradicted" for e in filled.entries)
