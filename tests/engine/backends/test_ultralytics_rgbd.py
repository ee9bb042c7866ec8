"""RGB-D in the Ultralytics backend: what is checked, that depth stays on its picture, and real trainings."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rgbd_pictures import ALONE, draw

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.ultralytics.dataset import private_view
from detui.engine.backends.ultralytics.plan import UltralyticsBackend, UltralyticsConfig
from detui.engine.errors import MissingError, RunError

WORKERS = Path(__file__).parents[2] / "workers"


def problems(depth: bool, **sections: Any) -> list[Problem]:
    sections = {**sections, "model": {"name": "yolo12n", **sections.get("model", {})}}
    config = UltralyticsConfig.model_validate(sections).model_dump(mode="json")
    context = CheckContext(arm="a", config=config, device="cpu", train_images=64, depth=depth)
    return UltralyticsBackend().check(context)


class TestPlan:
    """What is said before anything starts."""

    def test_depth_is_used_or_left_alone(self) -> None:
        assert problems(True, model={"inputs": "rgbd", "depth_filter": "zero"}) == []
        assert problems(True) == problems(False) == []

    @pytest.mark.parametrize(
        ("depth", "sections", "field", "level"),
        [
            (False, {"model": {"inputs": "rgbd"}}, "model.inputs", "error"),
            (True, {"model": {"inputs": "rgbd"}, "augment": {"bgr": 0.5}}, "augment.bgr", "error"),
            (True, {"model": {"inputs": "rgbd"}, "train": {"freeze": 1}}, "train.freeze", "warning"),
            (True, {"model": {"depth_filter": "zero"}}, "model.depth_filter", "warning"),
        ],
    )
    def test_a_contradiction_is_named_with_the_way_out(
        self, depth: bool, sections: Any, field: str, level: str
    ) -> None:
        (found,) = problems(depth, **sections)
        assert (found.where, found.level) == (field, level)
        assert found.hint and found.text.endswith(".")


class TestView:
    """What an attempt sees of prepared data."""

    def test_with_depth_and_without(self, hostile_path: Path) -> None:
        data = draw(hostile_path / "prepared")
        for channels in (3, 4):
            view = private_view(data, hostile_path / str(channels), channels=channels)
            content = json.loads(view.read_text())
            assert content["channels"] == channels
            assert ("detui_depth" in content) == (view.parent / "depth").exists() == (channels == 4)
        assert len(list((view.parent / "depth" / "train").iterdir())) == 6

    def test_depth_that_the_data_does_not_have(self, tmp_path: Path) -> None:
        data = draw(tmp_path / "prepared")
        with pytest.raises(RunError, match="4 channels, and the run's data has RGB alone"):
            private_view({**data, "depth": None}, tmp_path / "view", channels=4)
        (tmp_path / "prepared/yolo/depth/val").rename(tmp_path / "moved")
        with pytest.raises(MissingError, match="prepared data is gone"):
            private_view(data, tmp_path / "view", channels=4)


def python(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120)


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON of the last line."""
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


# Not importorskip: importing ultralytics patches Pillow, for every other test too.
needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs the extra `ultralytics`"
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return printed(python(str(WORKERS / "rgbd_pictures.py"), str(tmp_path_factory.mktemp("it's here"))))


@needs_ultralytics
class TestPictures:
    """Pictures of noise whose depth is the mean of red and green, through Ultralytics' own builder and augmentation."""

    @pytest.mark.parametrize("name", [*ALONE, "together"])
    def test_depth_stays_on_its_picture(self, seen: Any, name: str) -> None:
        one = seen["apart"][name]
        assert one["shapes"] == [[4, 96, 96]]
        assert one["apart"] <= 2, "rounding alone"
        assert one["apart_if_shifted"] > 50, "a shift by one pixel would not be seen"
        assert name == "nothing" or one["moved"] > 1, "nothing was augmented"
        assert one["as_without_depth"], "with the same seed, the colours are those of a training without depth"

    def test_colours_change_and_depth_does_not(self, seen: Any) -> None:
        colours = seen["colours"]
        assert colours["depth"] == 0 and colours["rgb"] > 5
        assert colours["as_without_depth"]

    def test_pictures_in_memory_have_four_planes(self, seen: Any) -> None:
        memory = seen["memory"]
        assert memory["same"], "cache: ram gives other pictures"
        assert memory["bytes_a_pixel"] == 4
        assert set(memory["kept"]) == {4} and 0 < len(memory["kept"]) <= memory["at_most"]
        assert memory["apart_after_mosaic"] <= 2

    def test_wherever_pictures_are_read(self, seen: Any) -> None:
        elsewhere = seen["elsewhere"]
        assert elsewhere["loaded"] == [[3, 4, 96, 96]] * 2
        assert elsewhere["pickled"] == "RGBDDataset"
        assert elsewhere["val"] <= 2
        assert elsewhere["rtdetr"][0] == "RGBDRTDETRDataset" and elsewhere["rtdetr"][1] <= 2
        assert elsewhere["rgb_first"], "the planes are not R, G, B, D"
        assert elsewhere["border"] == [114]

    def test_sixteen_bits(self, seen: Any) -> None:
        assert seen["sixteen"] <= 2

    @pytest.mark.parametrize(
        ("kind", "says"),
        [
            ("absent", "A picture has no depth map"),
            ("mis-sized", "has 100 × 64 pixels, its picture 64 × 100."),
            ("text", "is no PNG"),
            ("cut", "damaged"),
            ("colour", "8-bit grey was expected"),
        ],
    )
    def test_a_bad_depth_map_is_named(self, seen: Any, kind: str, says: str) -> None:
        complaint = seen["complaints"][kind]
        assert says in complaint and "prepared/yolo/depth/train/000000000002.png" in complaint
        assert "detui data check" in complaint
