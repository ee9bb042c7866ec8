"""The recipe for a repository of one's own says what is absent, and its stand-in shows that the log is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detui.engine.process.control import wait
from detui.engine.record.claimed import claimed
from detui.engine.record.fill import fill
from detui.engine.record.gather import gather
from detui.engine.workspace import Workspace

RECIPE = "aqr/external-cmt"


def test_without_a_repository_it_says_so_with_the_next_step(tmp_path: Path) -> None:
    plan = Workspace.open(str(tmp_path)).plan(RECIPE, devices="cpu")
    assert [(one.where, one.missing) for one in plan.errors] == [("mmdet3d.repository", True), ("mmdet3d.python", True)]
    assert "--set mmdet3d.repository=" in (plan.errors[0].hint or "")
    assert not [one for one in plan.fairness if one.level == "confounder"]


def test_with_a_repository_it_can_start(tmp_path: Path) -> None:
    for name in ("tools/train.py", "with.py", "without.py"):
        (tmp_path / "cmt" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cmt" / name).touch()
    given = [f"mmdet3d.repository={tmp_path / 'cmt'}", f"mmdet3d.python={sys.executable}", "mmdet3d.config=with.py"]
    plan = Workspace.open(str(tmp_path / "logs")).plan(RECIPE, devices="cpu", overrides=given)
    assert plan.errors == []
    clamps = {arm.name: arm.flat().get("mmdet3d.options.model.pts_bbox_head.renderer_config.max_weight_clamp")
              for arm in plan.arms}  # fmt: skip
    assert clamps == {
        "no-aqr": None,
        "aqr-2.5-0.6": 2.5,
        "aqr-2.0-0.65": 2.0,
        "aqr-2.0-0.7": 2.0,
        "aqr-2.2-0.68": 2.2,
        "aqr-1.5-0.7": 1.5,
    }


@pytest.mark.slow
def test_the_stand_in_is_read_and_recorded(tmp_path: Path) -> None:
    workspace = Workspace.open(str(tmp_path))
    plan = workspace.plan(RECIPE, profile="quick", devices="cpu")
    assert not plan.problems
    experiment = workspace.start(plan)
    assert {seen.state.word for seen in wait(experiment.runs(), 60)} == {"finished"}
    without, with_aqr = gather(experiment.path).runs
    assert without.framework["mmdet3d/NDS"] == ((1, 2), (0.02, 0.03)) and without.statistics == {}
    assert with_aqr.statistics["aqr/lidar_weight_mean"].values == pytest.approx((0.75, 0.75))
    facts = gather(experiment.path)
    told = {one.metric: one.measured and one.measured.mean for one in claimed(facts, "no-aqr", "no-aqr", facts.runs)}
    assert told == {"mmdet3d/mAP": 0.02, "mmdet3d/NDS": 0.03}
    record = fill(experiment.path)[0].read_text()
    assert "NDS (mmdet3d)" in record and "decide no goal" in record
    assert "| mAP (mmdet3d) | `no-aqr` | 0.0200 | 1 | – | – | – |" in record
    assert "| mAP (mmdet3d) | `aqr-2.5-0.6` | 0.0200 | 1 | +0.0000 | – |" in record, "both say the same"
    assert "| mAP (mmdet3d) |" in record.split("### Claimed and measured")[1]
    assert "| 0.6825 | a published training log of 2025-10-12 | one run | 0.03 (n = 1) |" in record
    assert "used every value" not in record and "report no settings" in record
    assert "AQR weights by iteration" in record and "names no data" in record and "AP50" not in record
