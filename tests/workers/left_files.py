"""Files as other tools leave them."""

from __future__ import annotations

from pathlib import Path

LOG = """2025-10-13 12:00:00,000 - mmdet - INFO - workflow: [('train', 1)], max: 2 epochs
2025-10-13 12:00:00,000 - mmdet - INFO - Set random seed to 7, deterministic: False
2025-10-13 12:00:10,000 - mmdet - INFO - Epoch [1][5/10]\tlr: 1.0e-01, eta: 0:01, time: 0.5, loss_cls: 2.0, loss: 2.0
2025-10-13 12:00:20,000 - mmdet - INFO - Epoch [1][10/10]\tlr: 1.0e-01, eta: 0:01, time: 0.5, loss_cls: 1.0, loss: 1.0
2025-10-13 12:00:30,500 - mmdet - INFO - Epoch(val) [1][7]\tbbox_mAP: 0.25, bbox_mAP_50: 0.5, bbox_mAP_copypaste: 0.2 x
"""
SECOND = """2025-10-13 13:00:10,000 - mmdet - INFO - Epoch [2][5/10]\tlr: 1.0e-02, eta: 0:01, loss: 0.75
2025-10-13 13:00:20,000 - mmdet - INFO - Epoch [2][10/10]\tlr: 1.0e-02, eta: 0:01, loss: 0.5
2025-10-13 13:00:30,000 - mmdet - INFO - Epoch(val) [2][7]\tbbox_mAP: 0.375, bbox_mAP_50: nan
"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def work_directory(folder: Path) -> Path:
    written(folder / "20251013_120000.log", LOG)
    written(folder / "20251013_130000.log", SECOND)
    written(
        folder / "cmt.py",
        "import os\nmodel = dict(head=dict(clamp=2.5, on=True))\nlr = os.cpu_count()\nbig = [1, (2,)]",
    )
    for name in ("epoch_1.pth", "epoch_2.pth"):
        written(folder / name, name)
    (folder / "latest.pth").symlink_to("epoch_2.pth")
    return folder


def ultralytics(folder: Path, *, epochs: int = 3, rows: int = 3) -> Path:
    head = "epoch,      time,train/box_loss,train/cls_loss,metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss,lr/pg0\n"
    lines = [f"{n},{10 * n},{1 / n:.3f},{2 / n:.3f},{n / 10},{n / 20},{3 / n:.3f},0.01\n" for n in range(1, rows + 1)]
    written(folder / "results.csv", head + "".join(lines))
    written(folder / "args.yaml", f"model: yolo12n-rgbd.yaml\nepochs: {epochs}\nseed: 3\nlr0: 0.01\n")
    written(folder / "weights" / "best.pt", "best")
    written(folder / "weights" / "last.pt", "last")
    return folder
