"""`detui evaluate` and `detui compare` as somebody types them."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from coco_cases import random_case
from nuscenes_cases import box, said, truth

from detui.engine.evaluate import evaluate

DETUI = str(Path(sys.executable).with_name("detui"))


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Anybody's results file and its ground truth."""
    truth, detections = random_case(random.Random(4))
    for name, content in (("truth.json", truth), ("found.json", detections)):
        (tmp_path / name).write_text(json.dumps(content))
    return str(tmp_path / "found.json"), str(tmp_path / "truth.json")


def detui(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DETUI, *words], capture_output=True, text=True, check=False)


def test_anybodys_results_without_a_run(files: tuple[str, str]) -> None:
    found, truth = files
    done = detui("evaluate", "--predictions", found, "--annotations", truth, "--json")
    assert done.returncode == 0, done.stderr
    expected = evaluate(json.loads(Path(truth).read_text()), json.loads(Path(found).read_text())).values
    assert json.loads(done.stdout)["values"] == pytest.approx(expected)
    given = ("evaluate", "--predictions", found, "--annotations", truth)
    reference = detui(*given, "--json", "--evaluator", "pycocotools")
    assert json.loads(reference.stdout)["values"] == pytest.approx(expected, abs=1e-12)
    text = detui("evaluate", "--predictions", found, "--annotations", truth).stdout
    assert f"{100 * expected['AP']:.2f}" in text and "at most 100 an image and class" in text
    table = detui("evaluate", "--predictions", found, "--annotations", truth, "--format", "csv").stdout
    rows = list(csv.reader(io.StringIO(table.split("\n\n")[0])))
    assert rows[0] == ["metric", "value"] and rows[1] == ["AP", f"{100 * expected['AP']:.2f}"]
    latex = detui("evaluate", "--predictions", found, "--annotations", truth, "--format", "latex").stdout
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 2


def test_the_ground_truth_chooses_the_metric(files: tuple[str, str]) -> None:
    found, truth = files
    content = json.loads(Path(truth).read_text())
    Path(truth).write_text(json.dumps({**content, "ignore_regions": []}))
    given = ("evaluate", "--predictions", found, "--annotations", truth)
    asked = json.loads(detui(*given, "--json").stdout)
    assert (asked["metric"], asked["max_dets"]) == ("visdrone", 500) and "drop step" in asked["evaluator"]
    assert asked == json.loads(detui(*given, "--json", "--metric", "visdrone").stdout)
    assert {"official_AP", "AR500", "AP_small", "precision"} <= asked["values"].keys()
    plain = json.loads(detui(*given, "--json", "--metric", "coco").stdout)
    assert (plain["metric"], plain["max_dets"]) == ("coco", 100) and "official_AP" not in plain["values"]
    text = detui(*given).stdout
    assert "official AP" in text and "at most 500 an image and class" in " ".join(text.split())


def test_frames_are_judged_in_the_manner_of_nuscenes(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(truth([("car", box(10, 0))])))
    (tmp_path / "found.json").write_text(json.dumps(said([("car", box(10.5, 0), 0.9)])))
    given = ("evaluate", "--predictions", str(tmp_path / "found.json"), "--annotations", str(tmp_path / "truth.json"))
    asked = json.loads(detui(*given, "--json").stdout)
    assert (asked["metric"], asked["max_dets"]) == ("nuscenes", 500) and asked["evaluator"].startswith(
        "nuScenes metric"
    )
    assert asked["values"]["mAP/car"] == pytest.approx(0.75) and asked["values"]["mAP/bus"] is None
    text = detui(*given).stdout
    assert "mATE (m)" in text and "0.5000" in text and "mAP ceiling" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "Name a RUN, or --predictions FILE"),
        (["--predictions", "{found}"], 2, "with --annotations FILE"),
        (["--predictions", "{found}", "--annotations", "{truth}", "--split", "test"], 2, "are for a RUN"),
        (["--predictions", "{found}.gone", "--annotations", "{truth}"], 3, "found.json.gone: This file is absent"),
        (["--predictions", "{truth}", "--annotations", "{truth}"], 1, "no list of detections"),
        (["--predictions", "{found}", "--annotations", "{truth}", "--metric", "visdrone"], 2, "no ignore regions"),
    ],
)
def test_wrong_usage_is_named(files: tuple[str, str], words: list[str], code: int, says: str) -> None:
    given = [word.format(found=files[0], truth=files[1]) for word in words]
    done = detui("evaluate", *given)
    assert done.returncode == code and says in done.stderr and "Traceback" not in done.stderr, done.stderr
