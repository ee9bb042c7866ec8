"""Whether the login manager kills what a user leaves running at logout (systemd-logind, logind.conf(5))."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ETC = Path("/etc/systemd")
_BOOTED = Path("/run/systemd/system")
_SECONDS = 5.0
_KILLS = ("busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
          "org.freedesktop.login1.Manager", "KillUserProcesses")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Logout:
    """What happens to a run when its user logs out."""

    kills: bool | None
    """Whether all processes of the session are killed; None where no login manager is found."""
    lingers: bool | None
    """Whether this user's own manager stays without a session; None where it cannot be told."""
    source: str
    """Who said so: "logind", a file, or "no systemd-logind"."""


def at_logout() -> Logout:
    """Ask logind itself; where it does not answer, read its configuration files."""
    answer = _ask(_KILLS)
    if answer in ("b true", "b false"):
        return Logout(answer == "b true", _lingers(), "logind")
    for file in [*sorted((_ETC / "logind.conf.d").glob("*.conf"), reverse=True), _ETC / "logind.conf"]:
        value = _setting(file, "KillUserProcesses")
        if value is not None:
            return Logout(value, _lingers(), str(file))
    there = (_ETC / "logind.conf").is_file()
    return Logout(False if there else None, _lingers(), "logind's default" if there else "no systemd-logind")


def outliving() -> tuple[str, ...]:
    """Return the words before a command that let it outlive the logout: none where nothing is killed.

    A scope of the user's own manager lasts as long as that manager, which stays after logout where lingering is on.
    """
    scope = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")
    return scope if (found := _if_booted()).kills and found.lingers else ()


def mortal() -> bool:
    """Return whether what this user leaves running dies at logout, whatever it is started with."""
    return bool((found := _if_booted()).kills and not found.lingers)


def _if_booted() -> Logout:
    """Ask only where systemd runs (what sd_booted(3) looks at): elsewhere nobody kills, and asking costs time."""
    return at_logout() if _BOOTED.is_dir() else Logout(None, None, "no systemd-logind")


def _lingers() -> bool | None:
    answer = _ask(("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value"))
    return {"yes": True, "no": False}.get(answer or "")


def _ask(command: Sequence[str]) -> str | None:
    """Return what a command prints, None where it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _setting(file: Path, name: str) -> bool | None:
    """Return a boolean of a file in the format of systemd.syntax(7), the last one that is set; None where none is."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() == name:
            found = value.strip().lower() in ("yes", "y", "true", "t", "on", "1")
    return found
