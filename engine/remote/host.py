"""Which host is meant, and what is known of it: from the configuration, or from `user@server` alone."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from detui.engine.configuration import Configuration
from detui.engine.errors import UsageError

_NAME = re.compile(r"(?!-)[^\s/:@]+(@(?!-)[^\s/:@]+)?")
"""A host, a name of ~/.ssh/config, or user@host. What begins with a dash would be an option of ssh."""


@dataclass(frozen=True, slots=True)
class Host:
    """Another host, as commands are run there."""

    name: str
    """What commands call it."""
    ssh: str
    """What ssh calls it: a host, a name of ~/.ssh/config, or user@host."""
    detui: str = "detui"
    """The program there: a name that its shell finds, or a path, which may begin with `~/`."""
    workspace: str | None = None
    """The workspace there; None leaves it to that host's own configuration."""
    alike: str | None = None
    """The nearest name in the configuration, where this one is not in it."""


def find_host(configuration: Configuration, name: str) -> Host:
    """Return the host that `name` means: one of the configuration's `hosts`, or else what ssh knows by that name.

    Raises UsageError where it cannot be a host.
    """
    known = configuration.hosts
    settings = known.get(name)
    if settings is None:
        alike = difflib.get_close_matches(name, known, 1)
        return Host(name, _checked(name, "--host"), alike=alike[0] if alike else None)
    target = settings.get("ssh")
    ssh = _checked(target.value, target.source) if target else _checked(name, "--host")
    chosen = {key: settings[key].value for key in ("detui", "workspace") if key in settings}
    return Host(name, ssh, **chosen)


def _checked(ssh: str, where: str) -> str:
    if not _NAME.fullmatch(ssh):
        hint = "user@server, or a name of ~/.ssh/config, where its port, key and jump host are said"
        raise UsageError(f"{ssh!r} names no host.", where=where, hint=hint)
    return ssh
