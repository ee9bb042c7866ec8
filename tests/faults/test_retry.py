"""Retrying repeats accidents, and nothing that somebody meant."""

from __future__ import annotations

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.process.control import request, supervised, wait
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.tui import control


def over(run: RunDir) -> str:
    word = wait([run], 30)[0].state.word
    until(lambda: not supervised(run))
    return word


@pytest.mark.parametrize(("at", "word"), [("exit-3", "failed"), ("kill", "crashed"), ("memory", "oom")])
def test_an_accident_is_repeated_from_its_checkpoint(make_run: MakeRun, at: str, word: str) -> None:
    run = make_run({"at": at, "when": 8, "seconds": 0.01})
    launch(run)
    assert over(run) == word
    (answer,) = control.retry([run])
    assert answer.done and answer.text.startswith("goes on in a new attempt")
    assert over(run) == word, "the same settings end the same way"
    assert (run.attempt(2).info() or {})["resume"]["step"] == 5


def test_a_fresh_one_begins_again(make_run: MakeRun) -> None:
    run = make_run({"at": "kill", "when": 8, "seconds": 0.01})
    launch(run)
    over(run)
    (answer,) = control.retry([run], fresh=True)
    assert answer.done and "begins again" in answer.text
    over(run)
    assert (run.attempt(2).info() or {}).get("resume", "absent") is None
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 9))
    assert (run.attempt(1).checkpoints / "resume.json").exists(), "what was saved before stays"


def test_what_was_meant_is_left_alone(make_run: MakeRun) -> None:
    finished, stopped = make_run({"seconds": 0}, seed=1), make_run({"seconds": 0.1}, seed=2)
    launch(finished)
    assert over(finished) == "finished"
    launch(stopped)
    until(lambda: steps_made(stopped) >= 1)
    (running,) = control.retry([stopped])
    assert not running.done and running.text.startswith("has not ended: ")
    request(stopped, "stop")
    assert over(stopped) == "stopped"
    answers = control.retry([finished, stopped])
    assert [answer.done for answer in answers] == [False, False]
    assert answers[0].text == "is finished" and "was ended on request: stopped" in answers[1].text
    assert len(finished.attempts()) == len(stopped.attempts()) == 1
