"""Which code ran: version, git commit, and the uncommitted changes beside it."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

DIFF_LIMIT = 5_000_000
"""Bytes of a diff that are kept; a longer one is cut, and says so at its end."""
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Code:
    """The code that an experiment runs."""

    version: str
    """Of detui."""
    commit: str | None
    """None where the code is in no git repository, or git is absent."""
    dirty: bool | None
    """Whether there were changes that no commit holds."""
    diff: str
    """Those changes, without files that git does not know."""
    tree: str | None = None
    """Hash of the engine's files, which every worker tells of what it imports itself."""

    def facts(self) -> dict[str, Any]:
        """For experiment.json; the diff itself is a file of its own."""
        return {**asdict(self), "diff": "code.diff" if self.diff else None}


def code_facts() -> Code:
    """The code of the running detui."""
    import detui.engine.errors
    from detui.engine.run.code import tree_hash

    folder = Path(detui.engine.errors.__file__).resolve().parent
    release = version("detui")
    commit = _git(folder, "rev-parse", "HEAD")
    # An installed package may lie inside somebody else's repository, as an ignored file.
    if commit is None or _git(folder, "ls-files", "--error-unmatch", "errors.py") is None:
        return Code(release, None, None, "", tree_hash(folder))
    status = _git(folder, "status", "--porcelain")
    diff = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff") or ""
    if len(diff) > DIFF_LIMIT:
        diff = diff[:DIFF_LIMIT] + "\n(cut here: the changes are longer)\n"
    return Code(release, commit.strip(), bool(status and status.strip()), diff if status else "", tree_hash(folder))


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command in `folder`; None when it fails, or when there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
