"""Copies of experiments that lie on another host: what they are copies of, and where work on them is done.

`detui pull` writes pulled.json beside experiment.json. What runs of a copy do now is not known here: they are shown as
they were, and nothing is asked of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from detui.engine.errors import FormatError, RunError
from detui.engine.run.files import read_json_if_there, write_json

PULLED = "pulled.json"
"""File of an experiment that was copied from another host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """Where a copy came from."""

    host: str
    """What commands call the host: a name of the configuration, or `user@server`."""
    ssh: str
    """What ssh calls it."""
    path: str
    """Where the experiment lies there."""
    at: str
    """When the latest copy was begun: UTC, "2026-11-20T13:45:00.123Z"."""
    records: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each record as it came, by file name: one that differs was written in here."""

    def command(self, *words: str) -> str:
        """Return the command line that does something there: `detui --host lab stop last`."""
        return shlex.join(["detui", "--host", self.host, *words])

    @property
    def day(self) -> str:
        """When it was copied, for people: "2026-11-20 13:45 UTC"."""
        return f"{self.at[:16].replace('T', ' ')} UTC"

    def write(self, experiment_dir: Path) -> None:
        """Write pulled.json. Raises RunError."""
        about = {"host": self.host, "ssh": self.ssh, "path": self.path, "at": self.at, "records": dict(self.records)}
        write_json(experiment_dir / PULLED, about)


def pulled(experiment_dir: Path) -> Pulled | None:
    """Return where an experiment was copied from, None for one of this host. Raises FormatError for a broken file."""
    file = experiment_dir / PULLED
    found = read_json_if_there(file)
    if found is None:
        return None
    said = [found.get(name) for name in ("host", "ssh", "path", "at")]
    if not all(isinstance(one, str) for one in said):
        raise FormatError("It does not say where the copy came from.", where=str(file))
    host, ssh, path, at = map(str, said)
    return Pulled(host=host, ssh=ssh, path=path, at=at, records=found.get("records") or {})


def refuse_copy(experiment_dir: Path, *words: str) -> None:
    """Raise RunError where an experiment is a copy; `words` is the command that does the same there."""
    found = pulled(experiment_dir)
    if found is not None:
        text = f"This is a copy of an experiment on {found.host}: what is done to it is done there."
        raise RunError(text, where=str(experiment_dir), hint=found.command(*words))
