"""Masks on the record's pictures: where they lie, how truth and detections are told apart, and what is not drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuned import Tuned, shape

from detui.engine.data.masks import mask_of, run_lengths
from detui.engine.record import failure_pictures, miss_pictures, pictures
from detui.engine.record.gather import gather
from detui.engine.record.mask_drawing import draw_mask
from detui.engine.run.files import write_json

GREY = (128, 128, 128)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """One arm, one seed, a few epochs; its truth has a void region on the last picture."""
    made = Tuned(tmp_path_factory.mktemp("pictures"), seeds=(0,))
    made.train("coco-s0", 3)
    return made


def axis_with(height: int, width: int) -> Any:
    """An axis that shows a grey picture as the record's grid does."""
    from matplotlib.figure import Figure

    axis = Figure(figsize=(width / 50, height / 50), dpi=100).add_axes((0, 0, 1, 1))
    axis.imshow(np.full((height, width, 3), 128, np.uint8))
    axis.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    axis.axis("off")
    return axis


def seen(axis: Any) -> np.ndarray:
    """[height, width, 3] The pixels of the figure that an axis fills."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(axis.figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def test_run_lengths_come_back_as_their_mask() -> None:
    draw = np.random.default_rng(0)
    for height, width in ((1, 1), (3, 7), (40, 20)):
        mask = draw.random((height, width)) < 0.4
        found = mask_of(run_lengths(mask), height, width)
        assert found is not None and found.shape == (height, width) and np.array_equal(found, mask)


def test_compressed_run_lengths_are_the_reference_s() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    mask = shape([4, 6, 22, 15], 1, 31, 40)
    encoded = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    for counts in (encoded["counts"], encoded["counts"].decode()):
        assert np.array_equal(mask_of({"size": [31, 40], "counts": counts}, 31, 40), mask)


def test_a_polygon_is_filled() -> None:
    found = mask_of([[2, 2, 12, 2, 12, 8, 2, 8]], 20, 20)
    assert found is not None and found[5, 7] and not found[5, 15] and not found[12, 7]


@pytest.mark.parametrize("wrong", [
    None, [], {}, "text", {"size": [5, 4], "counts": [20]}, {"size": [4, 5], "counts": [3]},
    {"size": [4, 5], "counts": [-1, 21]}, [[1, 2]],
])  # fmt: skip
def test_what_is_no_mask_of_the_picture_is_none_and_not_drawn(wrong: Any) -> None:
    assert mask_of(wrong, 4, 5) is None
    axis = axis_with(4, 5)
    assert not draw_mask(axis, wrong, "#E69F00", linewidth=1.0)
    assert len(axis.images) == 1


def test_a_mask_is_translucent_within_and_nothing_lies_without() -> None:
    axis = axis_with(100, 160)
    assert draw_mask(axis, run_lengths(shape([20, 20, 60, 50], 2, 100, 160)), "#ff0000", linewidth=3.0)
    pixels = seen(axis)  # two to a pixel of the picture
    red, green, blue = pixels[2 * 45, 2 * 50]
    assert red > green + 30 and green == blue and 60 < green < 120, "translucent: the grey shines through"
    assert tuple(pixels[2 * 45, 2 * 120]) == GREY and tuple(pixels[2 * 10, 2 * 50]) == GREY
    edge = pixels[2 * 45, 2 * 20 - 4 : 2 * 20 + 4]
    assert any(r > 200 and g < 60 for r, g, b in edge), "the outline is opaque"


def test_the_view_of_a_picture_stays() -> None:
    axis = axis_with(100, 160)
    axis.set(xlim=(10, 50), ylim=(60, 20))
    draw_mask(axis, run_lengths(shape([0, 0, 160, 100], 2, 100, 160)), "#ff0000", linewidth=1.0)
    assert axis.get_xlim() == (10, 50) and axis.get_ylim() == (60, 20)


def test_sheets_hold_the_masks_of_truth_and_detections(trial: Tuned) -> None:
    (sheet,) = pictures.sheets(gather(trial.path))
    truth, arm = sheet.columns
    assert truth.run is None and arm.run is not None and arm.run[:2] == ("coco", 0)
    for column in (truth, arm):
        entries = [entry for boxes in column.boxes.values() for entry in boxes]
        assert entries and all(entry["segmentation"]["size"] == [240, 320] for entry in entries)
    figure = pictures.draw(sheet, "")
    first = figure.axes[0]
    boxes = truth.boxes[sheet.images[0]["id"]]
    assert len(first.images) == 1 + len(boxes), "the picture, and a fill for each mask"
    said = [text.get_text() for text in first.texts]
    assert sorted(said) == sorted(pictures.ascii_of(sheet.classes[entry["category_id"]]) for entry in boxes)
    confident = [text.get_text() for axis in figure.axes[1::2] for text in axis.texts]
    assert any(text.startswith("disc 0.") for text in confident), "label and score"


def test_a_picture_without_masks_is_drawn_as_before(finished) -> None:
    sheet = pictures.sheets(gather(finished.path))[0]
    figure = pictures.draw(sheet, "")
    assert all(len(axis.images) == 1 for axis in figure.axes)
    assert not figure.axes[0].texts, "no names on the boxes of the truth"


def test_void_is_not_drawn(trial: Tuned) -> None:
    """Undecided pixels stand apart from the annotations, and no picture shows them."""
    prepared = Path(trial.data["prepared"])
    before = (prepared / "val.json").read_bytes()
    (sheet,) = pictures.sheets(gather(trial.path))
    void = [{"image_id": image["id"], "segmentation": run_lengths(np.ones((240, 320), bool))}
            for image in sheet.images]  # fmt: skip
    try:
        write_json(prepared / "val.json", {**json.loads(before), "void": void})
        (again,) = pictures.sheets(gather(trial.path))
        assert again.key() == sheet.key()
    finally:
        (prepared / "val.json").write_bytes(before)


def test_failures_and_misses_show_masks_in_their_own_styles(trial: Tuned) -> None:
    (sheet,) = failure_pictures.sheets(gather(trial.path))
    figure = failure_pictures.draw(sheet, "")
    (axis, *_) = figure.axes
    fills = [image.get_array() for image in axis.images[1:]]
    assert fills and len(fills) == len(axis.patches), "a mask for every box"
    styles = {failure_pictures.KINDS[kind]["edgecolor"] for kind in failure_pictures.KINDS}
    used = {f"#{''.join(f'{round(255 * part):02X}' for part in fill[fill[..., 3] > 0][0][:3])}" for fill in fills}
    assert used <= styles
    missed = miss_pictures.draw(sheet, "")
    assert all(1 <= len(axis.images) - 1 == len(axis.patches) for axis in missed.axes)
