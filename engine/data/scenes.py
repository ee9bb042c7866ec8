"""Generated scenes as files: drawn once for a set of options, then read like any other data set.

The scenes land in a folder named by their options below the cache. It
appears by one rename, whole; of two processes that draw the same scenes, the
second one's folder is thrown away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.data.definition import CocoDefinition, CocoSplit, SceneDefinition
from detui.engine.data.folders import appear_whole
from detui.engine.data.masks import run_lengths
from detui.engine.data.png import encode_png
from detui.engine.data.reading import Content, Progress, Reading
from detui.engine.errors import RecipeError
from detui.engine.run.files import write_json

if TYPE_CHECKING:
    from detui.engine.data.scene_draw import Scene
    from detui.engine.data.scene_options import SceneOptions

ID_STEP = 1_000_000
"""Image ids of the splits begin so far apart: an id does not depend on how many images others have."""


def draw_files(
    layout: SceneDefinition, wanted: tuple[str, ...], limits: Mapping[str, int], cache: Path, progress: Progress
) -> Path:
    """The folder with the first scenes of the wanted splits, drawn now if need be.

    Raises RecipeError when more scenes are asked for than the definition has, RunError when it cannot be written.
    """
    counts = {name: _count(layout, name, limits.get(name)) for name in layout.splits if name in wanted}
    options = layout.options
    folder = cache / f"{layout.name}-drawn-{_key(layout, counts)}"

    def fill(new: Path) -> None:
        for name, count in counts.items():
            first_id = list(layout.splits).index(name) * ID_STEP + 1
            _draw_split(new, options, name, range(first_id, first_id + count), progress)

    appear_whole(folder, fill)
    return folder


def as_coco(layout: SceneDefinition) -> CocoDefinition:
    """How the drawn files are to be read."""
    return CocoDefinition(
        format="coco",
        name=layout.name,
        title=layout.title,
        classes=list(layout.options.classes),
        splits={name: CocoSplit(annotations=f"{name}.json") for name in layout.splits},
    )


def read_scenes(layout: SceneDefinition, reading: Reading) -> Content:
    """Read drawn scenes through COCO's reader, with all its checks."""
    from detui.engine.data.coco import read_coco

    return read_coco(as_coco(layout), reading)


def _count(layout: SceneDefinition, name: str, limit: int | None) -> int:
    available = layout.splits[name].images
    if limit is not None and limit > available:
        raise RecipeError(
            f"The split {name!r} of {layout.name} has {available} scenes, and {limit} are asked for.",
            where=f"data: images of {name}",
            hint=f"ask for at most {available}, or define a larger split in a definition of your own",
        )
    return available if limit is None else limit


def _key(layout: SceneDefinition, counts: Mapping[str, int]) -> str:
    from detui.engine.data.scene_draw import RENDERER

    facts = [RENDERER, list(layout.splits), layout.options.model_dump(), dict(counts)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _draw_split(root: Path, options: SceneOptions, name: str, ids: range, progress: Progress) -> None:
    from detui.engine.data.scene_draw import draw_scene

    for folder in ["images", *(["depth"] if options.depth else [])]:
        (root / folder / name).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, image_id in enumerate(ids):
        progress(f"drawing {name}", index, len(ids))
        scene = draw_scene(options, name, index)
        images.append(_write(root, options, name, image_id, scene))
        annotations += list(_annotations(scene, image_id, len(annotations) + 1, options.masks))
    progress(f"drawing {name}", len(ids), len(ids))
    categories = [{"id": number, "name": shape} for number, shape in enumerate(options.classes, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(root / f"{name}.json", content)


def _write(root: Path, options: SceneOptions, split: str, image_id: int, scene: Scene) -> dict[str, Any]:
    file = f"images/{split}/{image_id:012d}.png"
    (root / file).write_bytes(encode_png(scene.image))
    entry: dict[str, Any] = {"id": image_id, "file_name": file, "width": options.size, "height": options.size}
    if options.depth:
        entry["depth_file"] = f"depth/{split}/{image_id:012d}.png"
        (root / entry["depth_file"]).write_bytes(encode_png(scene.depth))
    return entry


def _annotations(scene: Scene, image_id: int, first_id: int, masks: bool) -> Iterator[dict[str, Any]]:
    for number, thing in enumerate(scene.objects):
        entry: dict[str, Any] = {
            "id": first_id + number,
            "image_id": image_id,
            "category_id": thing.category + 1,
            "bbox": list(thing.box),
            "area": int(thing.mask.sum()),
            "iscrowd": 0,
        }
        if masks:
            entry["segmentation"] = run_lengths(thing.mask)
        yield entry
