"""detui on another host, run through the user's own ssh."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from detui.engine.errors import DetuiError, MissingError, RunError, UsageError
from detui.engine.remote.host import Host

PASSED = ("COLORTERM", "NO_COLOR")
"""Variables that tell the other side what this terminal can show; ssh itself passes TERM, and where allowed LANG."""

UNREACHED = 255
"""What ssh exits with where it could not connect, or the connection broke."""

INTERRUPTED = 130
"""What a command exits with after a Ctrl-C."""

ABSENT, NOT_A_PROGRAM = 127, 126
"""What a shell exits with where a command is not there, or cannot be run."""

_KINDS: Mapping[int, type[DetuiError]] = {2: UsageError, 3: MissingError}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command on another host ended."""

    code: int
    """Its exit code, or ssh's own."""
    words: str = ""
    """What ssh itself had to say; "" where that went to the terminal already."""


def remote_line(host: Host, words: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """Return the line for the other side's POSIX shell that runs its detui with these words, each quoted."""
    environ = os.environ if environ is None else environ
    passed = [f"{name}={environ[name]}" for name in PASSED if environ.get(name)]
    workspace = [] if host.workspace is None else ["--workspace", host.workspace]
    before = shlex.join(["env", *passed]) + " " if passed else ""
    return before + " ".join([_program(host.detui), *map(shlex.quote, [*workspace, *words])])


def _program(path: str) -> str:
    """Quote a program's path but for a `~/` at its beginning, which means the home there."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


def command_line(host: Host, line: str, *, terminal: bool) -> list[str]:
    """Return the ssh command that has the other side's shell run `line`, on a terminal there or without one."""
    return ["ssh", "-t" if terminal else "-T", host.ssh, "--", line]


def call(host: Host, words: Sequence[str], *, terminal: bool) -> Ended:
    """Run the host's detui on this process's own streams until it ends. Raises MissingError where there is no ssh.

    `terminal`: with a terminal there, on which keys, Ctrl-C and the size of the window arrive; what ssh itself says is
    kept then, for it would be written across the other side's screen.
    """
    command = command_line(host, remote_line(host, words), terminal=terminal)
    with tempfile.TemporaryFile() as said:
        # Without a terminal nothing there reads: ssh would only eat what a shell's loop wants to read itself.
        streams: dict[str, Any] = {"stderr": said} if terminal else {"stdin": subprocess.DEVNULL}
        code = _until_end(_started(command, **streams))
        return Ended(code, _text(said))


def _started(command: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, **streams)
    except FileNotFoundError as error:
        raise no_ssh() from error


def no_ssh() -> MissingError:
    """Return the error for a machine without ssh."""
    return MissingError("There is no program `ssh` here.", hint="apt install openssh-client, or your system's own way")


def _until_end(process: subprocess.Popen[bytes]) -> int:
    """Wait for ssh and return its exit code, 130 after a Ctrl-C; an end of this process is passed on to it.

    With a terminal there, Ctrl-C is a key that arrives there, and no signal here.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()  # ssh had the same Ctrl-C, unless it came to this process alone
        process.wait()
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 128 - code if code < 0 else code


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def problem(host: Host, ended: Ended) -> MissingError | None:
    """Return the error for an end that is not the remote detui's own, None for one that is."""
    if ended.code == UNREACHED:
        words = ended.words.splitlines()
        text = f"The connection to {host.name} failed or broke{f': {words[-1].strip()}' if words else '.'}"
        also = f"--host {host.alike}, or " if host.alike else ""
        hint = f"{also}ssh {shlex.quote(host.ssh)} true, until that works; runs there go on without a connection"
        return MissingError(text, where=f"ssh {host.ssh}", hint=hint)
    if ended.code in (ABSENT, NOT_A_PROGRAM):
        name = host.name if host.name != host.ssh else "lab"
        hint = f"hosts: {{{name}: {{ssh: {host.ssh}, detui: /path/to/.venv/bin/detui}}}} in the configuration"
        what = "There is no program {!r} on {}." if ended.code == ABSENT else "The program {!r} cannot be run on {}."
        return MissingError(what.format(host.detui, host.name), where=f"ssh {host.ssh}", hint=hint)
    return None


def answer(host: Host, words: Sequence[str]) -> Any:
    """Return what the host's detui prints as JSON.

    Raises the error that it reported, named after the host; MissingError where it cannot be reached or is not there;
    RunError where it answers something else.
    """
    command = command_line(host, remote_line(host, words), terminal=False)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise no_ssh() from error
    said = done.stderr.decode(errors="replace")
    if (unreached := problem(host, Ended(done.returncode, said.strip()))) is not None:
        raise unreached
    if done.returncode != 0:
        raise _reported(host, done.returncode, said)
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        first = done.stdout.decode(errors="replace").strip().split("\n")[0][:80]
        hint = f"ssh {shlex.quote(host.ssh)} true must print nothing: look into the shell's start-up files there"
        raise RunError(f"{host.name} answered no JSON, but {first!r}.", where=f"ssh {host.ssh}", hint=hint) from error


def _reported(host: Host, code: int, said: str) -> DetuiError:
    """Return the error that a remote detui printed, as one of here."""
    lines = said.strip().splitlines()
    begins = [index for index, line in enumerate(lines) if line.startswith("detui: error: ")]
    told = lines[begins[-1] :] if begins else lines[-1:]
    hints = [line.removeprefix("  try: ") for line in told if line.startswith("  try: ")]
    text = " ".join(line.removeprefix("detui: error: ").strip() for line in told if not line.startswith("  try: "))
    hint = f"{hints[0]} (on {host.name})" if hints else None
    kind = _KINDS.get(code, RunError)
    return kind(f"{host.name}: {text or f'its detui ended with {code}.'}", hint=hint)
