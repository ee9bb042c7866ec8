"""States, folded from events.jsonl."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from detui.engine.run.directory import RunDir
from detui.engine.run.state import STATES, Crashed, Failed, Queued, Running, read_state, state_of


def test_each_state_has_its_own_word_and_letter() -> None:
    assert len({kind.word for kind in STATES}) == len({kind.letter for kind in STATES}) == 11
    assert [kind.word for kind in STATES if not kind.terminal] == ["queued", "starting", "running", "stopping"]


def test_the_last_known_event_is_the_state(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert read_state(run) == Queued()
    run.append_event("queued")
    assert isinstance(read_state(run), Queued) and read_state(run).at
    run.append_event("running", attempt=1, device=["cpu:0"])
    run.append_event("a state of a later version")
    with run.events_path.open("a") as file:
        file.write('{"at":"x","state":"fini')
    state = read_state(run)
    assert isinstance(state, Running) and state.device == ("cpu:0",)
    run.append_event("crashed", attempt=1, signal="SIGSEGV", reason=None, later=1)
    state = read_state(run)
    assert isinstance(state, Crashed) and (state.signal, state.terminal) == ("SIGSEGV", True)


@pytest.mark.parametrize("kind", STATES)
def test_every_state_can_be_read_from_a_bare_event(kind: type) -> None:
    assert state_of({"state": kind.word, "at": "2026"}) == kind(at="2026")


def test_a_state_carries_only_its_own_fields() -> None:
    assert {field.name for field in fields(Failed)} == {"at", "attempt", "code", "reason"}
    assert {field.name for field in fields(Queued)} == {"at", "reason"}
