"""A login manager that kills at logout: the supervisor is started in a scope, and without one where that fails.

logind itself needs a machine that systemd has booted; its commands are played by scripts here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from toy_runs import MakeRun

from detui.engine.devices import logind
from detui.engine.process.control import wait
from detui.engine.process.launch import launch


@pytest.fixture
def killing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose login manager kills at logout, for a user who lingers. Returns the folder of its commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder, "busctl", 'echo "b true"')
    script(folder, "loginctl", "echo yes")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(logind, "_BOOTED", tmp_path)
    return folder


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_the_supervisor_gets_a_scope(make_run: MakeRun, killing: Path, tmp_path: Path) -> None:
    said = tmp_path / "words"
    script(killing, "systemd-run", f'printf "%s\\n" "$@" > "{said}"; shift 5; exec "$@"')
    run = make_run()
    launch(run)
    assert wait([run], 30)[0].state.word == "finished"
    words = said.read_text().split("\n")
    assert (
        words[:5] == ["--user", "--scope", "--quiet", "--collect", "--"] and "detui.engine.process.supervisor" in words
    )


@pytest.mark.parametrize("absent", [True, False])
def test_without_a_manager_that_answers_it_starts_all_the_same(
    make_run: MakeRun, killing: Path, absent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if absent:
        monkeypatch.setenv("PATH", str(killing))
    else:
        script(killing, "systemd-run", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    run = make_run()
    launch(run)
    assert wait([run], 30)[0].state.word == "finished"
    assert absent or "Failed to connect to bus" in run.supervisor_log.read_text()
