"""What `detui data check` says of frames of cameras and LiDAR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detui.tui.data_lines import class_lines, problem_lines, published_lines

if TYPE_CHECKING:
    from detui.engine.configuration import Configuration
    from detui.engine.data import DatasetDefinition
    from detui.engine.data.reading import Progress


def check_frames(
    definition: DatasetDefinition, configuration: Configuration, decode: bool, progress: Progress
) -> dict[str, Any]:
    """Read a data set of frames whole; everything that the command says, as JSON has it. Raises MissingError."""
    from detui.engine.data.frame_preparing import by_class, counts
    from detui.engine.data.frame_sets import fingerprint_of, open_frame_set

    found = open_frame_set(definition, configuration, progress=progress, decode=decode, tolerate=True)
    return {
        "schema": 1,
        "name": found.name,
        "title": found.title,
        "format": "frames",
        "definition": str(definition.path),
        "root": str(found.root),
        "generated": found.generated,
        "classes": list(found.classes),
        "splits": {
            name: {**counts(split.frames), "objects_by_class": by_class(split.frames, found.classes)}
            for name, split in found.splits.items()
        },
        "published": [
            {"what": c.what, "published": c.published, "found": c.found, "ok": c.ok} for c in found.checksums
        ],
        "problems": [problem.to_json() for problem in found.summary],
        "fingerprint": fingerprint_of(found.classes, {name: split.frames for name, split in found.splits.items()}),
        "ok": all(problem.action != "error" for problem in found.summary),
    }


def frame_lines(facts: dict[str, Any]) -> list[str]:
    """The same as lines of text."""
    lines = [f"{facts['title']} ({facts['name']})", f"  at {facts['root']}", f"  classes: {len(facts['classes'])}"]
    for name, split in facts["splits"].items():
        density = split["objects_per_image"]
        lines.append(
            f"  {name}: {split['images']} frames of {split['views']} cameras, {split['boxes']} boxes:"
            f" {split['empty_boxes']} without a point of the LiDAR, {split['unknown_velocities']} of unknown velocity"
        )
        if density:
            lines.append(f"    boxes with points a frame: mean {density['mean']:.2f}, median {density['median']:g}")
    lines += class_lines(facts["splits"]) + published_lines(facts["published"]) + problem_lines(facts["problems"])
    lines.append(f"  fingerprint: {facts['fingerprint']}")
    lines.append("  usable" if facts["ok"] else "  NOT usable: mend what is marked ERROR, or choose an action for it")
    return lines
