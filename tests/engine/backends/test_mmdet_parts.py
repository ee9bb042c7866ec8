"""The parts of MMDetection's training half that need nothing of it: order, names, rates, read-back, results."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from detui.engine.backends.mmdet import readback, state
from detui.engine.backends.mmdet.data import Order, Seeded, whole
from detui.engine.backends.mmdet.facts import check_pictures
from detui.engine.backends.mmdet.predictions import rows
from detui.engine.backends.mmdet.schema import MmdetConfig
from detui.engine.backends.mmdet.validation import named
from detui.engine.errors import RunError


class Shuffled:
    """Batches of two of a sampler that is told the epoch."""

    def __init__(self, pictures: int) -> None:
        self.sampler, self.pictures, self.epoch = self, pictures, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.pictures // 2)

    def __iter__(self) -> Any:
        order = list(range(self.pictures))
        random.Random(self.epoch).shuffle(order)
        return iter([order[first : first + 2] for first in range(0, self.pictures, 2)])


class Drawing:
    """Pictures that are nothing but what was drawn for them."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> tuple[int, float, float]:
        return index, random.random(), float(np.random.rand())


class TestOrder:
    def test_an_epoch_is_entered_at_any_batch(self) -> None:
        order = Order(Shuffled(9))
        order.start(3, 0)
        whole = list(order)
        assert sorted(index for batch in whole for _, index in batch) == list(range(9))
        assert {epoch for batch in whole for epoch, _ in batch} == {3} and len(order) == len(whole) == 5
        order.start(3, 2)
        assert list(order) == whole[2:]
        order.start(4, 0)
        assert [[index for _, index in batch] for batch in order] != [[index for _, index in batch] for batch in whole]

    def test_devices_take_turns_within_the_batches_of_one(self) -> None:
        alone = Order(Shuffled(8))
        alone.start(3, 1)
        shares = [Order(Shuffled(8), rank, 2) for rank in range(2)]
        for share in shares:
            share.start(3, 1)
        assert [first + second for first, second in zip(*shares, strict=True)] == list(alone)
        assert [len(batch) for share in shares for batch in share] == [1] * 6

    def test_nobody_has_a_batch_without_pictures(self) -> None:
        shares = [Order(Shuffled(9), rank, 4) for rank in range(4)]
        last = [list(share)[-1] for share in shares]
        first = [index for _, index in next(iter(Order(Shuffled(9))))]
        assert [len(batch) for batch in last] == [1] * 4
        assert [batch[0][1] for batch in last[1:]] == [*first, first[0]], "the first ones of the epoch, come again"

    def test_every_device_has_the_whole_order_of_mmengine(self) -> None:
        sampler = SimpleNamespace(rank=1, world_size=2, num_samples=5, total_size=10, dataset=Drawing())
        assert vars(whole(sampler)) | {"dataset": None} == {
            "rank": 0, "world_size": 1, "num_samples": 9, "total_size": 9, "dataset": None,
        }  # fmt: skip

    def test_what_is_drawn_for_a_picture_depends_on_its_place_alone(self) -> None:
        pictures = Seeded(Drawing(), 7)
        first = [pictures[0, index] for index in range(9)]
        assert [pictures[0, index] for index in reversed(range(9))] == first[::-1]
        assert len({(one, other) for _, one, other in first}) == 9
        assert pictures[1, 4] != pictures[0, 4] != Seeded(Drawing(), 8)[0, 4]

    def test_the_generators_of_the_training_do_not_move(self) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
        _ = Seeded(Drawing(), 7)[0, 1]
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[union-attr]


