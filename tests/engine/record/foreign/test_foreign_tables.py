"""Tables and bullets of forms that nobody designed for."""

from __future__ import annotations

import pytest


def why(filled) -> dict[int, str]:
    return {entry.line: entry.note for entry in filled.entries if entry.what == "left"}


def test_rows_are_arms_and_columns_metrics(fill):
    text = (
        "| Model     | AP (%) | AP50 (%) | AP75 | Params (M) | GFLOPs | Notes |\n"
        "|:----------|-------:|---------:|-----:|-----------:|-------:|-------|\n"
        "| Baseline  |   24.7 |      TBD |      |        TBD |      ? | TBD   |\n"
        "| no-mosaic |    TBD |      TBD |    ? |       ____ |   TODO |       |\n"
    )
    filled = fill(text)
    assert filled.text.splitlines()[2:] == [
        "| Baseline  |   24.7 |     42.0 | 23.4 |       2.57 |   6.46 | TBD   |",
        "| no-mosaic |   25.9 |     43.2 | 24.7 |       2.57 |   6.46 |       |",
    ]
    assert why(filled)[3] == "a person's to write"


def test_columns_are_epochs(fill):
    head = "| Metric \\ Epoch | 50 | 100 | 60 |\n| --- | --- | --- | --- |\n"
    text = head + "| AP50 | ? | 14.4 | ? |\n| mAP_small | ? | ? | ? |\n"
    filled = fill(text)
    assert filled.text.splitlines()[2:] == ["| AP50 | 7.2 | 14.4 | ? |", "| mAP_small | 5.5 | 11.0 | ? |"]
    assert why(filled)[3].startswith("epoch 60 was not evaluated in no-mosaic-s0 (evaluated: 50, 100")


