"""Data, checkpoints and the loop of both frameworks, on tiny pictures in PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detui.engine.backends.parity import state
from detui.engine.backends.parity.building import jittered, size_of
from detui.engine.backends.parity.data import Pictures, read_pictures, target_of
from detui.engine.backends.parity.loop import rate_factor, terms_of
from detui.engine.backends.parity.schema import ParityConfig
from detui.engine.backends.parity.train import ParityTrainer
from detui.engine.backends.parity.weight_files import read_weight_file
from detui.engine.errors import RunError
from detui.engine.run.directory import AttemptDir
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

MODEL = {"queries": 6, "denoising": 2, "layers": 1, "channels": 8, "feed_forward": 8, "heads": 2, "points": 1,
         "backbone": {"depths": [1, 1, 1, 1], "widths": [4, 4, 4, 4], "stem": 4}}  # fmt: skip
TRAIN = {"epochs": 2, "lr": 1e-3, "image_size": 64, "threads": 1}
AUGMENT = {"flip": 0.5, "brightness": 0.2, "contrast": 0.2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three pictures of 40 × 20 pixels, prepared; the second has a crowd, the third nothing."""
    root, own = tmp_path_factory.mktemp("pictures"), np.random.RandomState(0)
    images, annotations = [], []
    for n in range(3):
        Image.fromarray(own.randint(0, 256, (20, 40, 3)).astype(np.uint8)).save(root / f"{n}.png")
        images.append({"id": n + 10, "file_name": f"{n}.png", "width": 40, "height": 20})
    for number, (image, box, crowd) in enumerate(
        [(10, [10, 5, 20, 10], 0), (11, [-4, 0, 8, 20], 0), (11, [0, 0, 40, 20], 1)]
    ):
        annotations.append({"id": number, "image_id": image, "category_id": 2, "bbox": box, "iscrowd": crowd})
    for role in ("train", "val"):
        (root / f"{role}.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    splits = {role: {"images": 3} for role in ("train", "val")}
    return {
        "prepared": str(root),
        "root": str(root),
        "classes": ["a", "b"],
        "splits": splits,
        "name": "p",
        "fingerprint": "f",
    }


def test_boxes_are_clipped_and_crowds_left_out(data: dict[str, Any]) -> None:
    first, second, third = read_pictures(data, "train")
    assert target_of(first).boxes.tolist() == [[0.5, 0.5, 0.5, 0.5]] and target_of(first).labels.tolist() == [1]
    assert target_of(second).boxes == pytest.approx(np.array([[0.05, 0.5, 0.1, 1.0]]))
    assert len(target_of(third)) == 0


def test_a_batch_depends_on_seed_epoch_and_picture_alone(data: dict[str, Any]) -> None:
    told = read_pictures(data, "train")
    pictures = Pictures(told, 32, 0, AUGMENT)
    whole = [batch.checksum() for batch in pictures.epoch(2, 1, threads=3)]
    assert [batch.checksum() for batch in pictures.epoch(2, 1, skip=1)] == whole[1:]
    assert len({*whole, *(batch.checksum() for batch in pictures.epoch(3, 1))}) == 6
    assert [batch.checksum() for batch in Pictures(told, 32, 1, AUGMENT).epoch(2, 1)] != whole
    assert pictures.batch([0], 1).images.dtype == np.float32 and pictures.batch([0, 1]).images.shape == (2, 3, 32, 32)


CHECKSUMS = ["aa0f33ce9575eb3a", "7a63d937f167a89b", "4acc3193e1db1abb"]
ORDER = [1, 0, 2]


def test_a_batch_has_the_bits_that_it_always_had(data: dict[str, Any]) -> None:
    """Two frameworks run beside two releases of numpy: what they see is written down here."""
    pictures = Pictures(read_pictures(data, "train"), 32, 0, AUGMENT)
    assert [pictures.batch([n], 1).checksum() for n in range(3)] == CHECKSUMS
    assert pictures.order(1) == ORDER


def test_a_mirrored_picture_has_mirrored_boxes(data: dict[str, Any]) -> None:
    told = read_pictures(data, "train")
    plain, mirrored = (
        Pictures(told, 32, 0, {**AUGMENT, "brightness": 0, "contrast": 0, "flip": p}).batch([1]) for p in (0, 1)
    )
    assert np.array_equal(plain.images[..., ::-1], mirrored.images)
    assert mirrored.targets[0].boxes[0, 0] == pytest.approx(1 - plain.targets[0].boxes[0, 0])


def test_terms_add_up_to_the_loss() -> None:
    terms = {"class/layer 0": 1.0, "l1/layer 1": 2.0, "giou/layer 1": 4.0, "class/selected": 8.0, "l1/denoised 1": 16.0}
    found = terms_of(terms, layers=2)
    assert found == {"train/loss": 31.0, "train/loss_vfl": 0.0, "train/loss_bbox": 2.0, "train/loss_giou": 4.0,
                     "train/loss_aux": 9.0, "train/loss_dn": 16.0}  # fmt: skip


def test_rates_rise_and_fall() -> None:
    train = {"warmup_steps": 2, "schedule": "cosine", "last_lr": 0.1}
    assert [rate_factor(step, 5, train) for step in range(5)] == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1])
    assert rate_factor(4, 5, {**train, "schedule": "constant"}) == 1.0


