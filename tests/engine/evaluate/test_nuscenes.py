"""nuScenes' metric: counted by hand, on the real frame, and held to the authors' own code where it is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes_cases import box, of_truth, random_case, said, truth, write

from detui.engine.configuration import Configuration
from detui.engine.data.frame import NUSCENES_CLASSES
from detui.engine.data.frame_files import FILE
from detui.engine.data.frame_truth import write_truth
from detui.engine.environment.standing import standing
from detui.engine.errors import DataError, MissingError, RecipeError, RunError, UsageError
from detui.engine.evaluate import evaluate_file, evaluate_run, judge
from detui.engine.evaluate.judging import check_judging
from detui.engine.evaluate.nuscenes import evaluate_nuscenes
from detui.engine.evaluate.nuscenes_boxes import guessed_attributes
from detui.engine.evaluate.nuscenes_metric import detection_score
from detui.engine.run.files import read_json
from detui.engine.run.lines import read_lines

CAR = ("car", box(10, 0))


def values(known: dict[str, Any], found: dict[str, Any]) -> dict[str, float | None]:
    return evaluate_nuscenes(known, found).values


@pytest.mark.parametrize(
    ("mean_ap", "errors", "nds"),
    [
        (0.6397, (0.3373, 0.2500, 0.3259, 0.2731, 0.1876), 0.6825),  # the table of document 004
        (1.0, (0.0,) * 5, 1.0),
        (0.0, (1.0, 1.2, 3.1, 7.0, 1.0), 0.0),  # an error above 1 costs no more than 1
    ],
)
def test_nds_is_five_parts_of_map_and_one_of_each_error(mean_ap: float, errors: Any, nds: float) -> None:
    assert detection_score(mean_ap, errors) == pytest.approx(nds, abs=5e-5)


def test_the_classes_of_document_004_make_its_map() -> None:
    by_class = (0.851, 0.602, 0.729, 0.416, 0.289, 0.822, 0.695, 0.594, 0.692, 0.708)
    assert np.mean(by_class) == pytest.approx(0.6397, abs=2e-4)


def test_a_box_a_metre_off_matches_at_two_and_four_metres() -> None:
    """Half of the distances of one class of ten: AP (0 + 0 + 1 + 1) / 4, because 1 m is not below 1 m."""
    found = values(truth([CAR]), said([("car", box(11, 0), 0.9)]))
    assert found["mAP/car"] == pytest.approx(0.5) and found["mAP"] == pytest.approx(0.05)
    assert found["mATE/car"] == pytest.approx(1.0)


def test_ap_counts_above_recall_and_precision_of_a_tenth() -> None:
    """A false alarm before the one box: precision rises to 1/2 at recall 1, in a straight line between its points.

    The curve begins at recall 0 with precision 0 (the alarm), so it is r/2; above 0.1, less 0.1, the mean over 90
    points of max(0, r/2 − 0.1), scaled by 1 / 0.9.
    """
    found = values(truth([CAR]), said([("car", box(-20, 0), 0.9), ("car", box(10, 0), 0.5)]))
    expected = np.mean([max(0.0, r / 200 - 0.1) for r in range(11, 101)]) / 0.9
    assert found["mAP/car"] == pytest.approx(expected)


def test_a_box_is_found_once_and_by_the_better_score() -> None:
    known = truth([CAR, ("car", box(14, 0))])
    found = values(known, said([("car", box(10.1, 0), 0.9), ("car", box(10.2, 0), 0.8)]))
    assert found["mAP/car"] < 0.6, "the second is a false alarm below 2 m"
    assert values(known, said([("car", box(10, 0), 0.9), ("car", box(14, 0), 0.8)]))["mAP/car"] == pytest.approx(1)


def test_frames_are_apart() -> None:
    known = truth([CAR], [("car", box(20, 0))])
    assert values(known, said([("car", box(20, 0), 0.9)], [("car", box(10, 0), 0.9)]))["mAP/car"] == 0


def test_the_errors_of_a_match() -> None:
    known = truth([("car", box(10, 0, v=(3.0, 0.0)))], attributes=["vehicle.moving"])
    found = values(known, said([("car", box(10.3, 0.4, w=1.0, yaw=-0.25, v=(3.0, 4.0)), 0.9)]))
    assert found["mATE/car"] == pytest.approx(0.5)
    assert found["mASE/car"] == pytest.approx(0.5)  # half as wide
    assert found["mAOE/car"] == pytest.approx(0.25)
    assert found["mAVE/car"] == pytest.approx(4.0)
    assert found["mAAE/car"] == 0, "something that fast is guessed to move"
    # Nine classes have no boxes, and count as 1: those without such an error do not count.
    assert found["mATE"] == pytest.approx((0.5 + 9) / 10) and found["mAVE"] == pytest.approx((4 + 7) / 8)


def test_a_barrier_has_no_front() -> None:
    known = truth([("barrier", box(10, 0)), ("traffic_cone", box(0, 10))])
    turned = said([("barrier", box(10, 0, yaw=np.pi), 0.9), ("traffic_cone", box(0, 10, yaw=1.0), 0.9)])
    found = values(known, turned)
    assert found["mAOE/barrier"] == pytest.approx(0, abs=1e-9)
    assert [found[f"{name}/traffic_cone"] for name in ("mAOE", "mAVE", "mAAE")] == [None] * 3
    assert [found[f"{name}/barrier"] for name in ("mAVE", "mAAE")] == [None] * 2


def test_what_nothing_is_annotated_for_is_not_available_and_lowers_the_ceiling() -> None:
    found = values(truth([("car", box(10, 0, v=(None, None)))]), said([("car", box(10, 0), 0.9)]))
    assert found["mAP"] == found["mAP_ceiling"] == pytest.approx(0.1)
    assert found["mAP/bus"] is None and found["mATE/bus"] is None
    assert found["mAVE/car"] is None and found["mAVE"] is None, "nobody knows the one velocity"
    assert found["mAAE"] is None
    # 5 × 0.1, and a tenth or a ninth of the scores of what is known; the other errors count as 1.
    assert found["NDS_ceiling"] == found["NDS"] == pytest.approx((0.5 + 0.1 + 0.1 + 1 / 9) / 10)
    empty = evaluate_nuscenes(truth([], []), said([], []))
    assert set(empty.values.values()) == {None} and (empty.images, empty.boxes) == (2, 0)


def test_the_ceiling_is_of_the_ground_truth_alone() -> None:
    known = truth([CAR], attributes=["vehicle.parked"])
    nothing, all_of_it = values(known, said([])), values(known, said([("car", box(10, 0), 0.9)]))
    assert (nothing["mAP"], nothing["NDS"]) == (0.0, 0.0) and all_of_it["mAP"] == pytest.approx(0.1)
    for found in (nothing, all_of_it):
        # Five parts of a tenth, a tenth of ATE and ASE, a ninth of AOE, an eighth of AVE and AAE.
        assert found["mAP_ceiling"] == pytest.approx(0.1)
        assert found["NDS_ceiling"] == pytest.approx((0.5 + 0.2 + 1 / 9 + 0.25) / 10)


def test_ranges_count_from_the_vehicle_and_boxes_without_points_do_not() -> None:
    shifted = [[1, 0, 0, 4.0], [0, 1, 0, 0], [0, 0, 1, 2.0], [0, 0, 0, 1]]
    boxes = [("car", box(45.9, 0)), ("car", box(46.1, 0)), ("traffic_cone", box(-33.9, 0)), ("car", box(0, 5))]
    known = truth(boxes, lidar_to_ego=shifted, points=[1, 1, 1, 0])
    alarms = said([("car", box(0, 60), 0.99), ("car", box(45.9, 0), 0.9), ("traffic_cone", box(-33.9, 0), 0.9)])
    result = evaluate_nuscenes(known, alarms)
    assert (result.boxes, result.detections) == (2, 2)
    assert result.values["mAP"] == pytest.approx(0.2), "the alarm beyond 50 m is nobody's business"


def test_five_hundred_detections_a_frame_count() -> None:
    alarms = [("car", box(-20, 0), 0.5)] * 500
    known = truth([CAR], [CAR])
    assert values(known, said([*alarms, ("car", box(10, 0), 0.4)], []))["mAP/car"] == 0
    result = evaluate_nuscenes(known, said([*alarms, ("car", box(10, 0), 0.6)], [("car", box(10, 0), 0.3)]))
    assert result.detections == 501 and result.max_dets == 500 and result.values["mAP/car"] > 0


def test_the_pose_of_the_vehicle_changes_no_number_but_the_ranges() -> None:
    known, found = random_case(3)
    told = values(known, found)
    for frame in known["frames"]:
        frame["ego_to_world"] = None
    assert values(known, found)["mAP"] == pytest.approx(told["mAP"], abs=0.02)
    assert told["mAOE/car"] < 0.6, "headings were turned with their boxes"


def test_attributes_follow_class_and_speed() -> None:
    labels = np.array([NUSCENES_CLASSES.index(name) for name in ("car", "bus", "pedestrian", "bicycle", "barrier")])
    slow = ["vehicle.parked", "vehicle.stopped", "pedestrian.standing", "cycle.without_rider", ""]
    fast = ["vehicle.moving", "vehicle.moving", "pedestrian.moving", "cycle.with_rider", ""]
    assert guessed_attributes(labels, np.full(5, 0.1)).tolist() == slow
    assert guessed_attributes(labels, np.full(5, 0.3)).tolist() == fast


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"frames": []}, "1 of 1 frames are absent, t0 first"),
        ({"frames": [{"token": "t0"}]}, "boxes or labels: 'boxes'"),
        ({"box": ["x", "y"]}, "Boxes must be x, y, z, w, l, h"),
        ({"frame": "ego"}, "in the frame of the LiDAR"),
        ({"classes": ["car", "tram"]}, "'tram' is none of the ten"),
        ({"frames": 3}, "no mapping with a list 'frames'"),
        ({"frames": [{"token": "t0", "boxes": [box(0, 0)], "labels": [10], "scores": [1]}]}, "no place in the 10"),
        ({"frames": [{"token": "t0", "boxes": [box(0, 0)], "labels": [0], "scores": [1.5]}]}, "outside 0 to 1"),
        ({"frames": [{"token": "t0", "boxes": [box(0, 0)], "labels": [0], "scores": []}]}, "1 boxes have 0 scores"),
        ({"frames": [{"token": "t0", "boxes": [box(0, np.nan)], "labels": [0], "scores": [1]}]}, "not finite"),
        ({"frames": [{"token": "t0", "boxes": [[1, 2]], "labels": [0], "scores": [1]}]}, "boxes or labels: "),
    ],
)  # fmt: skip
def test_wrong_detections_are_refused_with_their_place(change: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as raised:
        evaluate_nuscenes(truth([CAR]), said([]) | change, detections_name="p.json")
    assert text in raised.value.message and (raised.value.where or "").startswith("p.json")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"lidar_to_ego": [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]}, "lidar_to_ego is no 4×4 matrix"),
        ({"points": [1, 2]}, "1 boxes have 2 points"),
        ({"attributes": [3]}, "attributes: expected 1 names"),
        ({"boxes": [box(0, 0, w=0.0)]}, "a size is not positive"),
        ({"token": "t1"}, "Two frames have the same token"),
    ],
)
def test_wrong_ground_truth_is_refused(more: dict[str, Any], text: str) -> None:
    known = truth([CAR], [CAR])
    known["frames"][0] |= more
    with pytest.raises(DataError, match=text):
        evaluate_nuscenes(known, said([], []))


def test_the_ground_truth_chooses_the_metric_and_who_may_compute_it() -> None:
    known, found = truth([CAR]), said([("car", box(10, 0), 0.9)])
    assert judge(known, found).metric == "nuscenes"
    assert judge(known, found).evaluator.startswith("nuScenes metric of detui ")
    with pytest.raises(UsageError, match="hotcoco does not compute the metric nuscenes"):
        judge(known, found, library="hotcoco")


@pytest.mark.parametrize(
    ("data", "metric", "said"),
    [
        ({"metric": "nuscenes"}, "val/AP", "checkpoint_rule: {rule: best, metric: val/NDS}"),
        ({"metric": "visdrone"}, "val/NDS", "checkpoint_rule: {rule: best, metric: val/AP}"),
        ({"evaluator": "nuscenes-devkit"}, "val/AP", "leave it out: it is for data of nuScenes' kind"),
    ],
)
def test_a_rule_that_would_never_choose_is_refused(data: dict[str, Any], metric: str, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        check_judging(data, {"rule": "best", "metric": metric})
    assert raised.value.hint == said


def test_what_fits_is_not_refused() -> None:
    check_judging({"metric": "nuscenes", "evaluator": "nuscenes-devkit"}, {"rule": "best", "metric": "val/mAP"})
    check_judging({"metric": "nuscenes"}, {"rule": "last", "metric": "val/AP"})
    check_judging(None, {"rule": "best", "metric": "val/AP"})


def test_a_run_on_frames_is_evaluated_like_any_other(dumping: Any) -> None:
    write(Path(dumping.dir.spec().data["prepared"]) / "val.json", truth([CAR]))
    dumping.dump(2, said([]))
    dumping.dump(4, said([("car", box(10, 0), 0.9)]))
    assert evaluate_run(dumping.dir) == 2
    first, second = read_lines(dumping.attempt.evaluations_path)
    assert first["values"]["val/mAP"] == 0 and second["values"]["val/mAP"] == pytest.approx(0.1)
    assert second["values"]["val/mAP/car"] == pytest.approx(1) and second["values"]["val/mATE/car"] == 0
    assert second["values"]["val/mAP/bus"] is None and "val/AP" not in second["values"]
    assert (second["images"], second["boxes"], second["detections"], second["max_dets"]) == (1, 1, 1, 500)
    assert second["evaluator"].startswith("nuScenes metric of detui")
    curves = read_json(dumping.attempt.path / second["curves"])
    assert list(curves["precision"]) == ["0.5 m", "2 m"] and curves["precision"]["2 m"]["car"] == [1.0] * 101


def test_without_the_environment_it_is_said_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETUI_ENVIRONMENTS", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(MissingError) as raised:
        evaluate_nuscenes(truth([CAR]), said([]), library="nuscenes-devkit")
    assert raised.value.hint == "detui env create nuscenes"


def test_an_interpreter_without_the_devkit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detui").mkdir()
    (tmp_path / "detui" / "config.yaml").write_text(f"environments: {{nuscenes: {json.dumps(sys.executable)}}}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(RunError) as raised:
        evaluate_nuscenes(truth([CAR]), said([]), library="nuscenes-devkit")
    assert "No module named 'nuscenes'" in raised.value.message and raised.value.hint == "detui env check nuscenes"


@pytest.fixture
def real_truth(shared_data: Path, tmp_path: Path) -> Path:
    folder = shared_data / "nuscenes_frame"
    if not folder.is_dir():
        pytest.skip(f"needs the real frame at {folder}, which is absent")
    assert write_truth(tmp_path / "val.json", [json.loads((folder / FILE).read_bytes())]) == 68
    return tmp_path / "val.json"


def test_what_the_real_frame_allows(real_truth: Path, tmp_path: Path) -> None:
    """Five of ten classes have boxes in range that a sensor saw, so no detector reaches more than half of mAP.

    Saying all 68 boxes costs a little: one of those in range has no point in it, and counts as a false alarm.
    """
    known = json.loads(real_truth.read_text())
    result = evaluate_file(real_truth, write(tmp_path / "p.json", of_truth(known)))
    assert (result.boxes, result.detections) == (33, 34)
    found = result.values
    assert found["mAP_ceiling"] == pytest.approx(0.5) and 0.48 < (found["mAP"] or 0) < 0.5
    assert found["NDS_ceiling"] == pytest.approx(0.4319, abs=1e-4), "no attribute is annotated: that error counts as 1"
    assert [name for name in NUSCENES_CLASSES if found[f"mAP/{name}"] is not None] == [
        "car", "truck", "barrier", "pedestrian", "traffic_cone",
    ]  # fmt: skip


def test_attributes_raise_the_ceiling_of_the_real_frame(real_truth: Path) -> None:
    known = json.loads(real_truth.read_text())
    for frame in known["frames"]:
        labels = np.array(frame["labels"])
        frame["attributes"] = guessed_attributes(labels, np.zeros(len(labels))).tolist()
    found = values(known, of_truth(known, attributes=True))
    assert found["NDS_ceiling"] == pytest.approx(0.4694, abs=1e-4)
    # The false alarm on the box that nobody saw costs up to a hundredth, by its place among the scores.
    assert 0.49 < (found["mAP"] or 0) < 0.5 and 0.464 < (found["NDS"] or 0) < 0.4694


@pytest.fixture(scope="module")
def devkit() -> None:
    found = standing("nuscenes", Configuration.load())
    if not found.usable:
        pytest.skip(f"needs the environment nuscenes: {found.hint}")


@pytest.mark.slow
@pytest.mark.usefixtures("devkit")
class TestDevkit:
    """Both evaluators on the same files."""

    @pytest.mark.parametrize("seed", range(4))
    def test_random_cases(self, seed: int) -> None:
        known, found = random_case(seed, frames=8, noise=(0.2, 0.6, 1.5, 3.0)[seed])
        self.equal(known, found)

    def test_nothing_found_and_nothing_there(self) -> None:
        self.equal(truth([CAR], []), said([], [("bus", box(1, 1), 0.5)]))

    def test_the_real_frame(self, real_truth: Path) -> None:
        known = json.loads(real_truth.read_text())
        self.equal(known, of_truth(known))

    def equal(self, known: dict[str, Any], found: dict[str, Any]) -> None:
        ours, theirs = (evaluate_nuscenes(known, found, library=name) for name in ("detui", "nuscenes-devkit"))
        assert theirs.evaluator == "nuscenes-devkit 1.2.0" != ours.evaluator
        assert ours.values.keys() == theirs.values.keys()
        for name, value in theirs.values.items():
            assert ours.values[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name
        assert ours.curves["precision"].keys() == theirs.curves["precision"].keys()
        for distance, curves in theirs.curves["precision"].items():
            for name, curve in curves.items():
                assert ours.curves["precision"][distance][name] == (curve and pytest.approx(curve, abs=1e-12))
        assert (ours.boxes, ours.detections) == (theirs.boxes, theirs.detections)
