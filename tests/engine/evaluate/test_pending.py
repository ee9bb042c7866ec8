"""Predictions that wait become evaluation lines: once each, in order, whatever is wrong with a neighbour."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detui.engine.errors import RunError
from detui.engine.evaluate import evaluate_run
from detui.engine.evaluate.pending import pending
from detui.engine.run.files import read_json
from detui.engine.run.lines import LineWriter, read_lines

HIT = [{"image_id": 1, "category_id": 1, "bbox": [10.0, 10.0, 40.0, 40.0], "score": 0.9}]


def test_each_dump_becomes_one_line_with_its_numbers_and_curves(dumping):
    dumping.dump(2, [])
    dumping.dump(4, HIT)
    assert evaluate_run(dumping.dir) == 2
    first, second = read_lines(dumping.attempt.evaluations_path)
    assert first["schema"] == 1 and (first["epoch"], first["step"], first["split"]) == (2, 16, "val")
    assert first["values"]["val/AP"] == 0 and first["values"]["val/AP_large"] is None
    assert second["values"]["val/AP/cell"] > 0.999 and second["evaluator"].startswith("hotcoco ")
    assert (second["images"], second["boxes"], second["detections"], second["max_dets"]) == (1, 1, 1, 100)
    curves = read_json(dumping.attempt.path / second["curves"])
    assert curves["iou"] == 0.5 and len(curves["precision"]["small"]["all classes"] or [0] * 101) == 101


def test_a_ground_truth_with_ignore_regions_is_judged_by_visdrones_metric(dumping):
    path = Path(dumping.dir.spec().data["prepared"]) / "val.json"
    path.write_text(json.dumps(read_json(path) | {"ignore_regions": [{"image_id": 1, "bbox": [100, 0, 90, 90]}]}))
    dumping.dump(4, [{**HIT[0], "bbox": [110.0, 10.0, 40.0, 40.0], "score": 0.99}, *HIT])
    assert evaluate_run(dumping.dir) == 1
    (line,) = read_lines(dumping.attempt.evaluations_path)
    assert line["max_dets"] == 500 and line["evaluator"].endswith(" after VisDrone's drop step")
    assert (line["boxes"], line["detections"]) == (1, 1), "the false alarm lies in a region"
    values = line["values"]
    assert values["val/AP"] > 0.999 and values["val/official_AP"] == values["val/official_AP75"] == 1
    assert values["val/AR500"] == values["val/precision"] == 1
    curves = read_json(dumping.attempt.path / line["curves"])
    assert min(curves["precision"]["all"]["all classes"]) > 0.999


def test_nothing_is_evaluated_twice(dumping):
    dumping.dump(2, HIT)
    assert evaluate_run(dumping.dir) == 1
    before = dumping.attempt.evaluations_path.read_bytes()
    assert evaluate_run(dumping.dir) == 0
    assert dumping.attempt.evaluations_path.read_bytes() == before


def test_a_broken_dump_is_reported_and_the_others_go_on(dumping):
    broken = dumping.dump(2, '[{"image_id": 1, ')
    wrong = dumping.dump(3, [HIT[0] | {"image_id": 9}])
    dumping.dump(4, HIT)
    problems = []
    assert evaluate_run(dumping.dir, problems) == 1
    assert [line["epoch"] for line in read_lines(dumping.attempt.evaluations_path)] == [4]
    assert str(broken) in str(problems[0]) and "no whole JSON" in str(problems[0])
    assert f"{wrong}: [0]" in str(problems[1]) and "image_id 9" in str(problems[1])
    broken.write_text("[]")
    assert evaluate_run(dumping.dir) == 1
    assert [line["epoch"] for line in pending(dumping.attempt)] == [3]


def test_absent_dump_and_absent_ground_truth_are_reported(dumping):
    dumping.dump(2, HIT).unlink()
    problems = []
    assert evaluate_run(dumping.dir, problems) == 0 and "absent" in problems[0].message
    dumping.dump(4, HIT)
    (dumping.dir.experiment_dir.parent / "prepared" / "val.json").unlink()
    assert evaluate_run(dumping.dir, problems) == 0 and "val.json" in str(problems[-1])


def test_a_torn_line_is_evaluated_again_and_later_lines_stay_readable(dumping):
    dumping.dump(2, HIT)
    evaluate_run(dumping.dir)
    path = dumping.attempt.evaluations_path
    path.write_bytes(path.read_bytes()[:-20])
    assert evaluate_run(dumping.dir) == 1
    assert [line["epoch"] for line in read_lines(path)] == [2]


def test_a_full_disk_is_a_problem_with_its_path_and_nothing_is_lost(dumping, monkeypatch):
    dumping.dump(2, HIT)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(LineWriter, "write_bytes", lambda *_: (_ for _ in ()).throw(full))
        problems = []
        assert evaluate_run(dumping.dir, problems) == 0
    assert "No space left" in problems[0].message and "evaluations.jsonl" in problems[0].where
    assert evaluate_run(dumping.dir) == 1


def test_a_lock_folder_that_is_somebody_elses_is_refused(dumping, tmp_path, monkeypatch):
    temporary, theirs = tmp_path / "tmp", tmp_path / "theirs"
    temporary.mkdir()
    theirs.mkdir()
    (temporary / f"detui-{os.getuid()}").symlink_to(theirs)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    dumping.dump(2, HIT)
    with pytest.raises(RunError, match="another user"):
        evaluate_run(dumping.dir)
    assert not list(theirs.iterdir())


EVALUATE = """
import sys, time
from pathlib import Path
from detui.engine.evaluate import evaluate_run
from detui.engine.run.directory import RunDir
time.sleep(max(0, float(sys.argv[2]) - time.time()))
evaluate_run(RunDir(Path(sys.argv[1])))
"""


def test_two_evaluators_write_each_line_once(dumping):
    for epoch in range(1, 9):
        dumping.dump(epoch, HIT)
    together = str(time.time() + 1.0)
    command = [sys.executable, "-c", EVALUATE, str(dumping.dir.path), together]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    epochs = [line["epoch"] for line in read_lines(dumping.attempt.evaluations_path)]
    assert epochs == list(range(1, 9))


def test_swapped_files_are_named(tmp_path):
    import json

    from detui.engine.errors import DataError
    from detui.engine.evaluate import evaluate_file

    path = tmp_path / "found.json"
    path.write_text(json.dumps([]))
    with pytest.raises(DataError, match="is a list, not a mapping") as caught:
        evaluate_file(path, path)
    assert "--predictions" in str(caught.value)
