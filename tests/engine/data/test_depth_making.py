"""Making depth maps: a real ZoeDepth with tiny random weights, from a folder, by the real command."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detui.engine.data import load_definition, read_depth
from detui.engine.data.depth_making import depth_of, encode, make_depth
from detui.engine.data.depth_model import ZoeDepth, find_model
from detui.engine.errors import DataError, MissingError, RunError, UsageError

METRES = {"encoding": "metres_x256", "far": 10.0}
UINT8 = {"encoding": "uint8"}
NOTE = {"encoding": "metres_x256", "model": {"name": "one", "weights": "a" * 64}, "libraries": [{"torch": "1"}]}


def estimate(images):
    """Metres without a network: the first channel of each image as metres, for what is about files alone."""
    return [np.asarray(image)[..., 0].astype(np.float32) / 30 + 1 for image in images]


@pytest.fixture
def site(make_site):
    """Five images for training, one of another size, and two for validation, none with a map."""
    site = make_site()
    site.yolo("", depth=METRES)
    noise = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for number in range(count):
            size = (60, 90) if number == 3 else (80, 100)
            pixels = np.kron(noise.integers(0, 255, (size[0] // 10, size[1] // 10, 3)), np.ones((10, 10, 1)))
            Image.fromarray(pixels.astype(np.uint8)).save(site.root / f"images/{split}/{number}.png")
            site.write(f"labels/{split}/{number}.txt", "")
        (site.root / f"images/{split}/{'a' if split == 'train' else 'b'}.png").unlink()
    return site


def make(site, note=NOTE, estimate=estimate, **how):
    return make_depth(load_definition(site.definition), site.configuration, note, lambda: estimate, **how)


def maps(site) -> dict[str, float]:
    """Every map with the time it was written."""
    return {p.relative_to(site.root).as_posix(): p.stat().st_mtime_ns for p in site.root.glob("depth/**/*.png")}


def everything(site) -> list[str]:
    return sorted(p.name for p in site.root.glob("depth/**/*") if p.is_file())


def test_each_image_gets_its_map(site):
    made = make(site, batch=2)
    assert (made.made, made.there, made.unreadable, made.bases) == (7, 0, (), ("depth",))
    assert set(maps(site)) == {f"depth/train/{n}.png" for n in range(5)} | {f"depth/val/{n}.png" for n in range(2)}
    for name in ("train/0", "train/3", "val/1"):
        red = np.asarray(Image.open(site.root / f"images/{name}.png"))[..., 0].astype(np.float64) / 30 + 1
        seen = read_depth(site.root / f"depth/{name}.png", "metres_x256", 10.0)
        assert seen.shape == red.shape
        assert np.abs(seen / 255 * 10 - red).max() < 0.03
    dataset = site.open(depth=True)
    assert dataset.depth is not None
    assert dataset.depth.note == "ZoeDepth one (weights aaaaaaaaaaaa), metres × 256"
    assert site.prepare(depth=True).info["depth"]["note"] == dataset.depth.note


def test_one_split(site):
    assert make(site, splits=("val",)).made == 2
    assert {name.split("/")[1] for name in maps(site)} == {"val"}


def test_only_what_is_absent_or_damaged_is_made(site):
    make(site)
    before = maps(site)
    assert make(site, estimate=None).there == 7
    (site.root / "depth/train/0.png").unlink()
    (site.root / "depth/train/1.png").write_bytes(b"cut")
    Image.fromarray(np.zeros((80, 100), np.uint8)).save(site.root / "depth/train/2.png")
    Image.fromarray(np.zeros((8, 10), np.uint16)).save(site.root / "depth/val/0.png")
    (site.root / "depth/val/1.png").unlink()
    (site.root / "depth/val/1.png").symlink_to("1.png")
    made = make(site)
    assert (made.made, made.there) == (5, 2)
    after = maps(site)
    assert {name for name in after if after[name] == before[name]} == {"depth/train/3.png", "depth/train/4.png"}
    assert site.kinds(depth=True) == {}


def test_another_maker_is_refused_and_replaced_by_force(site):
    make(site)
    before = maps(site)
    other = {**NOTE, "model": {"name": "two", "weights": "b" * 64}}
    with pytest.raises(UsageError, match="7 depth maps already, made by ZoeDepth one .* by ZoeDepth two") as caught:
        make(site, other)
    assert "--force" in str(caught.value.hint)
    with pytest.raises(UsageError, match="5 of the maps to be replaced belong to no image chosen"):
        make(site, other, splits=("val",), force=True)
    assert maps(site) == before
    assert make(site, other, force=True).made == 7
    assert not set(maps(site).values()) & set(before.values())
    assert make(site, other).there == 7
    assert make(site, other, force=True).there == 7, "force replaces what others made, and nothing else"


def test_the_same_weights_in_a_renamed_folder_go_on(site):
    make(site)
    renamed = {**NOTE, "model": {**NOTE["model"], "name": "renamed"}, "libraries": [{"torch": "2"}]}
    (site.root / "depth/val/0.png").unlink()
    assert make(site, renamed).made == 1
    assert json.loads((site.root / "depth/depth.json").read_text())["libraries"] == [{"torch": "1"}, {"torch": "2"}]


def test_maps_of_unknown_origin_are_not_added_to(site):
    make(site)
    (site.root / "depth/depth.json").unlink()
    with pytest.raises(UsageError, match=r"7 depth maps already, and no depth\.json says"):
        make(site)
    (site.root / "depth/depth.json").write_text("{")
    with pytest.raises(UsageError, match="broken"):
        make(site)
    assert make(site, force=True).made == 7


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_made(site):
    path = site.root / "images/train/2.png"
    Image.open(path).save(path.with_suffix(".jpg"))
    path.unlink()
    cut = path.with_suffix(".jpg")
    cut.write_bytes(cut.read_bytes()[:-300])
    made = make(site)
    assert made.made == 6
    assert made.unreadable[0].startswith("images/train/2.jpg: it is damaged")
    assert "depth/train/2.png" not in maps(site)


def test_two_images_that_would_share_a_map(site):
    Image.open(site.root / "images/train/0.png").save(site.root / "images/train/0.jpg")
    with pytest.raises(DataError, match="would have the same depth map"):
        make(site)


def test_no_picture_is_overwritten(site):
    entry = {"id": 1, "file_name": "a.png", "width": 100, "height": 80, "depth_file": "a.png"}
    site.coco([], images=[entry], depth=METRES)
    with pytest.raises(DataError, match="which is an image of the data set"):
        make(site)
    site.coco([], images=[{**entry, "depth_file": "b.png"}], depth=METRES)
    make(site, splits=("train",))
    picture = site.image("train/b.png").read_bytes()
    with pytest.raises(DataError, match=r"train/b\.png is colour \(RGB\): a picture, which is not overwritten"):
        make(site, splits=("train",))
    assert (site.root / "train/b.png").read_bytes() == picture


def test_a_full_disk(site, monkeypatch):
    """The third map does not fit any more: what is there is whole, and the next call goes on."""
    from detui.engine.run import files

    written, fsync = [], os.fsync

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device") as caught:
        make(site)
    assert "free space" in str(caught.value.hint)
    monkeypatch.undo()
    assert not [name for name in everything(site) if not name.endswith((".png", ".json"))]
    there = len(maps(site))
    assert 0 < there < 7
    assert (make(site).there, len(maps(site))) == (there, 7)


def test_a_place_that_cannot_be_written(site):
    (site.root / "depth").write_text("a file where the folder would be")
    loaded: list[int] = []
    with pytest.raises(RunError) as caught:
        make_depth(load_definition(site.definition), site.configuration, NOTE, lambda: loaded.append(1) or estimate)
    assert "ln -s" in str(caught.value.hint)
    assert "workspace" not in str(caught.value.hint)
    assert not loaded, "a model that takes a minute to load is not loaded in vain"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_permission(site):
    site.root.chmod(0o555)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            make(site)
    finally:
        site.root.chmod(0o755)


def test_no_finite_depth(site):
    with pytest.raises(RunError, match=r"no finite depth for images/train/3\.png"):
        make(site, estimate=lambda images: [np.full((i.height, i.width), np.nan, np.float32) for i in images])
    assert maps(site) == {}


def test_encodings(tmp_path):
    metres = np.array([[2.0, 3.0], [4.0, 300.0]], np.float32)
    path = tmp_path / "a.png"
    path.write_bytes(encode(metres, "metres_x256"))
    assert np.asarray(Image.open(path)).tolist() == [[512, 768], [1024, 65535]]
    path.write_bytes(encode(np.array([[-0.1, 2.0]], np.float32), "metres_x256"))
    assert read_depth(path, "metres_x256", 10.0).tolist() == [[0, 51]]
    path.write_bytes(encode(metres[:1], "uint8"))
    assert read_depth(path, "uint8", None).tolist() == [[0, 255]]
    path.write_bytes(encode(np.full((2, 2), 3.0, np.float32), "uint8"))
    assert read_depth(path, "uint8", None).tolist() == [[0, 0], [0, 0]]


def test_where_no_maps_can_be_made(make_site):
    with pytest.raises(UsageError, match="Scenes draw their own"):
        depth_of(load_definition("scenes"))
    site = make_site()
    site.yolo("")
    with pytest.raises(UsageError, match="does not say where they lie"):
        depth_of(load_definition(site.definition))
    site.yolo("", depth=UINT8)
    with pytest.raises(UsageError, match="says encoding: uint8, and metres_x256 is asked for"):
        depth_of(load_definition(site.definition), "metres_x256")


# The folder of a model.

CONFIG = {"model_type": "zoedepth", "bin_configurations": [{"n_bins": 8}]}


def folder(path: Path, **files: object) -> Path:
    path.mkdir(exist_ok=True)
    whole = {"config.json": CONFIG, "preprocessor_config.json": {}, "model.safetensors": "weights", **files}
    for name, content in whole.items():
        if content is not None:
            (path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_folder_is_known_by_its_files(tmp_path):
    found = find_model(folder(tmp_path / "zoe"))
    assert found.facts["name"] == "zoe"
    assert found.heads == 1
    again = find_model(folder(tmp_path / "zoe", **{"model.safetensors": "others"}))
    assert [key for key in found.facts if found.facts[key] != again.facts[key]] == ["weights"]
    two = {"config.json": {**CONFIG, "bin_configurations": [{}, {}]}}
    assert find_model(folder(tmp_path / "zoe", **two)).heads == 2


def test_sharded_weights(tmp_path):
    index = {"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors", "c": "x-1.safetensors"}}
    files = {"model.safetensors": None, "model.safetensors.index.json": index, "x-1.safetensors": "1"}
    with pytest.raises(MissingError, match=r"lacks x-2\.safetensors"):
        find_model(folder(tmp_path / "zoe", **files))
    assert find_model(folder(tmp_path / "zoe", **files, **{"x-2.safetensors": "2"})).facts["weights"]
    index["weight_map"]["a"] = "../x.bin"
    with pytest.raises(UsageError, match=r"names '\.\./x\.bin'"):
        find_model(folder(tmp_path / "zoe", **files))


@pytest.mark.parametrize(
    ("files", "error", "text"),
    [
        ({"config.json": None}, MissingError, r"lacks config\.json"),
        ({"preprocessor_config.json": None}, MissingError, r"lacks preprocessor_config\.json"),
        ({"model.safetensors": None}, MissingError, r"lacks model\.safetensors\."),
        (
            {"model.safetensors": None, "pytorch_model.bin": "p"},
            MissingError,
            r"pytorch_model\.bin is not read: .* run",
        ),
        ({"config.json": "{"}, UsageError, "no JSON"),
        ({"config.json": "[]"}, UsageError, "no JSON object"),
        ({"config.json": {"model_type": "dpt"}}, UsageError, "of type 'dpt', and zoedepth was expected"),
        ({"adapter_config.json": {}}, UsageError, "an adapter"),
    ],
)
def test_a_folder_that_lacks_something(tmp_path, files, error, text):
    with pytest.raises(error, match=text):
        find_model(folder(tmp_path / "zoe", **files))


def test_no_folder(tmp_path):
    with pytest.raises(MissingError, match="no such folder"):
        find_model(tmp_path / "nowhere")


# A real model.


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A whole ZoeDepth of 40,000 random numbers."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation, ZoeDepthImageProcessor

    torch.manual_seed(0)
    backbone = BeitConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16,
        use_relative_position_bias=True, reshape_hidden_states=False, out_features=[f"stage{n}" for n in range(1, 5)],
    )  # fmt: skip
    config = ZoeDepthConfig(
        backbone_config=backbone, neck_hidden_sizes=[8] * 4, fusion_hidden_size=8, bottleneck_features=8,
        num_relative_features=4, bin_embedding_dim=8, num_attractors=[4, 2, 1, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
    )  # fmt: skip
    network = ZoeDepthForDepthEstimation(config)
    with torch.no_grad():  # as initialised, all of a picture is equally far
        for weight in network.parameters():
            weight.mul_(8)
    path = tmp_path_factory.mktemp("zoe") / "tiny-zoe"
    network.save_pretrained(path)
    ZoeDepthImageProcessor(size={"height": 64, "width": 64}, ensure_multiple_of=32).save_pretrained(path)
    return path


def detui(site, *arguments: object) -> subprocess.Popen[str]:
    code = "from detui.tui.main import main; main()"
    environ = {**site.environ, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", code, "data", *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


def ended(site, *arguments: object) -> tuple[int, str, str]:
    running = detui(site, *arguments)
    out, err = running.communicate(timeout=120)
    return running.returncode, out, err


@pytest.mark.slow
def test_both_encodings_of_a_real_model(site, model):
    """The metres that the network gives come back from either encoding, to what its steps allow."""
    found = find_model(model)
    network = ZoeDepth(found)
    picture = Image.open(site.root / "images/train/3.png").convert("RGB")
    (metres,) = network([picture])
    assert metres.shape == (60, 90)
    assert metres.max() - metres.min() > 0.05
    for encoding, depth in (("metres_x256", METRES), ("uint8", UINT8)):
        site.yolo("", depth=depth)
        make(site, found.note(encoding), network, batch=2, force=True)
        seen = read_depth(site.root / "depth/train/3.png", encoding, depth.get("far"))
        low, high = (0.0, 10.0) if encoding == "metres_x256" else (metres.min(), metres.max())
        assert np.abs(seen / 255 * (high - low) + low - metres).max() <= (high - low) / 255 / 2 + 1 / 256
        note = json.loads((site.root / "depth/depth.json").read_text())
        assert note["encoding"] == encoding
        assert ("scale is lost" in note["values"]) == (encoding == "uint8")
        assert {"detui", "torch", "transformers"} <= set(note["libraries"][0])
        assert site.kinds(depth=True) == {}


@pytest.mark.slow
def test_a_map_does_not_depend_on_its_batch(site, model):
    pictures = [Image.open(site.root / f"images/train/{n}.png").convert("RGB") for n in (0, 1, 2)]
    network = ZoeDepth(find_model(model))
    for alone, together in zip((network([one])[0] for one in pictures), network(pictures), strict=True):
        assert np.abs(alone - together).max() < 1e-4


@pytest.mark.slow
def test_weights_of_half_the_bits_and_an_image_of_a_few(model, tmp_path):
    from transformers import ZoeDepthForDepthEstimation, ZoeDepthImageProcessor

    half = tmp_path / "half"
    ZoeDepthForDepthEstimation.from_pretrained(model).half().save_pretrained(half)
    ZoeDepthImageProcessor.from_pretrained(model).save_pretrained(half)
    network = ZoeDepth(find_model(half))
    assert network([Image.new("RGB", (60, 40))])[0].dtype == np.float32
    with pytest.raises(RunError, match="fails on an image of 2×1"):
        network([Image.new("RGB", (2, 1))])


@pytest.mark.slow
def test_weights_that_do_not_fit(model, tmp_path):
    """Random numbers in the place of weights that a file lacks give maps that look like maps."""
    other = tmp_path / "other"
    other.mkdir()
    for file in model.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    deeper = {**config["backbone_config"], "num_hidden_layers": 5}
    (other / "config.json").write_text(json.dumps({**config, "backbone_config": deeper}))
    with pytest.raises(DataError, match="of the model's weights are not in its file"):
        ZoeDepth(find_model(other))
    (other / "model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"no json!")
    with pytest.raises(DataError, match="The model cannot be loaded"):
        ZoeDepth(find_model(other))
    (other / "config.json").write_text(json.dumps({"model_type": "zoedepth", "backbone_config": {"model_type": "?"}}))
    with pytest.raises(DataError, match="The model cannot be loaded"):
        ZoeDepth(find_model(other))


@pytest.mark.slow
def test_the_command_interrupted_and_given_again(site, model):
    for number in range(10, 130):
        Image.open(site.root / "images/train/0.png").save(site.root / f"images/train/{number}.png")
        site.write(f"labels/train/{number}.txt", "")
    running = detui(site, "depth", site.definition, "--model", model)
    deadline = time.monotonic() + 60
    while len(maps(site)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, ""), err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    assert not [name for name in everything(site) if not name.endswith((".png", ".json"))]
    there = maps(site)
    assert 5 <= len(there) < 127
    for name in there:
        assert read_depth(site.root / name, "metres_x256", 10.0).size
    code, out, err = ended(site, "depth", site.definition, "--model", model, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert (facts["made"], facts["kept"], facts["unreadable"]) == (127 - len(there), len(there), [])
    assert facts["model"] == dict(find_model(model).facts)
    assert {name: at for name, at in maps(site).items() if name in there} == there
    code, out, err = ended(site, "check", site.definition)
    assert code == 0, out
    assert "depth: metres_x256, far 10 m; ZoeDepth tiny-zoe (weights " in out
    code, out, err = ended(site, "depth", site.definition, "--model", model)
    assert (code, err) == (0, ""), "a model is loaded only for maps that are to be made"
    assert out.startswith("0 depth maps made, 127 were there")
