"""Which code this process imports: told from files alone, in milliseconds, without running git.

A run that waited in a queue, or was resumed, may start after the code has
changed; the commit that was noted at the launch is then not the one that ran.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def running_code() -> dict[str, Any]:
    """Return detui's `version`, `commit` and `tree`; None for what cannot be told."""
    import detui.engine.errors

    engine = Path(detui.engine.errors.__file__).resolve().parent
    return {"version": _version(), "commit": head_commit(engine.parent), "tree": tree_hash(engine)}


def tree_hash(folder: Path) -> str | None:
    """Return the SHA-256 of every Python file below `folder`, names and contents; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py"))
        for name, path in files:
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    except OSError:
        return None
    return f"sha256:{digest.hexdigest()}" if files else None


def head_commit(root: Path) -> str | None:
    """Return the commit that is checked out at `root` itself; None where `root` is no git work tree.

    Follows gitrepository-layout(5): `.git` may be a file that names the
    directory, and a branch may stand in a file of its own or in packed-refs.
    """
    try:
        git = _git_directory(root)
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head or None
        common = git / "commondir"
        places = (git, (git / common.read_text().strip()) if common.is_file() else git)
        return next((found for place in places if (found := _ref(place, head.removeprefix("ref: ")))), None)
    except (OSError, ValueError):
        return None


def _git_directory(root: Path) -> Path:
    git = root / ".git"
    return root / git.read_text().strip().removeprefix("gitdir: ") if git.is_file() else git


def _ref(git: Path, name: str) -> str | None:
    if (git / name).is_file():
        return (git / name).read_text().strip() or None
    packed = git / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split(" ", 1)[0] for line in lines if line.endswith(f" {name}")), None)


def _version() -> str | None:
    try:
        return version("detui")
    except PackageNotFoundError:
        return None
