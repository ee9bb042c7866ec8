"""Weights for MMDetection: files of every form read without running them, compared by parts, and taken over."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from small_detectors import CLASSES, detector, saved, section

from detui.engine.backends.mmdet.weight_parts import Comparison, compare, part_of
from detui.engine.backends.mmdet.weights import begin_with, shapes
from detui.engine.backends.mmdet.weights_check import check_weights
from detui.engine.backends.torch_support.checkpoint_files import read_checkpoint
from detui.engine.errors import MissingError, RunError

EIGHTY = tuple(f"class{number}" for number in range(80))


def compared(model: torch.nn.Module, given: torch.nn.Module, **start: Any) -> Comparison:
    return compare(shapes(model.state_dict()), shapes(given.state_dict()), section(**start)["start"], whole=True)


class Dangerous:
    """What makes a file when it is loaded in the usual way."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.made),)


@pytest.mark.parametrize("form", ["zip", "old", "old, bare", "module", "model"])
def test_every_form_is_read(tmp_path: Path, form: str) -> None:
    state = detector(3).state_dict()
    path = tmp_path / "one.pth"
    if form == "module":
        saved(path, {f"module.{name}": value for name, value in state.items()}, CLASSES)
    elif form == "model":
        torch.save({"model": state, "meta": {"CLASSES": CLASSES, "epoch": 12}}, path)
    else:
        content = state if "bare" in form else {"state_dict": state, "meta": {"CLASSES": CLASSES, "epoch": 12}}
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    found = read_checkpoint(path, "model.weights")
    assert found.form == ("torch, the format before 1.6" if "old" in form else "torch, zip archive")
    assert list(found.tensors) == list(state)
    assert all(torch.equal(found.tensors[name], value) for name, value in state.items())
    assert (found.classes, found.epoch) == ((None, None) if "bare" in form else (CLASSES, 12))


def test_safetensors_are_read(tmp_path: Path) -> None:
    values = torch.arange(6, dtype=torch.float32)
    header = json.dumps({"conv1.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    path = tmp_path / "one.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + values.numpy().tobytes())
    found = read_checkpoint(path, "model.weights")
    assert torch.equal(found.tensors["conv1.weight"], values.reshape(2, 3))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(RunError, match="cut off"):
        read_checkpoint(path, "model.weights")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["meta", "state_dict"])
def test_what_stands_in_a_file_is_never_run(tmp_path: Path, packed: bool, place: str) -> None:
    path, made = tmp_path / "bad.pth", tmp_path / "made"
    torch.save({"state_dict": {}, place: {"a": Dangerous(made)}}, path, _use_new_zipfile_serialization=packed)
    with pytest.raises(RunError, match=r"would run (posix|nt)\.mkdir"):
        read_checkpoint(path, "model.weights")
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.is_dir(), "the file is harmless, and the test shows nothing"


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_plain_pickle_is_never_run(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps(Dangerous(tmp_path / "made"), protocol=protocol))
    with pytest.raises(RunError) as raised:
        read_checkpoint(path, "model.weights")
    assert "weights_only" not in str(raised.value), "nobody is advised to run it"
    assert not (tmp_path / "made").exists()


def test_a_file_that_borrows_a_harmless_name_gets_nothing_by_it(tmp_path: Path) -> None:
    """`builtins.getattr` is among the names of MMEngine's histories: it looks nothing up here."""

    class Looked:
        def __reduce__(self) -> Any:
            return getattr, ("text", "what a text does not have")

    path = saved(tmp_path / "one.pth", detector(3).state_dict(), history=Looked())
    assert read_checkpoint(path, "model.weights").tensors
    torch.save({"state_dict": {"a": torch.zeros(1)}, "b": Looked()}, path)
    assert list(read_checkpoint(path, "model.weights").tensors) == ["a"]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("part", [0.3, 0.95])
def test_a_file_that_is_cut_off_is_called_so(tmp_path: Path, packed: bool, part: float) -> None:
    path = tmp_path / "one.pth"
    torch.save(detector(3).state_dict(), path, _use_new_zipfile_serialization=packed)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(RunError, match=r"cut off: \d+ bytes"):
        read_checkpoint(path, "model.weights")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x02", None])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "one.pth"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "text")
    else:
        path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        read_checkpoint(path, "model.weights")
    assert caught.value.where == str(path) and caught.value.hint


def test_no_file_and_no_tensors(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="There is no file") as caught:
        read_checkpoint(tmp_path / "absent.pth", "model.weights")
    assert caught.value.where == "model.weights"
    with pytest.raises(RunError, match="no tensors by name, but epoch"):
        read_checkpoint(saved_plain(tmp_path / "plain.pth"), "model.weights")


def saved_plain(path: Path) -> Path:
    torch.save({"epoch": 3}, path)
    return path


