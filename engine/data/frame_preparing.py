"""Preparing frames for a run: the recipe's selection as a folder with a list of frames and a ground truth a role.

The list is self-contained: whoever trains reads no pickle, and no definition. Pictures and points stay where they are.
`frames.open_frames` opens what `dataset.json` says; the ground truth (frame_truth.py) is what detections are judged by.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.configuration import Configuration
from detui.engine.data.definition import DatasetDefinition
from detui.engine.data.density import density_of
from detui.engine.data.frame_checks import Kept
from detui.engine.data.frame_sets import FrameSet, fingerprint_of, open_frame_set
from detui.engine.data.frame_truth import METRIC, write_truth
from detui.engine.data.problems import Ledger, ProblemSummary
from detui.engine.data.reading import Progress
from detui.engine.errors import RecipeError
from detui.engine.run.files import SCHEMA, write_json, write_whole

Roles = Mapping[str, tuple[str, "int | None"]]
"""By role: the split, and how many of its frames."""


def open_roles(
    definition: DatasetDefinition, configuration: Configuration, roles: Roles, limits: Mapping[str, int],
    options: Mapping[str, Any] | None, cache: Path, progress: Progress,
) -> tuple[FrameSet, dict[str, tuple[Kept, ...]], tuple[ProblemSummary, ...]]:  # fmt: skip
    """The data set, the frames of each role, and what is wrong between roles. Raises as `open_frame_set` does."""
    found = open_frame_set(
        definition, configuration, options=options, splits=tuple(dict.fromkeys(split for split, _ in roles.values())),
        limits=limits, cache=cache, progress=progress,
    )  # fmt: skip
    chosen = {role: _choose(found, role, *wanted) for role, wanted in roles.items()}
    return found, chosen, _shared(definition, found, roles, chosen)


def describe(
    found: FrameSet, chosen: Mapping[str, tuple[Kept, ...]], shared: Sequence[ProblemSummary]
) -> dict[str, Any]:
    """What ``dataset.json`` says: the fields that other data has, `images` being frames, and `format`."""
    return {
        "schema": SCHEMA,
        "name": found.name,
        "title": found.title,
        "format": "frames",
        "metric": METRIC,
        "fingerprint": fingerprint_of(found.classes, chosen),
        "generated": found.generated,
        "classes": list(found.classes),
        "root": str(found.root),
        "splits": {
            role: {"json": f"{role}.json", "frames": f"{role}.jsonl", **counts(frames)}
            for role, frames in chosen.items()
        },
        "problems": [problem.to_json() for problem in (*found.summary, *shared)],
    }


def counts(frames: Sequence[Kept]) -> dict[str, Any]:
    """Frames and boxes of a split. An object is a box with a point of the LiDAR: the others nobody is asked to find."""
    density = density_of([len(frame.labels) - frame.empty for frame in frames])
    boxes = sum(len(frame.labels) for frame in frames)
    empty = sum(frame.empty for frame in frames)
    return {
        "images": len(frames),
        "views": max((frame.views for frame in frames), default=0),
        "boxes": boxes,
        "objects": boxes - empty,
        "objects_per_image": {"mean": density.mean, "median": density.median} if density else None,
        "empty_boxes": empty,
        "unknown_velocities": sum(frame.still_unknown for frame in frames),
    }


def by_class(frames: Sequence[Kept], classes: Sequence[str]) -> dict[str, int]:
    """Boxes by class, in the order of the classes."""
    found = Counter(label for frame in frames for label in frame.labels)
    return {name: found[number] for number, name in enumerate(classes)}


def write(folder: Path, info: dict[str, Any], chosen: Mapping[str, tuple[Kept, ...]]) -> None:
    """Fill a prepared folder. Raises RunError."""
    for role, frames in chosen.items():
        write_whole(folder / f"{role}.jsonl", b"".join(frame.line + b"\n" for frame in frames))
        write_truth(folder / f"{role}.json", (json.loads(frame.line) for frame in frames), info["classes"])
    write_json(folder / "dataset.json", info)


def _choose(found: FrameSet, role: str, name: str, wanted: int | None) -> tuple[Kept, ...]:
    split = found.splits[name]
    if wanted is not None and wanted > split.available:
        raise RecipeError(
            f"The split {name!r} of {found.name} has {split.available} frames, {wanted} are asked for.",
            where=f"data.{role}.images",
            hint=f"ask for at most {split.available}",
        )
    if not split.frames[:wanted]:
        raise RecipeError(f"No frame of {found.name} is left for {role}.", where=f"data.{role}")
    return split.frames[:wanted]


def _shared(
    definition: DatasetDefinition, found: FrameSet, roles: Roles, chosen: Mapping[str, tuple[Kept, ...]]
) -> tuple[ProblemSummary, ...]:
    """Frames in two roles: a leak. An error, unless the recipe itself names one split twice."""
    ledger = Ledger(definition.layout.on_problem)
    owner: dict[str, str] = {}
    for role, frames in chosen.items():
        for frame in frames:
            other = owner.setdefault(frame.token, role)
            if other != role:
                same = roles[other][0] == roles[role][0]
                reason = f"the frame {frame.token} is in {other} and in {role}"
                ledger.report("in_two_splits", frame.token, None, reason, action="keep" if same else None)
    ledger.raise_errors(found.name, found.root)
    return ledger.summary()