def test_rows_are_epochs_and_fractions_stay_fractions(fill):
    text = "| Epoch | AP50 | box_loss |\n|---|---|---|\n| 50 | 0.072 | ? |\n| 100 | ? | 1.0100 |\n"
    assert fill(text).text.splitlines()[2:] == ["| 50 | 0.072 | 1.0200 |", "| 100 | 0.144 | 1.0100 |"]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("- AP50: TBD\n", "- AP50: 43.21%\n"),
        ("* AP50 (%): ___\n", "* AP50 (%): 43.21\n"),
        ("1. mAP@0.5:0.95: TODO  \n", "1. mAP@0.5:0.95: 25.91%  \n"),
        ("- AP50: ___ %\n", "- AP50: 43.21 %\n"),
        ("- **AP50:** TBD\n", "- **AP50:** 43.21%\n"),
        ("- AP50：（待补充）\n", "- AP50：43.21%\n"),
        ("- [ ] `AP50`: `TBD`\n", "- [ ] `AP50`: `43.21%`\n"),
        ("> - AP50: TBD\n", "> - AP50: 43.21%\n"),
        ("- Baseline:\n  - AP50: TBD\n", "- Baseline:\n  - AP50: 41.98%\n"),
        ("- AP50:\n  - Baseline: TBD\n  - no-mosaic: TBD\n", "- AP50:\n  - Baseline: 41.98%\n  - no-mosaic: 43.21%\n"),
        ("## Epoch 50\n\n- AP50: TBD\n", "## Epoch 50\n\n- AP50: 7.20%\n"),
        ("### car\n\n- mAP: ?\n", "### car\n\n- mAP: 14.23%\n"),
        ("- Training time (h): ?\n", "- Training time (h): 5.00\n"),
        ("- 训练时间: ?\n", "- 训练时间: 5 小时 00 分\n"),
        ("- Status: TBD\n", "- Status: finished\n"),
        ("- GPU: TBD\n", "- GPU: NVIDIA GeForce RTX 4090\n"),
        ("- AP50 improvement: TBD\n", "- AP50 improvement: +1.23%\n"),
        ("- Improvement over baseline (AP50): ?\n", "- Improvement over baseline (AP50): +1.23%\n"),
        ("- lr at epoch 50: TBD\n", "- lr at epoch 50: 2e-05\n"),
        ("- final AP50: TBD\n", "- final AP50: 43.21%\n"),
        ("|Arm|Seed|AP|\n|-|-|-|\n|no-mosaic|0|?|\n", "|Arm|Seed|AP|\n|-|-|-|\n|no-mosaic|0|25.91%|\n"),
        (
            "| Method | AP50 |\n|---|---|\n| X (paper) | 59.3 |\n| Ours | ? |\n",
            "| Method | AP50 |\n|---|---|\n| X (paper) | 59.3 |\n| Ours | 43.2 |\n",
        ),
        ("| AP50 |\n|---|\n| ? |\n", "| AP50 |\n|---|\n| 43.21% |\n"),
        ("||AP50|\n|-|-|\n|no-mosaic||\n", "||AP50|\n|-|-|\n|no-mosaic|43.21%|\n"),
        ("a | AP50\n-|-\nno-mosaic | TBD\n", "a | AP50\n-|-\nno-mosaic | 43.21%\n"),
        ("| 项目 | 值 |\n|---|---|\n| 参数量 | ? |\n", "| 项目 | 值 |\n|---|---|\n| 参数量 | 2.57M |\n"),
    ],
)  # fmt: skip
def test_small_forms(fill, text, filled):
    assert fill(text).text == filled
    assert fill(text.replace("\n", "\r\n")).text == filled.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- AP50 (TTA): TBD\n", "'tta' in the label"),
        ("- AP50 on test-dev: TBD\n", "a test set"),
        ("- 小目标 mAP@0.5: TBD\n", "val/AP50_small was not measured"),
        ("- Precision/Recall: TBD\n", "more than one number"),
        ("- mAP (small/large): TBD\n", "more than one number"),
        ("- FPS (RTX 4090): TBD\n", "`detui speed` measures it"),
        ("- val box_loss: TBD\n", "a validation loss"),
        ("- box_loss: TBD\n", "no epoch is named"),
        ("- Frobnication: TBD\n", "'Frobnication' means is not known"),
        ("- AP50: paper value TBD soon\n", None),
        ("TBD\n", "prose"),
        ("# Results (TBD)\n", "prose"),
        ("## YOLO\n\n- AP50: ?\n\n## DETR\n\n- AP50: ?\n", "lines 3, 7 ask for the same number"),
        ("| metric | YOLO | DETR |\n|---|---|---|\n| AP50 | ? | ? |\n", "2 columns or rows could be the arm no-mosaic"),
        ("| Model | AP50 |\n|---|---|\n| YOLO | ? |\n| DETR | ? |\n", "2 columns or rows could be the arm no-mosaic"),
        ("| x | Small mAP |\n|---|---|\n| zebra | ? |\n", "what 'zebra' means is not known"),
        ("| class | AP |\n|---|---|\n| zebra | ? |\n", "'zebra' is no class"),
        ("| AP50 |\n|---|\n| ? |\n| ? |\n", "one column"),
        ("| Dataset | AP50 |\n|---|---|\n| COCO | ? |\n", "other data than 'COCO'"),
        ("| metric | goal | value | met? |\n|---|---|---|---|\n| AP50 | ? | 1% | ? |\n", "no goal stands"),
        ("## Epoch 50\n\n- 最佳 mAP50: ?\n", "the best up to epoch 50"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_left_and_said(fill, text, reason):
    filled = fill(text)
    assert filled.text == text
    assert reason is None or any(reason in entry.note for entry in filled.entries), filled.entries


@pytest.mark.parametrize(
    "text",
    [
        "```\n| AP50 |\n|---|\n| ? |\n- AP50: TBD\n```\n",
        "<!--\n- AP50: TBD\n-->\n",
        "---\n- AP50: TBD\n---\n\nText.\n",
        "Text:\n\n    - AP50: TBD\n",
        "<!-- detui:begin results -->\n\n| AP50 |\n|---|\n| ? |\n\n<!-- detui:end results -->\n",
        "- `a: TBD`\n",
    ],
)
def test_what_is_no_table_and_no_bullet_is_not_looked_at(fill, text):
    filled = fill(text)
    assert filled.text == text and filled.entries == ()


def test_escaped_pipes_and_code_stay(experiment, fill_from):
    facts = experiment(epochs=24, classes=("box|with pipe", "disc"))
    text = "| class | AP |\n|---|---|\n| `box\\|with pipe` | ? |\n| disc \\| x | ? |\n| disc | `?` |\n"
    filled = fill_from(text, facts)
    assert filled.text.splitlines()[2:] == [
        "| `box\\|with pipe` | 11.23% |",
        "| disc \\| x | ? |",
        "| disc | `12.23%` |",
    ]


def test_a_held_cell_is_never_touched_and_a_short_row_breaks_nothing(fill):
    text = "| metric | Baseline | no-mosaic |\n|---|---|---|\n| AP50 | 12% | 13% |\n| AP75 | ? |\n| AP | - | – |\n"
    filled = fill(text)
    assert filled.text == text.replace("| ? |", "| 23% |")
    assert [(e.line, e.text) for e in filled.entries if e.what == "contradicted"] == [(3, "43%")]


def test_goals_are_judged_where_they_stand_in_the_row(fill):
    text = (
        "| metric | goal | result | met? |\n|---|---|---|---|\n| AP50 | >42% | ? | ? |\n"
        "| AP75 | ≥ 30 % | ? | ? |\n| AP | +1% | ? | ? |\n| AP_small | about 30 | ? | ? |\n"
    )
    filled = fill(text)
    cells = [[cell.strip() for cell in line.split("|")[3:5]] for line in filled.text.splitlines()[2:]]
    assert cells[0] == ["43.21%", "✅ 43.21%"] and cells[1] == ["24.68%", "❌ 24.68%"]
    assert cells[2][1] == cells[3][1] == "?"
    assert "fewer than 3 seeds a side" in why(filled)[5] and "no single bound" in why(filled)[6]


def test_a_wrong_verdict_is_listed_and_turned_with_update(fill):
    text = "| metric | goal | no-mosaic | verdict |\n|---|---|---|---|\n| AP50 | >42% | 43.21% | ❌ sadly |\n"
    filled = fill(text)
    assert filled.text == text and [e.text for e in filled.entries] == ["✅ sadly"]
    assert fill(text, update=True).text == text.replace("❌", "✅")


def test_several_seeds_are_their_mean_and_one_can_be_asked_for(experiment, fill_from):
    facts = experiment(seeds=(0, 1, 2), epochs=24)
    filled = fill_from("- AP50: TBD\n- GPU: TBD\n", facts)
    assert filled.text == "- AP50: 43.31%\n- GPU: NVIDIA GeForce RTX 4090\n"
    assert "mean of 3 seeds" in filled.entries[0].note and len(filled.entries[0].sources) == 3
    assert filled.entries[0].sources[0].file == "runs/no-mosaic-s0/attempts/1/evaluations.jsonl"
    assert fill_from("- AP50: TBD\n", facts, seed=2).text == "- AP50: 43.41%\n"
    goals = "| metric | goal | verdict |\n|---|---|---|\n| AP | +1% | ? |\n| AP_small | +1.2% | ? |\n"
    judged = fill_from(goals, facts)
    assert judged.text.splitlines()[2] == "| AP | +1% | ✅ +1.23% |"
    assert "interval of the difference holds the goal" in judged.entries[1].note  # three seeds, and not clear


def test_several_arms_are_not_chosen_from(experiment, fill_from):
    facts = experiment(epochs=24, arms=("baseline", "no-mosaic", "third"))
    filled = fill_from("- AP50: TBD\n", facts)
    assert filled.text == "- AP50: TBD\n" and "--arm NAME" in filled.entries[0].note
    assert fill_from("- AP50: TBD\n", facts, arm="baseline").text == "- AP50: 41.98%\n"


def test_maps_say_what_a_label_means(fill):
    text = "| metric | YOLO | DETR |\n|---|---|---|\n| Frob | ? | ? |\n\n- rate (epoch 50): ?\n"
    filled = fill(text, maps=["YOLO=baseline", "DETR=no-mosaic", "Frob=val/AP75", "rate (epoch 50)=lr/all"])
    assert filled.text.splitlines()[2] == "| Frob | 23.45% | 24.68% |"
    assert filled.text.splitlines()[4] == "- rate (epoch 50): 2e-05"


def test_a_typed_baseline_below_one_is_percent_where_its_label_says_so(fill):
    text = "| metric | baseline | no-mosaic | change |\n| --- | --- | --- | --- |\n| AP50 (%) | 0.5 | ? | ? |\n"
    row = fill(text, typed_baseline=True).text.splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["AP50 (%)", "0.5", "43.2", "+42.7"]


def test_one_chinese_placeholder_makes_no_document_chinese(fill):
    text = "# Notes of the run\n\n- GPU: (待填写)\n- Training time: TBD\n- State: TBD\n"
    filled = fill(text).text
    assert "无" not in filled and "秒" not in filled and "已完成" not in filled
    assert "已完成" in fill("# 运行记录与说明\n\n- 状态: (待填写)\n").text