def test_parts_of_a_mask_rcnn() -> None:
    names = {"backbone.layer1.0.conv1.weight": "backbone", "neck.fpn_convs.0.conv.bias": "neck",
             "rpn_head.rpn_cls.weight": "rpn_head", "roi_head.bbox_head.fc_cls.bias": "roi_head.bbox_head",
             "roi_head.mask_head.convs.0.conv.weight": "roi_head.mask_head", "data_preprocessor.mean": "other",
             "roi_head.other.weight": "other"}  # fmt: skip
    assert {name: part_of(name) for name in names} == names


def test_another_number_of_classes_starts_its_layers_anew() -> None:
    found = compared(detector(3), detector(80))
    assert found.parts()["roi_head.bbox_head"] == {"loaded": 2, "reinitialised": 4, "missing": 0, "unexpected": 0}
    assert found.parts()["roi_head.mask_head"] == {"loaded": 2, "reinitialised": 2, "missing": 0, "unexpected": 0}
    assert found.parts()["backbone"]["loaded"] == 7, "running counts are counted nowhere"
    assert found.reinitialised[0].text == "roi_head.bbox_head.fc_cls.weight [4, 16], in the file [81, 16]"
    found.check("file")
    assert found.notices() == []


def test_whole_heads_start_anew_where_the_recipe_says_so() -> None:
    found = compared(detector(3), detector(80), anew="heads")
    counts = {part: count["reinitialised"] for part, count in found.parts().items()}
    assert (counts["roi_head.bbox_head"], counts["roi_head.mask_head"], counts["rpn_head"]) == (6, 4, 0)
    assert {one.name.split(".")[2]: one.why for one in found.reinitialised}["shared_fcs"] == "recipe"
    found.check("file")


@pytest.mark.parametrize(
    ("given", "start", "words", "hint"),
    [
        (detector(80).backbone, {}, "holds a backbone alone", "model.backbone.weights"),
        (torch.nn.Linear(3, 3), {}, "Nothing of the file would be loaded", "this architecture"),
        (detector(80, wide=6), {}, "backbone is another network's: 0 tensors fit, 7 differ in shape", "depth"),
        (detector(80), {"anew": "nothing"}, "another number of classes", "model.start.anew=classes"),
    ],
)
def test_what_would_give_little_is_refused(given: torch.nn.Module, start: Any, words: str, hint: str) -> None:
    with pytest.raises(RunError, match=words) as caught:
        compared(detector(3), given, **start).check("file")
    assert hint in str(caught.value.hint)


def test_a_deeper_backbone_is_refused() -> None:
    deeper = detector(80)
    deeper.backbone.layer1.append(torch.nn.Conv2d(4, 4, 3))
    with pytest.raises(RunError, match="7 tensors fit, 2 of the file have no place"):
        compared(detector(3), deeper).check("file")
    with pytest.raises(RunError, match="7 tensors fit, 2 are not in the file"):
        compared(deeper, detector(80)).check("file")


def test_less_than_half_is_refused_and_a_missing_head_is_told() -> None:
    few = detector(80)
    del few.neck, few.rpn_head, few.roi_head
    with pytest.raises(RunError, match="another model's: 7 of 21 tensors fit"):
        compared(detector(3), few).check("file")
    boxes_alone = compared(detector(3), detector(80, masks=False))
    boxes_alone.check("file")
    assert boxes_alone.notices() == ["The file has no tensor of roi_head.mask_head: 4 start at random."]


def test_a_model_begins_with_a_detector(tmp_path: Path) -> None:
    given, model = detector(80, seed=1), detector(3, seed=2)
    path = saved(tmp_path / "coco.pth", given.state_dict(), EIGHTY)
    random = torch.get_rng_state()
    found = begin_with(model, section(path), None, CLASSES, seed=5)
    assert found is not None and torch.equal(torch.get_rng_state(), random)
    state, theirs = model.state_dict(), given.state_dict()
    same = {name for name, value in state.items() if value.shape == theirs[name].shape}
    assert all(torch.equal(state[name], theirs[name]) for name in same)
    for head, std in (("bbox_head.fc_cls", 0.01), ("bbox_head.fc_reg", 0.01), ("mask_head.conv_logits", 0.001)):
        weight = state[f"roi_head.{head}.weight"]
        assert 0 < float(weight.abs().max()) < 5 * std and float(weight.std()) == pytest.approx(std, rel=0.4)
        assert not state[f"roi_head.{head}.bias"].any()
    told = found.summary()
    assert told["tensors"] == {"transferred": 15, "remapped": 0, "in_part": 0, "anew": 6, "of": 21, "left_behind": 0}
    assert told["anew"] == {"roi_head.bbox_head.fc_cls": 2, "roi_head.bbox_head.fc_reg": 2,
                            "roi_head.mask_head.conv_logits": 2}  # fmt: skip
    assert told["classes"] == {"taken": [], "anew": list(CLASSES), "left_behind": list(EIGHTY)}
    assert (told["source"]["kind"], told["source"]["file"]) == ("weights", "coco.pth")
    found.write(tmp_path / "transfer.json", model)
    listed = json.loads((tmp_path / "transfer.json").read_text())["list"]
    assert len(listed) == 21 and all(len(one["sha256"]) == 64 for one in listed)


