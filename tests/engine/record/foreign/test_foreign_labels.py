"""What labels mean."""

from __future__ import annotations

import pytest

from detui.engine.record.foreign.holes import hole
from detui.engine.record.foreign.labels import Names, understand

NAMES = Names(classes=["car"], arms={"baseline": ["baseline"], "no-mosaic": ["no-mosaic", "mosaic off"]},
              reference="baseline")  # fmt: skip


@pytest.mark.parametrize(
    ("label", "quantity", "size"),
    [
        ("**Overall mAP@0.5**", "val/AP50", None), ("mAP50", "val/AP50", None), ("AP50", "val/AP50", None),
        ("mAP@0.5:0.95", "val/AP", None), ("mAP50-95", "val/AP", None), ("mAP@[.5:.95]", "val/AP", None),
        ("mAP", "val/AP", None), ("AP75 (%)", "val/AP75", None), ("AP@0.3", "val/AP30", None),
        ("Small mAP", "val/AP", "small"), ("小目标 mAP", "val/AP", "small"), ("AP_S", "val/AP", "small"),
        ("mAP_medium", "val/AP", "medium"), ("最佳mAP@0.5", "val/AP50", None), ("AR@100", "val/AR100", None),
        ("精确率", "val/precision", None), ("召回率", "val/recall", None), ("box_loss", "train/loss_box", None),
        ("loss/dfl", "train/loss_dfl", None), ("分类损失", "train/loss_cls", None),
        ("参数量 (M)", "model/parameters", None), ("FLOPs", "model/gflops", None),
        ("GPU 显存", "cost/gpu_memory", None),
        ("训练时间", "cost/training_seconds", None), ("开始时间", "fact/started", None),
        ("完成时间", "fact/ended", None),
        ("预计完成", "fact/estimated_end", None), ("最佳 epoch 位置", "fact/best_epoch", None),
        ("Best epoch", "fact/best_epoch", None), ("Epochs", "fact/epochs", None),
        ("PyTorch 版本", "fact/package/torch", None),
        ("操作系统", "fact/os", None), ("Git Commit", "fact/commit", None), ("状态", "fact/state", None),
    ],
)  # fmt: skip
def test_quantities(label, quantity, size):
    found = understand(label, NAMES)
    assert (found.quantities, found.size, found.residue) == ({quantity}, size, "")


def test_epochs_arms_classes_and_what_is_not_understood():
    assert understand("Epoch 50 (首个 checkpoint)", NAMES).epoch == understand("第50轮", NAMES).epoch == 50
    assert understand("mosaic off (ours)", NAMES).arms == {"no-mosaic"}
    assert understand("基线", NAMES).arms == {"baseline"} and understand("no-mosaic-2", NAMES).arms == frozenset()
    assert understand("Car (汽车)", NAMES).klass == "car"
    assert understand("AP50 (TTA)", NAMES).residue == "tta"
    assert understand("Loss 权重改进", NAMES).residue and not understand("Loss 权重改进", NAMES).quantities
    assert "person" in understand("是否值得发表", NAMES).roles and "goal" in understand("目标", NAMES).roles
    assert "goal" not in understand("小目标 mAP", NAMES).roles


@pytest.mark.parametrize(
    "text",
    ["(待填写)", "（待填写）", "(待填写, +15-20 小时)", "待补充", "(待生成)", "?", "？", "TBD", "todo", "___",
     "**(待填写)**",     " `TBD` ", "[TBD]", "(to be filled in)", "\\_\\_\\_", "___ %"],
)  # fmt: skip
def test_placeholders(text):
    assert hole(text) is not None


@pytest.mark.parametrize("text", ["-", "–", "n/a", "42%", "why?", "TBD soon", "(同上)", "待命", "目标>42%", "_", ""])
def test_no_placeholders(text):
    assert hole(text) is None
