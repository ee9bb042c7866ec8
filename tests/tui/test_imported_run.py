"""An imported run on the screen: its framework's numbers, under the framework's name."""

from __future__ import annotations

from pathlib import Path

from left_files import LOG, SECOND, ultralytics, written

from detui.engine.importing import import_arms
from detui.engine.run.history import load_history
from detui.tui.glance import glance
from detui.tui.run_charts import charts
from detui.tui.snapshot import numbers


def test_charts_and_numbers_carry_the_frameworks_name(tmp_path: Path) -> None:
    arms = [("a", [ultralytics(tmp_path / "train")]), ("b", [written(tmp_path / "b.log", LOG + SECOND)])]
    first, second = import_arms(tmp_path / "logs", arms).runs()
    drawn = [charts(load_history(run))["validation"].series for run in (first, second)]
    assert [[one.label for one in of] for of in drawn] == [
        ["ultralytics/mAP50", "ultralytics/mAP50-95"],
        ["mmdet/bbox_mAP"],
    ]
    said = dict(numbers(glance(second, {}), load_history(second)))
    assert said["mmdet/bbox_mAP"].strip().startswith("37.5") and "AP" not in said
    seen = glance(second, {})
    assert seen.imported and seen.notes == ("imported: mmcv 1.x log",) and seen.metric is None