def test_jitter_moves_trained_weights_alone() -> None:
    weights = {"a": np.ones(1000, np.float32), "b": np.ones(2, np.float32)}
    moved = jittered(weights, ["a"], 1e-3, 0)
    assert 0 < np.abs(moved["a"] - 1).max() < 1e-2 and np.array_equal(moved["b"], weights["b"])
    assert np.array_equal(jittered(weights, ["a"], 0.0, 0)["a"], weights["a"])


def test_a_torn_checkpoint_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    state.save(state.Saved({"a": np.ones(2)}, {"steps": np.array(3)}, {}, {"summed": 1}), path)
    found = state.load(path)
    assert found.told["summed"] == 1 and found.optimiser["steps"] == 3 and found.evaluated["a"].tolist() == [1, 1]
    assert state.is_own(path) and not state.is_own(tmp_path / "none.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="torn"):
        state.load(path)


def test_weight_files_are_read_without_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors = {"a": torch.randn(3, 4), "b": torch.randn(4, 3).t().bfloat16(), "n": torch.tensor(7)}
    torch.save({"epoch": 1, "ema": {"module": tensors, "updates": 3}}, tmp_path / "w.pth")
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        found = read_weight_file(tmp_path / name, "model.weights")
        for key, value in tensors.items():
            assert np.array_equal(found[key], value.float().numpy() if key != "n" else value.numpy()), (name, key)
    torch.save({"a": Path("x")}, tmp_path / "bad.pth")
    with pytest.raises(RunError, match="would run pathlib"):
        read_weight_file(tmp_path / "bad.pth", "model.weights")


class StopsAfter(Reporter):
    """A reporter whose run is asked to stop after a step."""

    after: int | None = None

    def step(self, step: int, *rest: Any, **more: Any) -> None:
        super().step(step, *rest, **more)
        if step == self.after:
            self._stop.requested = True


def spec_of(data: dict[str, Any], **train: Any) -> RunSpec:
    sections = {"model": MODEL, "train": {**TRAIN, **train}, "augment": AUGMENT}
    config = ParityConfig.model_validate(sections).model_dump()
    return RunSpec(
        experiment="e", recipe="parity/test", arm="a", seed=0, profile="quick", backend="parity",
        trainer="detui.engine.backends.parity.train:ParityTrainer", python="python", threads=1, config=config,
        data=data,
        device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)), milestones=(2,),
        stages=(StageSpec(name="main", epochs=2, config=config),), checkpoint_rule={"rule": "last"},
    )  # fmt: skip


def attempt(
    folder: Path, number: int = 1, resume: dict[str, Any] | None = None, after: int | None = None
) -> StopsAfter:
    path = folder / "attempts" / str(number)
    for inner in ("checkpoints", "predictions"):
        (path / inner).mkdir(parents=True)
    report = StopsAfter(AttemptDir(path), resume=resume)
    report.after = after
    return report


@pytest.mark.slow
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(data: dict[str, Any], tmp_path: Path) -> None:
    spec = spec_of(data, average=0.9)
    whole = attempt(tmp_path / "whole")
    ParityTrainer().train(spec, whole)
    cut = attempt(tmp_path / "cut", after=2)
    with pytest.raises(StopRequested):
        ParityTrainer().train(spec, cut)
    last = [line for line in read_lines(cut.attempt.metrics_path) if line["kind"] == "checkpoint"][-1]
    place = {**{key: last[key] for key in ("step", "epoch", "stage")}, "attempt": 1}
    resumed = attempt(tmp_path / "cut", 2, {**place, "checkpoint": str(cut.attempt.path / last["path"])})
    ParityTrainer().train(spec, resumed)
    one, two = (state.load(report.attempt.checkpoints / "epoch-0002.npz") for report in (whole, resumed))
    for part in ("weights", "optimiser", "average"):
        first, second = getattr(one, part), getattr(two, part)
        assert first.keys() == second.keys() and first
        assert all(np.array_equal(first[name], second[name]) for name in first), part
    assert one.told["sums"] == two.told["sums"]
    name = "predictions/val-epoch-0002.json"
    detections = (whole.attempt.path / name).read_bytes()
    assert detections == (resumed.attempt.path / name).read_bytes()
    assert {row["image_id"] for row in json.loads(detections)} == {10, 11, 12}
    begin = next(iter(read_lines(whole.attempt.metrics_path)))
    assert begin["asked"].items() <= begin["used"].items() and len(begin["batches"]) == 3
    ParityTrainer().predict(spec, whole.attempt.checkpoints / "epoch-0002.npz", "val", tmp_path / "again.json", "cpu")
    assert (tmp_path / "again.json").read_bytes() == detections


def test_sizes_are_what_the_section_says() -> None:
    model = ParityConfig.model_validate({"model": {**MODEL, "size": "r50-m"}}).model_dump()["model"]
    size = size_of(model, 7)
    assert (size.classes, size.decoder_layers, size.evaluated_layer, size.widths) == (7, 1, None, (4, 4, 4, 4))
    assert size.frozen_norms and size_of({**model, "layers": None}, 7).evaluated_layer == 3
