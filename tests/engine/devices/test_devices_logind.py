"""What happens at logout: logind's own answer, as its commands give it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detui.engine.devices import logind
from detui.engine.devices.logind import Logout, at_logout


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH, and no configuration of this machine's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(logind, "_ETC", tmp_path / "systemd")
    return folder


def command(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(("word", "kills"), [("true", True), ("false", False)])
@pytest.mark.parametrize(("linger", "lingers"), [("yes", True), ("no", False), ("", None)])
def test_logind_is_asked(commands: Path, word: str, kills: bool, linger: str, lingers: bool | None) -> None:
    command(commands, "busctl", f'[ "$5" = KillUserProcesses ] && echo "b {word}"')
    command(commands, "loginctl", f'[ "$1" = show-user ] && echo "{linger}"')
    assert at_logout() == Logout(kills, lingers, "logind")


def test_its_files_are_read_where_it_does_not_answer(commands: Path, tmp_path: Path) -> None:
    command(commands, "busctl", "echo 'Failed to connect to bus' >&2; exit 1")
    assert at_logout() == Logout(None, None, "no systemd-logind")
    (tmp_path / "systemd" / "logind.conf.d").mkdir(parents=True)
    main = tmp_path / "systemd" / "logind.conf"
    main.write_text("[Login]\n#KillUserProcesses=yes\n")
    assert at_logout() == Logout(False, None, "logind's default")
    main.write_text("[Login]\nKillUserProcesses = yes\n")
    assert at_logout() == Logout(True, None, str(main))
    extra = tmp_path / "systemd" / "logind.conf.d" / "90-site.conf"
    extra.write_text("[Login]\nKillUserProcesses=no\n")
    assert at_logout() == Logout(False, None, str(extra)), "a drop-in wins over the main file"


@pytest.mark.parametrize(("kills", "linger", "scope", "mortal"), [
    ("true", "yes", True, False), ("true", "no", False, True), ("false", "no", False, False),
])  # fmt: skip
def test_who_needs_a_scope_and_who_cannot_be_helped(
    commands: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kills: str, linger: str, scope: bool, mortal: bool
) -> None:
    command(commands, "busctl", f'echo "b {kills}"')
    command(commands, "loginctl", f'echo "{linger}"')
    monkeypatch.setattr(logind, "_BOOTED", tmp_path / "not there")
    assert logind.outliving() == () and not logind.mortal(), "nobody is asked where systemd does not run"
    monkeypatch.setattr(logind, "_BOOTED", tmp_path)
    assert (bool(logind.outliving()), logind.mortal()) == (scope, mortal)


def test_a_command_that_hangs_is_given_up(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logind, "_SECONDS", 0.3)
    monkeypatch.setenv("PATH", f"{commands}:{os.defpath}")
    command(commands, "busctl", "exec sleep 60")
    command(commands, "loginctl", "exec sleep 60")
    assert at_logout().kills in (None, False)
