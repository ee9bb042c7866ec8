"""A real sshd on loopback, with keys of its own, and what a person's ~/.ssh/config would say of it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from toy_runs import until

DETUI = Path(sys.executable).with_name("detui")


@dataclass(frozen=True)
class Server:
    """A running sshd that lets one key in."""

    folder: Path
    daemon: subprocess.Popen[bytes]

    @property
    def config(self) -> Path:
        """The client's configuration: the host `lab`, and `asleep`, where nobody listens."""
        return self.folder / "client"

    def client(self, folder: Path) -> Path:
        """Make a folder for the beginning of PATH, whose `ssh` reads this configuration and no person's own."""
        folder.mkdir(exist_ok=True)
        script(folder / "ssh", f'exec {shutil.which("ssh")} -F {shlex.quote(str(self.config))} "$@"')
        return folder


def script(path: Path, text: str) -> Path:
    """Write a program for the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def detui_there(path: Path, environ: Mapping[str, str]) -> Path:
    """Write the `detui` of another host: this one, with variables of its own and none of the tests'."""
    passed = {name: os.environ[name] for name in ("DETUI_LEASES", "PYTHONPATH") if name in os.environ}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in {**passed, **environ}.items()]
    return script(path, "\n".join([*lines, f'exec {shlex.quote(str(DETUI))} "$@"']))


@contextmanager
def serving(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start sshd; skip the test where it is not installed. `environ`: what every login there has, without spaces."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("needs sshd, ssh and ssh-keygen (openssh-server)")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd, started as root, separates its privileges
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "ListenAddress": "127.0.0.1", "Port": port, "HostKey": folder / "host", "PidFile": folder / "pid",
        "AuthorizedKeysFile": folder / "user.pub", "StrictModes": "no", "UsePAM": "no", "PermitRootLogin": "yes",
        "PasswordAuthentication": "no",
    }  # fmt: skip
    if environ:
        settings["SetEnv"] = " ".join(f"{name}={value}" for name, value in environ.items())
    (folder / "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key}\n")
    (folder / "client").write_text(
        f"Host lab server\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder / 'user'}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known'}\n"
        "Host asleep\n  HostName 127.0.0.1\n  Port 1\n"
    )
    daemon = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    server = Server(folder, daemon)
    try:
        command = ["ssh", "-F", str(server.config), "lab", "true"]
        until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)
        yield server
    finally:
        daemon.kill()
        daemon.wait()


@dataclass(frozen=True)
class Lab:
    """Another host as a person has it in their configuration, and a laptop beside it."""

    server: Server
    there: Path
    """The home on the other host; its workspace is `there/logs`."""
    here: Path
    """The home of the laptop."""
    environ: Mapping[str, str]
    """The laptop's variables."""

    @property
    def workspace(self) -> Path:
        """Where experiments lie on the other host."""
        return self.there / "logs"

    def command(self, *words: str) -> list[str]:
        """A command line of the laptop's detui."""
        return [str(DETUI), *words]

    def detui(self, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run the laptop's detui without a terminal."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=120, check=False, cwd=self.here,
            env={**self.environ, **changed}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def configure(self, text: str) -> None:
        """Write the laptop's configuration."""
        Path(self.environ["DETUI_CONFIG"]).write_text(text, encoding="utf-8")


def lab_of(server: Server, folder: Path) -> Lab:
    """Make the two homes below a folder, whatever its name."""
    there, here = folder / "there", folder / "here"
    there.mkdir()
    here.mkdir()
    detui = detui_there(there / "detui", {"HOME": str(there), "DETUI_WORKSPACE": str(there / "logs")})
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DETUI_", "XDG_"))}
    environ = {**kept, "HOME": str(here), "DETUI_CONFIG": str(here / "config.yaml"),
               "DETUI_WORKSPACE": str(here / "logs"), "DETUI_LEASES": os.environ["DETUI_LEASES"],
               "PATH": f"{server.client(here / 'bin')}:{os.environ['PATH']}"}  # fmt: skip
    lab = Lab(server, there, here, environ)
    lab.configure(f"hosts:\n  lab: {{ssh: lab, detui: {json.dumps(str(detui), ensure_ascii=False)}}}\n")
    return lab
