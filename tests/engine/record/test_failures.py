"""Failure cases: which boxes were missed and which made up, counted by hand, and the figure in the record."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from detui.engine.evaluate.matches import match
from detui.engine.record import failure_pictures, fill, record_path
from detui.engine.record.failures import judge, worst
from detui.engine.record.gather import gather
from detui.engine.record.pictures import ARMS, groups
from detui.engine.run.files import read_json

HERE, ELSEWHERE = [10, 10, 20, 20], [60, 60, 20, 20]


def truth(*boxes, images=(1, 2, 3)):
    """Boxes as (image, class, bbox), a crowd region with a fourth entry."""
    return {
        "images": [{"id": image, "file_name": f"{image}.png", "width": 100, "height": 100} for image in images],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3],
             "iscrowd": int(bool(crowd))}
            for number, (image, category, box, *crowd) in enumerate(boxes, start=1)
        ],
    }  # fmt: skip


def said(*boxes):
    """Detections as (image, class, bbox), by falling confidence."""
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": 0.9 - 0.01 * place}
        for place, (image, category, box) in enumerate(boxes)
    ]


def counts(verdict):
    return len(verdict.found), len(verdict.missed), len(verdict.false)


def test_found_missed_and_false_are_told_apart_box_by_box():
    known = truth((1, 1, HERE), (1, 1, ELSEWHERE))
    verdict = judge(known, said((1, 1, [11, 10, 20, 20]), (1, 1, [80, 10, 9, 9])), [1])[1]
    assert (verdict.found, verdict.missed, verdict.false) == ([HERE], [ELSEWHERE], [[80, 10, 9, 9]])


def test_a_wrong_class_is_a_miss_and_a_false_alarm():
    assert counts(judge(truth((1, 1, HERE)), said((1, 2, HERE)), [1])[1]) == (0, 1, 1)


def test_a_box_is_found_once():
    verdict = judge(truth((1, 1, HERE)), said((1, 1, HERE), (1, 1, [11, 10, 20, 20])), [1])[1]
    assert verdict.false == [[11, 10, 20, 20]] and counts(verdict) == (1, 0, 1)


@pytest.mark.parametrize(("width", "expected"), [(10, (1, 0, 0)), (9.9, (0, 1, 1))])
def test_the_overlap_must_be_a_half(width, expected):
    assert counts(judge(truth((1, 1, HERE)), said((1, 1, [10, 10, width, 20])), [1])[1]) == expected


def test_what_lies_on_a_crowd_region_is_neither_found_nor_false():
    known = truth((1, 1, HERE), (1, 1, [50, 50, 40, 40], "crowd"))
    detections = said((1, 1, HERE), (1, 1, [60, 60, 10, 10]), (1, 1, [75, 75, 10, 10]))
    assert counts(judge(known, detections, [1])[1]) == (1, 0, 0) and worst(known, [detections]) == []


def test_what_the_metric_drops_is_neither_missed_nor_false():
    """A region over one box and one detection; the drop step of the evaluator, and its 500 detections."""
    known = truth((1, 1, HERE), (1, 1, ELSEWHERE)) | {"ignore_regions": [{"image_id": 1, "bbox": [55, 55, 45, 45]}]}
    detections = said((1, 1, HERE), (1, 2, [70, 70, 10, 10]))
    verdict = judge(known, detections, [1])[1]
    assert (verdict.found, verdict.missed, verdict.false) == ([HERE], [], []) and worst(known, [detections]) == []
    many = [{"image_id": 1, "category_id": 1, "bbox": [1, 80, 9, 9], "score": 0.9} for _ in range(150)]
    assert counts(judge(known, [*many, *detections], [1])[1]) == (1, 0, 150)
    assert counts(judge({**known, "ignore_regions": None}, [*many, *detections], [1])[1]) == (0, 2, 101)


def test_a_picture_without_anything_has_an_empty_verdict():
    assert counts(judge(truth((1, 1, HERE)), [], [1, 2])[2]) == (0, 0, 0)
    assert counts(judge(truth((1, 1, HERE)), [], [1])[1]) == (0, 1, 0)


def test_the_worst_are_those_with_most_failures_over_all_arms():
    known = truth((1, 1, HERE), (2, 1, HERE), (2, 2, ELSEWHERE), (3, 1, HERE))
    first = said((1, 1, HERE), (2, 1, HERE), (3, 1, ELSEWHERE))  # failures 0, 1, 2
    second = said((2, 1, HERE), (2, 2, ELSEWHERE), (3, 1, HERE))  # failures 1, 0, 0
    assert worst(known, [first]) == [3, 2] and worst(known, [second]) == [1]
    assert worst(known, [first, second]) == [3, 1, 2], "equal counts stand by id"
    assert worst(known, [first, second], pictures=2) == [3, 1]


def test_false_alarms_on_a_picture_without_boxes_count():
    assert worst(truth((1, 1, HERE)), [said((1, 1, HERE), (3, 2, HERE))]) == [3]


def test_nothing_said_misses_everything_and_nothing_failed_chooses_nothing():
    known = truth((1, 1, HERE), (2, 1, HERE), (2, 1, ELSEWHERE))
    assert worst(known, [[]]) == [2, 1]
    assert worst(known, [said((1, 1, HERE), (2, 1, HERE), (2, 1, ELSEWHERE))]) == []


def test_verdicts_agree_with_the_evaluator_and_its_precision_and_recall(finished):
    facts = gather(finished.path)
    (sheet,) = failure_pictures.sheets(facts)
    known = read_json(sheet.prepared / "val.json")
    for subject in sheet.subjects:
        detections = subject.detections()
        verdicts = judge(known, detections, [entry["id"] for entry in known["images"]])
        found, missed, false = np.sum([counts(verdict) for verdict in verdicts.values()], axis=0)
        one = match(known, detections).by_area["all"]
        assert found == sum(c.found[0].sum() for c in one) and found + missed == sum(c.truth.sum() for c in one)
        assert false == sum((c.counted[0] & ~c.found[0]).sum() for c in one)
    run = facts.of(facts.arms[0])[0]
    assert sheet.subjects[0].confidence == run.chosen["values"]["val/F1_confidence"]
    assert sheet.subjects[0].run == (run.arm, min(finished.seeds), run.chosen["epoch"])


def test_the_record_shows_them_and_says_that_they_are_no_fair_sample(finished):
    english, chinese = (record_path(finished.path, language).read_text() for language in ("en", "zh"))
    assert "(figures/failures.png)" in english and "(figures/failures.png)" in chinese
    assert "no fair sample" in english and "并非公平的抽样" in chinese
    assert (finished.path / "figures" / "failures.png").stat().st_size > 5000


def test_the_figure_names_confidence_and_counts(finished):
    (sheet,) = failure_pictures.sheets(gather(finished.path))
    figure = failure_pictures.draw(sheet, "quick run: not a result")
    known = read_json(sheet.prepared / "val.json")
    chosen = worst(known, [subject.detections() for subject in sheet.subjects])
    verdicts = [judge(known, subject.detections(), chosen) for subject in sheet.columns]
    under = [axis.get_xlabel() for axis in figure.axes]
    there = [verdict[image] for image in chosen for verdict in verdicts]
    assert under == [f"missed {len(v.missed)} of {len(v.missed) + len(v.found)}, false {len(v.false)}" for v in there]
    assert [len(axis.patches) for axis in figure.axes] == [sum(counts(verdict)) for verdict in there]
    assert f"confidence >= {sheet.columns[0].confidence:g}" in figure.axes[0].get_title()
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["missed", "false alarm", "found"]


def test_more_arms_make_more_sheets_of_the_same_pictures(finished):
    (sheet,) = failure_pictures.sheets(gather(finished.path))
    one, other = sheet.subjects
    first = failure_pictures.Sheet(sheet.prepared, [one, other], [one])
    second = failure_pictures.Sheet(sheet.prepared, [one, other], [other])
    rows = [[axis.get_ylabel() for axis in failure_pictures.draw(part, "").axes] for part in (first, second)]
    assert rows[0] == rows[1] and first.key() != second.key()
    assert [len(group) for group in groups(range(ARMS + 1))] == [ARMS, 1]


def test_it_is_drawn_again_only_for_other_predictions_and_to_the_same_bytes(trial):
    trial.train_all()
    fill(trial.path)
    figure = trial.path / "figures" / "failures.png"
    before, at = figure.read_bytes(), figure.stat().st_mtime_ns
    fill(trial.path)
    assert figure.stat().st_mtime_ns == at
    figure.unlink()
    fill(trial.path)
    assert figure.read_bytes() == before
    (sheet,) = failure_pictures.sheets(gather(trial.path))
    sheet.columns[0].predictions.write_text("[]")
    fill(trial.path)
    assert figure.read_bytes() != before


def test_it_is_left_out_with_a_word_where_something_is_absent(trial, caplog):
    trial.train_all()
    (sheet,) = failure_pictures.sheets(gather(trial.path))
    kept = sheet.columns[0].predictions.read_bytes()
    for spoil in (sheet.columns[0].predictions.unlink, lambda: sheet.columns[0].predictions.write_text("[{")):
        caplog.clear()
        spoil()
        with caplog.at_level(logging.WARNING):
            fill(trial.path)
        assert "figures/failures.png" not in record_path(trial.path).read_text() and "failures" in caplog.text
    sheet.columns[0].predictions.write_bytes(kept)
    for picture in (trial.path.parent / "prepared" / "images").iterdir():
        picture.unlink()
    fill(trial.path)
    text = record_path(trial.path).read_text()
    assert "figures/failures.png" not in text and "figures/ap.png" in text


def test_nobody_failed_and_no_confidence_are_said(trial, caplog):
    trial.train_all()
    (sheet,) = failure_pictures.sheets(gather(trial.path))
    known = read_json(sheet.prepared / "val.json")
    perfect = [{**{k: a[k] for k in ("image_id", "category_id", "bbox")}, "score": 0.999} for a in known["annotations"]]
    for subject in sheet.subjects:
        subject.predictions.write_text(json.dumps(perfect))
    with caplog.at_level(logging.WARNING):
        fill(trial.path)
    assert "No arm has missed a box" in caplog.text
    lines = trial.runs["baseline-s0"].attempt(1).evaluations_path
    lines.write_text(lines.read_text().replace("val/F1_confidence", "val/other"))
    with caplog.at_level(logging.WARNING):
        fill(trial.path)
    assert "has no val/F1_confidence" in caplog.text and str(lines) in caplog.text
