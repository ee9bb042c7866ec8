"""Generated frames as files: drawn once for a set of options, then read like any other data set of frames.

They land in a folder named by their options below the cache, which appears whole: a list a split, in it a line a frame
like frame.json, and below frames/ the pictures and points.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from detui.engine.data.folders import appear_whole
from detui.engine.data.frame_checks import Candidate, Source
from detui.engine.data.frame_layouts import FusionScenesDefinition
from detui.engine.data.fusion_draw import POINT_COLUMNS, RENDERER, FusionScene, draw_frame
from detui.engine.data.png import encode_png
from detui.engine.data.reading import Progress, Reading
from detui.engine.errors import RecipeError
from detui.engine.run.files import encode


def draw_files(
    layout: FusionScenesDefinition, wanted: tuple[str, ...], limits: Mapping[str, int], cache: Path, progress: Progress
) -> Path:
    """The folder with the first frames of the wanted splits, drawn now if need be.

    Raises RecipeError when more frames are asked for than the definition has, RunError when it cannot be written.
    """
    counts = {name: _count(layout, name, limits.get(name)) for name in layout.splits if name in wanted}
    facts = [RENDERER, layout.options.model_dump(), counts]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    folder = cache / f"{layout.name}-drawn-{key}"

    def fill(new: Path) -> None:
        for name, count in counts.items():
            _draw_split(new, layout, name, count, progress)

    appear_whole(folder, fill)
    return folder


def read_split(layout: FusionScenesDefinition, reading: Reading, name: str, limit: int | None) -> Source:
    """The drawn frames of a split."""
    file = f"{name}.jsonl"
    lines = reading.content(reading.root / file).splitlines()
    found = (Candidate(file=file, line=number, entry=json.loads(line))
             for number, line in enumerate(islice(lines, limit), 1))  # fmt: skip
    return Source(layout.splits[name].frames, found)


def _count(layout: FusionScenesDefinition, name: str, limit: int | None) -> int:
    available = layout.splits[name].frames
    if limit is not None and limit > available:
        raise RecipeError(
            f"The split {name!r} of {layout.name} has {available} frames, and {limit} are asked for.",
            where=f"data: images of {name}",
            hint=f"ask for at most {available}, or define a larger split in a definition of your own",
        )
    return available if limit is None else limit


def _draw_split(root: Path, layout: FusionScenesDefinition, name: str, count: int, progress: Progress) -> None:
    lines = []
    for index in range(count):
        progress(f"drawing {name}", index, count)
        lines.append(_write(root, layout, name, index))
    progress(f"drawing {name}", count, count)
    (root / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def _write(root: Path, layout: FusionScenesDefinition, split: str, index: int) -> bytes:
    """Write the files of a frame; its line."""
    folder = f"frames/{split}/{index:06d}"
    (root / folder).mkdir(parents=True)
    scene = draw_frame(layout.options, split, index)
    (root / folder / "points.bin").write_bytes(scene.points.astype("<f4").tobytes())
    cameras = {}
    for camera, picture in zip(scene.cameras, scene.images, strict=True):
        file = f"{folder}/{camera.name}.png"
        (root / file).write_bytes(encode_png(picture))
        matrices = {"cam2img": camera.intrinsics.tolist(), "lidar2cam": camera.lidar_to_camera.tolist()}
        cameras[camera.name] = {"file": file, **matrices}
    return encode({
        "token": f"{split}-{index:06d}",
        "lidar": {"file": f"{folder}/points.bin", "dims": list(POINT_COLUMNS)},
        "cameras": cameras,
        "instances": list(_instances(scene, layout.options.classes)),
    })  # fmt: skip


def _instances(scene: FusionScene, classes: list[Any]) -> Iterator[dict[str, Any]]:
    rows = zip(scene.boxes.tolist(), scene.labels.tolist(), scene.num_lidar_points.tolist(), strict=True)
    for (x, y, z, width, length, height, yaw, *velocity), label, points in rows:
        box = [x, y, z, length, width, height, yaw]
        yield {"name": classes[label], "box": box, "velocity": velocity, "num_lidar_pts": points}
