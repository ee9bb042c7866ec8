"""A private view of prepared data for one attempt.

Ultralytics writes a label cache beside the labels it reads, so two runs that
share a data set would write the same file. Each attempt therefore sees the
prepared folders through its own links, and the cache lands in the attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.errors import MissingError

ROLES = ("train", "val")


def private_view(data: Mapping[str, Any], folder: Path, roles: Sequence[str] = ROLES) -> Path:
    """Write the lists of images and the data YAML below `folder`; returns the YAML.

    The lists name absolute paths through links, because Ultralytics resolves
    the folders it is given but not the lines of a list. Raises MissingError
    when the prepared data is gone.
    """
    prepared = Path(data["prepared"]) / "yolo"
    folder.mkdir(parents=True, exist_ok=True)
    for role in roles:
        _link(prepared, folder, role)
    # JSON is YAML, and quotes a path whatever characters it holds.
    names = dict(enumerate(data["classes"]))
    content = {"path": str(folder), **{role: f"{role}.txt" for role in roles}, "names": names}
    view = folder / "data.yaml"
    view.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return view


def _link(prepared: Path, folder: Path, role: str) -> None:
    for kind in ("images", "labels"):
        link, target = folder / kind / role, prepared / kind / role
        if not target.is_dir():
            raise MissingError(f"The prepared data is gone: {target}.", hint="start the experiment again")
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target, target_is_directory=True)
    images = sorted(path.name for path in (prepared / "images" / role).iterdir())
    lines = [str(folder / "images" / role / name) for name in images]
    (folder / f"{role}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