class TestCheckpoints:
    def test_two_to_resume_from_are_kept_and_those_of_milestones(self, tmp_path: Path) -> None:
        paths = [state.checkpoint_path(tmp_path, stage, step) for stage, step in ((0, 9), (0, 10), (1, 11))]
        paths.append(state.milestone_path(tmp_path, 2))
        for path in paths:
            path.touch()
        state.prune(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted(paths[1:])
        assert [path.name for path in paths[2:]] == ["s1-step00000011.pth", "epoch-0002.pth"]

    def test_the_generators_of_one_process_are_read_in_the_form_before_there_were_several(self) -> None:
        assert state.generators({"format": 1, "random": {"python": ()}}) == [{"python": ()}]
        assert state.generators({"format": 2, "random": [{"python": ()}, {}]}) == [{"python": ()}, {}]

    @pytest.mark.parametrize("content", [b"torn", None])
    def test_a_torn_or_foreign_file_is_said(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "s0-step00000001.pth"
        if content is None:
            torch.save({"state_dict": {}}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(RunError, match="cannot be read|no checkpoint of this backend"):
            state.load(path)


def detector() -> nn.Module:
    """A parameter or two for each part; the backbone's first does not learn."""
    parts = {"backbone": nn.Linear(1, 1), "neck": nn.Linear(1, 1), "rpn_head": nn.Linear(1, 1),
             "roi_head": nn.ModuleDict({"bbox_head": nn.Linear(1, 1), "mask_head": nn.Linear(1, 1)})}  # fmt: skip
    model = nn.ModuleDict(parts)
    model["backbone"].weight.requires_grad_(False)
    return model


class TestRates:
    def test_groups_of_single_parameters_are_told_by_their_part(self) -> None:
        model = detector()
        factors = {"backbone": 0.1, "neck": 0.5}
        groups = [{"params": [value], "lr": 0.02 * factors.get(name.split(".")[0], 1.0)}
                  for name, value in model.named_parameters() if value.requires_grad]  # fmt: skip
        optimizer = SimpleNamespace(param_groups=groups)
        assert readback.peaks(optimizer, model) == {
            "backbone": 0.002, "neck": 0.01, "rpn_head": 0.02, "roi_head": 0.02,
        }  # fmt: skip
        optimizer.param_groups[2]["lr"] = 0.3
        assert readback.peaks(optimizer, model)["neck"] == [0.01, 0.3], "two rates in a part are no rate"

    def test_one_group_of_all_says_nothing_of_what_is_frozen(self) -> None:
        model = detector()
        optimizer = SimpleNamespace(param_groups=[{"params": list(model.parameters()), "lr": 0.02}])
        assert set(readback.peaks(optimizer, model).values()) == {0.02}
        model["backbone"].requires_grad_(False)  # type: ignore[index]
        assert readback.peaks(optimizer, model)["backbone"] is None


def sections(**given: Any) -> dict[str, Any]:
    return MmdetConfig.model_validate(given).model_dump(mode="json")


class TestAsked:
    def test_fields_of_what_is_off_are_left_out(self) -> None:
        flat = readback.asked(sections(train={"warmup_steps": 0, "drops": []}), 3)
        assert flat["train.epochs"] == 3 and flat["train.warmup_steps"] == 0 and flat["augment.photometric"] is None
        assert not {"train.warmup_from", "train.drop_factor", "train.save_every", "model.weights"} & set(flat)
        assert not any(name.startswith("model.start") for name in flat)

    def test_rates_by_part_are_scaled_and_a_frozen_backbone_has_none(self) -> None:
        train = {"lr": 0.002, "batch": 2, "reference_batch": 4, "layers": {"backbone": 0.1, "neck": 0.5}}
        flat = readback.asked(sections(train=train), 1)
        rates = [flat[f"train.rates.{part}"] for part in ("backbone", "neck", "rpn_head", "roi_head")]
        assert rates == pytest.approx([0.0001, 0.0005, 0.001, 0.001])
        frozen = readback.asked(sections(train=train, model={"backbone": {"frozen_stages": 4}}), 1)
        assert frozen["train.rates.backbone"] is frozen["train.layers.backbone"] is None

    def test_a_difference_ends_the_run_and_so_does_what_nobody_asked_for(self) -> None:
        wanted = {"train.lr": 0.1 * 3, "train.drops": [1, 2], "train.amp": False}
        readback.check(wanted, {"train.lr": 0.3, "train.drops": [1, 2], "train.amp": False})
        for name, other in (("train.lr", 0.31), ("train.drops", [1]), ("train.amp", "bf16"), ("augment.Mosaic", True)):
            with pytest.raises(RunError, match=name):
                readback.check(wanted, {**wanted, name: other})


class TestResults:
    def test_rows_have_boxes_and_masks_in_pixels_and_categories_from_one(self) -> None:
        from pycocotools import mask as coco

        class Instances(SimpleNamespace):
            def __contains__(self, name: str) -> bool:
                return hasattr(self, name)

        masks = torch.zeros(1, 6, 8, dtype=torch.bool)
        masks[0, 1:3, 2:7] = True
        found = Instances(bboxes=torch.tensor([[2.0, 1.0, 7.0, 3.25]]), scores=torch.tensor([0.5]),
                          labels=torch.tensor([4]), masks=masks)  # fmt: skip
        (row,) = rows(SimpleNamespace(pred_instances=found, img_id=12))
        assert row["image_id"] == 12 and row["category_id"] == 5
        assert row["bbox"] == [2.0, 1.0, 5.0, 2.25] and row["score"] == 0.5
        assert row["segmentation"]["size"] == [6, 8] and isinstance(row["segmentation"]["counts"], str)
        assert (coco.decode(row["segmentation"]) == masks[0].numpy()).all()
        del found.masks
        assert "segmentation" not in next(iter(rows(SimpleNamespace(pred_instances=found, img_id=12))))

    def test_validation_losses_carry_mmdetections_name(self) -> None:
        assert named({"loss": 1.0, "loss_mask": 0.5}) == {"mmdet/val_loss": 1.0, "mmdet/val_loss_mask": 0.5}


class Pictures(list[dict[str, Any]]):
    """What a data set of MMDetection says of its pictures."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self[index]


def test_pictures_that_are_left_out_and_objects_without_mask_are_said() -> None:
    pictures = Pictures([{"img_id": 3, "instances": []}, {"img_id": 8, "instances": [{"mask": {}}, {"mask": {}}]}])
    data = {"splits": {"val": {"images": 2}}}
    check_pictures(pictures, data, "val")
    with pytest.raises(RunError, match="takes 1 of the 2 val pictures"):
        check_pictures(Pictures(pictures[:1]), data, "val")
    del pictures[1]["instances"][1]["mask"]
    with pytest.raises(RunError, match="the first in the val picture 8"):
        check_pictures(pictures, data, "val")


def test_nothing_heavy_is_imported_before_a_worker_trains() -> None:
    code = (
        "import sys, detui.engine.backends.mmdet.plan, detui.engine.backends.mmdet.train\n"
        "print(*sorted({'mmdet', 'mmengine', 'mmcv', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