def test_draws_are_of_the_seed_and_the_layer_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "coco.pth", detector(80, seed=1).state_dict())

    def drawn(seed: int, anew: str, own: int) -> torch.Tensor:
        model = detector(3, seed=own)
        begin_with(model, section(path, anew=anew), None, CLASSES, seed)
        return model.state_dict()["roi_head.bbox_head.fc_cls.weight"]

    assert torch.equal(drawn(5, "classes", 2), drawn(5, "heads", 3))
    assert not torch.equal(drawn(5, "classes", 2), drawn(6, "classes", 2))


def test_a_model_begins_with_a_backbone(tmp_path: Path) -> None:
    given, model = detector(80, seed=1).backbone, detector(3, seed=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    path = tmp_path / "resnet.pth"
    torch.save({**given.state_dict(), "fc.weight": torch.zeros(10, 4)}, path)
    found = begin_with(model, section(backbone=path), None, CLASSES, seed=5)
    assert found is not None
    state = model.state_dict()
    assert all(torch.equal(state[f"backbone.{name}"], value) for name, value in given.state_dict().items())
    assert all(torch.equal(state[name], before[name]) for name in state if not name.startswith("backbone."))
    told = found.summary()
    assert (told["source"]["kind"], told["tensors"]["transferred"], told["tensors"]["left_behind"]) == (
        "backbone",
        7,
        1,
    )
    assert told["anew"] == {"neck": 2, "rpn_head": 2, "roi_head.bbox_head": 6, "roi_head.mask_head": 4}


def test_the_backbone_of_a_detector_alone(tmp_path: Path) -> None:
    given, model = detector(80, seed=1), detector(3, seed=2)
    neck = model.neck.lateral_convs[0].weight.clone()
    path = saved(tmp_path / "coco.pth", given.state_dict())
    found = begin_with(model, section(path, take="backbone"), None, CLASSES, seed=5)
    assert found is not None
    told = found.summary()
    assert told["parts"]["backbone"]["loaded"] == 7 and told["tensors"]["left_behind"] == 0
    assert torch.equal(model.neck.lateral_convs[0].weight, neck), "it keeps what the model drew"
    others = {part: one for part, one in told["parts"].items() if part != "backbone"}
    assert sum(one["reinitialised"] for one in others.values()) == 14, "in the file, and not taken of it"
    assert not any(one["loaded"] or one["unexpected"] or one["missing"] for one in others.values())
    assert told["anew"] == {"neck": 2, "rpn_head": 2, "roi_head.bbox_head": 6, "roi_head.mask_head": 4}


def test_a_whole_detector_is_no_backbone(tmp_path: Path) -> None:
    path = saved(tmp_path / "coco.pth", detector(80).state_dict())
    with pytest.raises(RunError, match="whole detector, not a backbone alone"):
        begin_with(detector(3), section(backbone=path), None, CLASSES, seed=5)


def test_the_stage_before_goes_before_the_files(tmp_path: Path) -> None:
    before = saved(tmp_path / "s0-e0002.pth", detector(3, seed=1).state_dict(), CLASSES)
    model = detector(3, seed=2)
    found = begin_with(model, section(tmp_path / "absent.pth", anew="nothing"), before, CLASSES, 5, stage="warm")
    assert found is not None
    told = found.summary()
    assert told["source"] | {"sha256": None, "form": None} == {
        "kind": "stage", "weights": "trained", "stage": "warm", "epoch": 12, "file": "s0-e0002.pth", "sha256": None,
        "form": None,
    }  # fmt: skip
    assert told["tensors"]["transferred"] == 21 and told["classes"]["taken"] == list(CLASSES)
    assert begin_with(detector(3), section(), None, CLASSES, 5) is None


def test_rows_of_other_classes_are_not_kept(tmp_path: Path) -> None:
    path = saved(tmp_path / "one.pth", detector(3).state_dict(), ("box", "disc", "cross"))
    with pytest.raises(RunError, match="of 3, 1 stand in the same place"):
        begin_with(detector(3), section(path, anew="nothing"), None, CLASSES, 5)
    begin_with(detector(3), section(path), None, CLASSES, 5)


def test_the_check_tells_what_a_training_would_do(tmp_path: Path) -> None:
    good = saved(tmp_path / "coco.pth", detector(80).state_dict(), EIGHTY)
    bare = saved(tmp_path / "bare.pth", detector(80).backbone.state_dict())
    sections = [section(good), section(bare), section(), section(tmp_path / "absent.pth")]
    models = [{"section": one, "classes": list(CLASSES)} for one in sections]
    spec: Any = None
    found = check_weights(spec, {"models": models}, lambda _, classes: shapes(detector(classes).state_dict()))["found"]
    assert found[0]["parts"]["roi_head.bbox_head"]["reinitialised"] == 4 and "error" not in found[0]
    assert (found[0]["classes"], found[0]["epoch"], found[0]["field"]) == (80, 12, "model.weights")
    assert "backbone alone" in found[1]["error"]["message"] and found[1]["parts"]["backbone"]["missing"] == 7
    assert found[2] == {"random": True}
    assert "There is no file" in found[3]["error"]["message"]
