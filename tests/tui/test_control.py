"""Asking runs: one that cannot be asked hinders no other, and what a resume repeats is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import detui.engine.process.control
from detui.engine.errors import RunError
from detui.engine.run.directory import RunDir
from detui.tui.control import ask, losses, what_is_lost
from detui.tui.screens.run_requests import question

from .conftest import write_experiment


@pytest.fixture
def runs(workspace: Path) -> list[RunDir]:
    """Three runs that have not ended."""
    path = write_experiment(workspace, runs={"a-s0": "queued", "b-s0": "queued", "c-s0": "queued"})
    return [RunDir(path / "runs" / name) for name in ("a-s0", "b-s0", "c-s0")]


@pytest.mark.parametrize("what", ["stop", "kill"])
def test_a_run_that_ends_meanwhile_hinders_no_other(
    runs: list[RunDir], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = detui.engine.process.control.request

    def request(run: RunDir, what: str) -> None:
        if run is runs[1]:  # it ends between the look and the request
            run.append_event("finished", attempt=1)
        original(run, what)

    monkeypatch.setattr(detui.engine.process.control, "request", request)
    answers = ask(runs, what)
    assert [answer.done for answer in answers] == [True, False, True]
    assert answers[1].text == "was not asked: The run has ended already: finished."
    assert (runs[2].control_dir / what).exists()


def test_a_broken_spec_can_be_stopped(runs: list[RunDir]) -> None:
    runs[0].spec_path.write_text("{")
    (runs[0].attempts_dir / "1" / "checkpoints").mkdir(parents=True)
    assert ask(runs[:1], "stop")[0].done


def test_what_a_stop_costs_is_said(workspace: Path, runs: list[RunDir]) -> None:
    other = write_experiment(workspace, "starter.x-20261120-134501", {"d-s0": "stopped", "e-s0": "stopped"})
    saved, bare = (RunDir(other / "runs" / name) for name in ("d-s0", "e-s0"))
    (bare.attempt(1).checkpoints / "resume.pt").unlink()
    assert what_is_lost(saved) == "the epoch in progress is repeated"
    assert what_is_lost(bare) == "it has no checkpoint: a resume begins again"
    for run in (saved, bare):
        run.append_event("running", attempt=2, device=["cpu:0"])
    assert what_is_lost(saved) == "on resume the epoch in progress is repeated"
    assert what_is_lost(bare).endswith("unless it saves one now, a resume begins again")
    assert losses([saved]) == "On resume the epoch in progress is repeated."
    assert "e-s0: it has no checkpoint yet" in question([saved, bare], "stop")
    assert "nothing is lost" in losses(runs)


def test_a_run_that_is_gone_is_an_answer(runs: list[RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(run: RunDir, what: str) -> None:
        raise RunError("No space left on device.")

    monkeypatch.setattr(detui.engine.process.control, "request", refuse)
    assert [answer.text for answer in ask(runs[:1], "stop")] == ["was not asked: No space left on device."]
