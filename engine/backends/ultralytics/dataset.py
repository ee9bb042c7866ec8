"""A private view of prepared data for one attempt.

Ultralytics writes a label cache beside the labels it reads, so two runs that
share a data set would write the same file. Each attempt therefore sees the
prepared folders through its own links, and the cache lands in the attempt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics.inputs import RGB, RGBD
from detui.engine.errors import MissingError, RunError

ROLES = ("train", "val")
DEPTH = "detui_depth"
"""The entry of Ultralytics' data dictionary that says how depth maps are encoded; without it, pictures are RGB."""


def private_view(data: Mapping[str, Any], folder: Path, roles: Sequence[str] = ROLES, channels: int = RGB) -> Path:
    """Write the lists of images and the data YAML below `folder`; returns the YAML.

    The lists name absolute paths through links, because Ultralytics resolves
    the folders it is given but not the lines of a list. `channels`: 4 for
    pictures with their depth. Raises MissingError when the prepared data is
    gone, RunError where it has no depth.
    """
    prepared = Path(data["prepared"]) / "yolo"
    folder.mkdir(parents=True, exist_ok=True)
    inputs = reading(data, channels)
    for role in roles:
        _link(prepared, folder, role, ("images", "labels", "depth") if DEPTH in inputs else ("images", "labels"))
    # JSON is YAML, and quotes a path whatever characters it holds.
    names = dict(enumerate(data["classes"]))
    content = {"path": str(folder), **{role: f"{role}.txt" for role in roles}, "names": names, **inputs}
    view = folder / "data.yaml"
    view.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return view


def reading(data: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """What Ultralytics' data dictionary says of the pictures. Raises RunError for depth that the data does not have."""
    if channels == RGB:
        return {"channels": RGB}
    depth = data.get("depth")
    if channels != RGBD or not depth:
        message = f"The network takes pictures of {channels} channels, and the run's data has "
        message += "RGB and depth." if depth else "RGB alone."
        raise RunError(message, where="data.depth", hint="name data that has depth maps, with depth: true")
    return {"channels": RGBD, DEPTH: {"encoding": depth["encoding"], "far": depth.get("far")}}


def depth_file(image: str | Path) -> Path:
    """The depth map of a picture of a private view: `…/images/<role>/<id>.jpg` to `…/depth/<role>/<id>.png`."""
    path = Path(image)
    return path.parents[2] / "depth" / path.parent.name / f"{path.stem}.png"


@contextmanager
def datasets(dictionary: Mapping[str, Any]) -> Iterator[None]:
    """Within this, Ultralytics' builders make data sets that stack depth, where its data dictionary has it."""
    if DEPTH not in dictionary:
        yield
        return
    from detui.engine.backends.ultralytics.rgbd import stacked_datasets

    with stacked_datasets():
        yield


def _link(prepared: Path, folder: Path, role: str, kinds: Sequence[str]) -> None:
    for kind in kinds:
        link, target = folder / kind / role, prepared / kind / role
        if not target.is_dir():
            raise MissingError(f"The prepared data is gone: {target}.", hint="start the experiment again")
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target, target_is_directory=True)
    images = sorted(path.name for path in (prepared / "images" / role).iterdir())
    lines = [str(folder / "images" / role / name) for name in images]
    (folder / f"{role}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
