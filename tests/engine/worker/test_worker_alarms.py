"""The detectors on synthetic curves, and through the reporter into the file."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import numpy as np

from detui.engine.run.alarms import marked
from detui.engine.run.directory import AttemptDir
from detui.engine.run.lines import read_lines
from detui.engine.worker import Reporter
from detui.engine.worker.alarms import CurveAlarms
from detui.engine.worker.stop import StopFlag


def fed(losses: list[float], *, stage: str = "main") -> tuple[list[tuple[int, str]], CurveAlarms]:
    alarms = CurveAlarms()
    found = [(step, alarms.step(step, {"train/loss_a": loss}, stage)) for step, loss in enumerate(losses, 1)]
    return [(step, text) for step, text in found if text], alarms


def falling(steps: int, noise: float = 0.3, seed: int = 0) -> list[float]:
    chance = random.Random(seed)
    return [(0.5 + 4.5 * math.exp(-step / 300)) * (1 + noise * chance.uniform(-1, 1)) for step in range(steps)]


def test_a_noisy_loss_that_falls_does_not_diverge() -> None:
    for seed in range(20):
        assert fed(falling(3000, noise=0.9, seed=seed))[0] == []


def test_a_loss_that_explodes_diverges_once_with_its_numbers() -> None:
    curve = falling(1000) + [0.7 * 1.02**step for step in range(400)]
    found, _ = fed(curve)
    assert len(found) == 1
    step, text = found[0]
    assert 1050 < step < 1250 and "its minimum was 0." in text and f"after step {step}" in text


def test_a_single_spike_and_a_loss_near_zero_are_no_divergence() -> None:
    spiked = falling(1000)
    spiked[800] = 500.0
    assert fed(spiked)[0] == []
    chance = random.Random(1)
    assert fed([math.exp(-step / 20) + 1e-6 * chance.random() for step in range(3000)])[0] == []
    assert fed([-5.0 - 0.001 * step for step in range(1000)])[0] == [], "a loss may be negative"


def test_a_new_stage_and_a_new_term_start_afresh() -> None:
    alarms = CurveAlarms()
    found = [alarms.step(step, {"train/loss_a": 0.1}, "one") for step in range(1, 500)]
    found += [alarms.step(step, {"train/loss_a": 5.0}, "two") for step in range(500, 1000)]
    found += [alarms.step(step, {"train/loss_a": 5.0, "train/loss_b": 90.0}, "two") for step in range(1000, 1500)]
    assert not any(found)


def test_numbers_that_are_not_finite_are_left_to_their_own_alarm() -> None:
    assert fed([*falling(200), math.nan, math.inf, *falling(200)])[0] == []


def epochs(*means: dict[str, float]) -> list[tuple[int, str, str]]:
    alarms = CurveAlarms()
    return [(e, *found) for e, values in enumerate(means, 1) for found in alarms.epoch(e, values, "main")]


def story(**known: dict[int, float]) -> list[dict[str, float]]:
    """Straight lines between the epochs at which a document states a value; `mAP` is what the framework validates."""
    names = {"cls": "train/loss_cls", "giou": "train/loss_giou", "mAP": "ultralytics/mAP50-95"}
    last = max(epoch for points in known.values() for epoch in points)
    return [{names[name]: float(np.interp(epoch, list(points), list(points.values())))
             for name, points in known.items()} for epoch in range(1, last + 1)]  # fmt: skip


def test_a_term_that_rises_while_the_other_falls() -> None:
    """A detector that was trained from scratch and reached 0.053, as a document tells it."""
    cls, giou = {1: 0.38, 10: 0.58, 50: 0.73, 100: 0.77}, {1: 1.67, 10: 1.35, 50: 1.08, 100: 0.96}
    assert epochs(*story(cls=cls, giou=giou, mAP={1: 0.001, 100: 0.053})) == [
        (6, "rising_term", "train/loss_cls rose from 0.38 (epoch 1) to 0.4911 (epoch 6), means over the epochs; "
         "meanwhile fell train/loss_giou from 1.67 to 1.492; ultralytics/mAP50-95 went from 0.001 to 0.003626."),
    ]  # fmt: skip


def test_where_the_metric_grows_the_alarm_says_that_in_the_same_words() -> None:
    """The counter-example: cls rises in a training that goes well, too."""
    cls, giou = {1: 0.45, 40: 0.61}, {1: 1.5, 40: 0.7}
    assert epochs(*story(cls=cls, giou=giou, mAP={1: 0.01, 40: 0.269})) == [
        (6, "rising_term", "train/loss_cls rose from 0.45 (epoch 1) to 0.4705 (epoch 6), means over the epochs; "
         "meanwhile fell train/loss_giou from 1.5 to 1.397; ultralytics/mAP50-95 went from 0.01 to 0.04321."),
    ]  # fmt: skip


def test_it_is_said_since_when_a_term_rises_and_since_when_the_others_fall() -> None:
    """In a warm-up all terms rise; the alarm comes when one goes on alone, and says where its rise began."""
    cls, giou = {1: 0.9, 8: 0.38, 10: 0.38, 11: 0.4, 25: 0.68}, {1: 1.0, 11: 1.0, 16: 1.4, 25: 0.95}
    ((epoch, _, text),) = epochs(*story(cls=cls, giou=giou))
    assert epoch == 20 and "rose from 0.38 (epoch 10) to 0.58 (epoch 20)" in text
    assert "since epoch 14 fell train/loss_giou from 1.24 to 1.2; the training itself reported no validation" in text
    chance = random.Random(0)
    noisy = story(cls={1: 0.9, 15: 0.4, 60: 0.8}, giou={1: 2.0, 60: 0.5})
    noisy = [{name: value + 0.014 * chance.random() for name, value in one.items()} for one in noisy]
    ((epoch, _, text),) = epochs(*noisy)
    assert epoch == 20 and "(epoch 15) to" in text, "small drops on the way do not end a rise"


def test_a_metric_that_few_epochs_report_comes_with_its_epochs() -> None:
    curve = story(cls={1: 0.38, 12: 0.6}, giou={1: 1.67, 12: 1.3})
    seldom = [{**one, **({"val2/map": 0.01 * e} if e in (2, 5) else {})} for e, one in enumerate(curve, 1)]
    assert epochs(*seldom)[0][2].endswith("; val2/map went from 0.02 (epoch 2) to 0.05 (epoch 5).")
    once = [{**one, **({"val2/map": 0.01} if e == 3 else {})} for e, one in enumerate(curve, 1)]
    said = epochs(*once)[0][2]
    assert said.endswith("; val2/map was 0.01 in epoch 3 and not reported in another of these epochs.")
    broken = [{**one, "val2/map": math.nan} for one in curve]
    assert epochs(*broken)[0][2].endswith("; the training itself reported no validation metric in these epochs.")


def test_no_word_of_the_alarm_is_a_verdict() -> None:
    curve = story(cls={1: 0.38, 10: 0.58}, giou={1: 1.67, 10: 1.35}, mAP={1: 0.001, 10: 0.01})
    verdicts = ("collaps", "diverg", "bad", "wrong", "fail", "problem", "only", "despite", "although", "should")
    assert not any(word in epochs(*curve)[0][2] for word in verdicts)


def test_terms_that_fall_together_or_rise_together_say_nothing() -> None:
    assert not epochs(*({"train/loss_a": 1 - 0.01 * e, "train/loss_b": 2 - 0.1 * e} for e in range(10)))
    assert not epochs(*({"train/loss_a": 1 + 0.1 * e, "train/loss_b": 2 + 0.1 * e} for e in range(10)))
    assert not epochs(*({"train/loss_a": 1 + 0.1 * e} for e in range(10))), "one term has no others"
    chance = random.Random(0)
    noisy = ({"train/loss_a": 1 + 0.01 * chance.random(), "train/loss_b": 2 - 0.1 * e} for e in range(15))
    assert not epochs(*noisy), "flat and noisy is not rising"


def test_means_are_taken_from_the_steps_where_an_epoch_has_none() -> None:
    alarms, found = CurveAlarms(), []
    for epoch in range(1, 8):
        for step in range(4):
            alarms.step(step, {"train/loss_a": 1 + 0.1 * epoch, "train/loss_b": 3 - 0.1 * epoch}, "main")
        found += alarms.epoch(epoch, {}, "main")
    assert [name for name, _ in found] == ["rising_term"] and "from 1.1 (epoch 1) to 1.6 (epoch 6)" in found[0][1]


def test_a_plateau_says_since_when() -> None:
    curve = [min(0.271, 0.02 * e) - (0.001 * (e - 14) if e > 14 else 0) for e in range(1, 61)]
    found = epochs(*({"ultralytics/mAP50-95": value, "train/loss_a": 1.0} for value in curve))
    assert [(epoch, name) for epoch, name, _ in found] == [(44, "plateau")]
    assert "since epoch 14: 0.271 then, 0.241 in epoch 44" in found[0][2]
    found = epochs(*({"train/loss_a": max(1.0, 2 - 0.1 * e)} for e in range(1, 61)))
    assert found == [(40, "plateau", "the total loss has not improved since epoch 10: 1 then, 1 in epoch 40.")]


def test_the_reporter_writes_marks_and_stops(hostile_path: Path) -> None:
    (hostile_path / "1").mkdir()
    attempt, stop = AttemptDir(hostile_path / "1"), StopFlag()
    report = Reporter(attempt, stop=stop)
    report.stop_on = frozenset({"rising_term"})
    for epoch in range(1, 10):
        values = {"train/loss_a": 1 + 0.1 * epoch, "train/loss_b": 3 - 0.1 * epoch}
        report.step(epoch, epoch, values)
        report.epoch(epoch, epoch, values)
        assert stop.requested == (epoch >= 6)
    report.alarm("nan", "x is nan")
    report.end("stopped")
    alarms = [line for line in read_lines(attempt.metrics_path) if line["kind"] == "alarm"]
    assert [(line["name"], line["step"]) for line in alarms] == [("rising_term", 6), ("nan", 9)]
    assert report.stop_reason == f"stop_on: rising_term: {alarms[0]['text']}"
    assert marked(attempt.path) == ["nan", "rising_term"]


def test_a_step_costs_a_few_microseconds() -> None:
    alarms = CurveAlarms()
    values = {f"train/loss_{name}": 1.0 for name in "abc"} | {f"lr/{name}": 0.1 for name in "abc"}
    best = math.inf
    for _ in range(5):
        begin = time.process_time()
        for step in range(2000):
            alarms.step(step, values, "main")
        best = min(best, (time.process_time() - begin) / 2000)
    assert best < 8e-6
