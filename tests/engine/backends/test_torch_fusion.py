"""The fusion detector: geometry on the real frame, boxes, matching and losses, denoising, and the whole of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_frames import tiny_frame

from detui.engine.backends.torch.fusion.aqr import AqrOptions
from detui.engine.backends.torch.fusion.boxes import decode, encode
from detui.engine.backends.torch.fusion.decoder import Predictions
from detui.engine.backends.torch.fusion.decoding import detections
from detui.engine.backends.torch.fusion.denoising import may_attend, noised
from detui.engine.backends.torch.fusion.detector import DetectorOptions, FusionDetector
from detui.engine.backends.torch.fusion.geometry import (
    Range,
    depths,
    points_on_rays,
    project,
    to_metres,
    to_unit,
)
from detui.engine.backends.torch.fusion.inputs import Batch, collate
from detui.engine.backends.torch.fusion.losses import balance_loss, detection_losses, l1
from detui.engine.backends.torch.fusion.matching import match
from detui.engine.backends.torch.fusion.pillars import PillarEncoder
from detui.engine.data.frame import Frame, corners, inside

SPACE: Range = (-20.0, -20.0, -3.0, 20.0, 20.0, 2.0)
BOX = [3.0, -4.0, 0.5, 1.8, 4.2, 1.5, 2.0, 1.0, -0.5]


def detector(**changed: Any) -> FusionDetector:
    torch.manual_seed(0)
    sizes = {"channels": 16, "bev_grid": 10, "ray_points": 4, "queries": 12, "denoising_groups": 2, "layers": 2}
    return FusionDetector(DetectorOptions(**{"space": SPACE, "heads": 2, "hidden": 32, **sizes, **changed}))


def batch(frames: Sequence[Frame]) -> Batch:
    return collate(frames, scale=0.5, crop_top=0.0, space=SPACE)


def total(model: FusionDetector, given: Batch) -> Any:
    output = model(given, denoise=True)
    return sum(detection_losses(output.layers, given.boxes, given.labels, output.denoising).values())


def whole(model: Any, frames: Sequence[Frame]) -> Any:
    """The loss without noised boxes, which each process draws for itself."""
    given = batch(frames)
    return sum(detection_losses(model(given).layers, given.boxes, given.labels, None).values())


TWO = """
import sys, torch
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parents[1] / "workers")]
import test_torch_fusion as t
from detui.engine.backends.torch_support import distributed
folder, rank = Path(sys.argv[2]), int(sys.argv[3])
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
bare = t.detector()
model = distributed.wrapped(bare)
t.whole(model, [t.tiny_frame(rank, boxes=(4, 1)[rank])]).backward()
torch.save({name: parameter.grad for name, parameter in bare.named_parameters()}, folder / f"{rank}.pt")
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


NONE_HERE = """
import sys, json, torch
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parents[1] / "workers")]
import test_torch_fusion as t
from detui.engine.backends.torch_support import distributed
folder, rank = Path(sys.argv[2]), int(sys.argv[3])
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
model = distributed.wrapped(t.detector())
terms = []
for boxes in ((4, 0), (0, 0)):
    given = t.batch([t.tiny_frame(rank, boxes=boxes[rank])])
    output = model(given, denoise=True)
    found = t.detection_losses(output.layers, given.boxes, given.labels, output.denoising)
    sum(found.values()).backward()
    terms.append(list(distributed.means_over_processes(found)))
(folder / f"{rank}.json").write_text(json.dumps(terms))
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


class TestGeometry:
    def test_points_behind_a_camera_are_masked(self) -> None:
        """Mirrored through the camera they would lie in the middle of its picture."""
        frame = tiny_frame()
        matrices = torch.from_numpy(frame.lidar_to_image())[None, :1].float()
        ahead, behind = project(torch.tensor([[[0.0, 8, -0.5], [0, -8, -0.5]]]), matrices, (32, 64)).visible[0, 0]
        assert ahead and not behind
        seen = project(torch.tensor([[[0.0, 8, -0.5], [0, -8, -0.5]]]), matrices, (32, 64))
        assert seen.pixels[0, 0, 0].tolist() == pytest.approx([32.0, 16.0]) and seen.pixels[0, 0, 1].tolist() == [0, 0]

    def test_a_ray_leads_through_the_point_that_was_projected(self) -> None:
        """Among a pixel's points along its ray is the one that it shows."""
        matrices = torch.from_numpy(tiny_frame().lidar_to_image())[None].double()
        point = torch.tensor([[[4.0, 7.0, 0.3]]]).double()
        seen = project(point, matrices, (32, 64))
        view = int(seen.visible[0, :, 0].double().argmax())
        ray = points_on_rays(seen.pixels, matrices, depths(400, 20.0, point), SPACE)[0, view, 0].unflatten(0, (-1, 3))
        assert (to_metres(ray, SPACE) - point[0, 0]).norm(dim=1).min() < 0.05
        assert (to_unit(to_metres(ray, SPACE), SPACE) - ray).abs().max() < 1e-9

    def test_real_points_of_boxes_are_projected_into_the_pictures_of_those_boxes(self, real_frame: Frame) -> None:
        """Points inside of a box fall within the outline of its corners, in every camera that sees all of them."""
        wide: Range = (-54.0, -54.0, -5.0, 54.0, 54.0, 3.0)
        given, checked = collate([real_frame], scale=0.2, crop_top=0.25, space=wide), 0
        boxes = real_frame.boxes[real_frame.num_lidar_points >= 20]
        for box, hits in zip(boxes, inside(boxes, real_frame.points), strict=True):
            places = np.concatenate([corners(box[None])[0], real_frame.points[hits, :3]])
            seen = project(torch.from_numpy(places)[None].float(), given.lidar_to_image, given.size)
            for view in seen.visible[0].all(1).nonzero()[:, 0].tolist():
                outline, points = seen.pixels[0, view, :8], seen.pixels[0, view, 8:]
                assert (points >= outline.amin(0) - 1e-3).all() and (points <= outline.amax(0) + 1e-3).all()
                checked += 1
        assert checked >= 5

    def test_shrinking_and_cropping_move_pictures_and_calibration_alike(self) -> None:
        """A bright spot is where its point is projected, in the picture as it was and in a smaller, lower one."""
        frame = tiny_frame(0, boxes=0)
        frame.images[:] = 0
        frame.images[0, :, 18:22, 38:42] = 255
        for scale, crop in ((1.0, 0.0), (0.5, 0.25)):
            given = collate([frame], scale=scale, crop_top=crop, space=SPACE)
            spot = torch.tensor([[[2.0, 8.0, -1.5]]])
            u, v = project(spot, given.lidar_to_image, given.size).pixels[0, 0, 0].tolist()
            assert (u, v) == pytest.approx((40.0 * scale, 20.0 * scale - 32 * scale * crop))
            picture = given.images[0, 0].mean(0)
            bright = (picture == picture.max()).nonzero().double().mean(0) + 0.5
            assert bright.tolist() == pytest.approx([v, u], abs=0.3)


class TestPillars:
    def test_a_point_is_in_the_cell_above_which_it_lies_and_the_order_does_not_matter(self) -> None:
        torch.manual_seed(0)
        encoder = PillarEncoder(8, 5, SPACE, inner=4)
        cloud = torch.tensor([[-19.0, -19, 0, 10, 0], [-19.0, -19, 1, 20, 0], [19.0, -1, 0, 30, 0], [99.0, 0, 0, 0, 0]])
        found = encoder.scatter(cloud)
        assert found.shape == (5, 10, 10)
        counts = found[-1].expm1().round()
        assert counts[0, 0] == 2 and counts[4, 9] == 1 and counts.sum() == 3
        assert torch.allclose(found, encoder.scatter(cloud.flip(0)))
        assert encoder.scatter(cloud[3:]).abs().sum() == 0, "a cloud with no point in the space is a map of zeros"


class TestBoxes:
    def test_codes_come_back_as_boxes(self) -> None:
        boxes = torch.tensor([BOX, [0, 0, 0, 0.3, 0.3, 1, -3.1, 0, 0]]).double()
        assert (decode(encode(boxes)) - boxes).abs().max() < 1e-12

    def test_an_untrained_size_stays_finite(self) -> None:
        assert torch.isfinite(decode(torch.full((1, 10), 1e4))).all()

    def test_an_unknown_velocity_is_left_out_number_by_number(self) -> None:
        codes = torch.zeros(1, 10, requires_grad=True)
        known, partly = torch.tensor([BOX]), torch.tensor([[*BOX[:7], math.nan, BOX[8]]])
        difference = l1(codes, known) - l1(codes, partly)
        assert difference.item() == pytest.approx(0.2 * abs(BOX[7]), rel=1e-4)
        l1(codes, partly).backward()
        assert codes.grad is not None and torch.isfinite(codes.grad).all() and codes.grad[0, 8] == 0

    def test_detections_are_the_best_queries_and_classes_inside_the_space(self) -> None:
        logits = torch.full((1, 3, 2), -5.0)
        logits[0, 0, 1], logits[0, 2, 0], logits[0, 1, 0] = 3.0, 2.0, 4.0
        outside = [99.0, *BOX[1:]]
        codes = encode(torch.tensor([[BOX, outside, BOX]]))
        found = detections(Predictions(logits, codes), SPACE, limit=3)[0]
        assert found.labels.tolist() == [1, 0] and found.scores.tolist() == pytest.approx([0.9526, 0.8808], abs=1e-3)
        assert found.boxes[0].tolist() == pytest.approx(BOX, abs=1e-5)


class TestMatching:
    def test_each_box_gets_the_query_that_predicts_it(self) -> None:
        boxes, labels = torch.tensor([BOX, [*[-v for v in BOX[:3]], *BOX[3:]]]), torch.tensor([1, 0])
        codes = torch.stack([encode(boxes[1]), torch.zeros(10), encode(boxes[0])])
        queries, targets = match(Predictions(torch.zeros(3, 2), codes), boxes, labels)
        assert dict(zip(queries.tolist(), targets.tolist(), strict=True)) == {0: 1, 2: 0}
        assert len(match(Predictions(torch.zeros(3, 2), codes), boxes[:0], labels[:0])[0]) == 0

    def test_numbers_that_are_not_finite_do_not_end_it(self) -> None:
        found = match(
            Predictions(torch.full((3, 2), math.nan), torch.zeros(3, 10)), torch.tensor([BOX]), torch.tensor([0])
        )
        assert len(found[0]) == 1

    def test_perfect_predictions_cost_nearly_nothing(self) -> None:
        boxes, labels = [torch.tensor([BOX])], [torch.tensor([1])]
        logits = torch.full((1, 2, 2), -12.0)
        logits[0, 0, 1] = 12.0
        codes = torch.stack([encode(boxes[0][0]), torch.zeros(10)])[None]
        found = detection_losses([Predictions(logits, codes)], boxes, labels, None)
        assert set(found) == {"cls", "bbox"} and all(value < 1e-4 for value in found.values())


class TestBalance:
    def test_it_pulls_the_ratio_of_camera_to_lidar_weight_to_the_wished_one(self) -> None:
        """Weights of LiDAR and camera 0.5 and 0.75, a ratio of 1.5; padding of 0.9 and 0.1 does not count."""
        given = torch.tensor([[[0.5, 0.75], [0.9, 0.1]]], requires_grad=True)
        real = torch.tensor([[True, False]])
        assert balance_loss(given, real, 1.5).item() == pytest.approx(0.0, abs=1e-9)
        loss = balance_loss(given, real, 1.0)
        loss.backward()
        assert loss.item() == pytest.approx(math.log(1.5) ** 2, rel=1e-6) and given.grad is not None
        (lidar, camera), padding = given.grad[0]
        assert lidar < 0 < camera, "the LiDAR's weight is to rise, the camera's to fall"
        assert padding.tolist() == [0.0, 0.0]


class TestDenoising:
    def test_groups_are_as_many_as_fit_and_padding_is_marked(self) -> None:
        torch.manual_seed(0)
        boxes = [torch.tensor([BOX] * 3), torch.tensor([BOX])]
        labels = [torch.tensor([1, 2, 0]), torch.tensor([1])]
        found = noised(boxes, labels, groups=10, queries=12, classes=3, space=SPACE)
        assert (
            found is not None
            and found.reference.shape == (2, 12, 3)
            and found.group.tolist() == sorted([0, 1, 2, 3] * 3)
        )
        assert found.real[0].all() and found.real[1].tolist() == [True, False, False] * 4
        away = (to_metres(found.reference, SPACE) - found.boxes[..., :3])[found.real].abs()
        assert (away <= torch.tensor(BOX[3:6]) / 2 + 1e-4).all() and away.max() > 0.3
        assert (found.labels[1][~found.real[1]] == 3).all(), "padding says that nothing is there"
        assert {1, 2, 0, 3} >= set(found.labels[0].tolist()) and (found.labels[0] == 3).any()

    def test_none_where_no_frame_has_a_box(self) -> None:
        empty = torch.zeros(0, 9), torch.zeros(0, dtype=torch.long)
        assert noised([empty[0]], [empty[1]], 10, 900, 10, SPACE) is None
        assert noised([torch.tensor([BOX])], [torch.tensor([0])], 0, 900, 10, SPACE) is None
        assert may_attend(None, 5) is None

    def test_learned_queries_see_no_noised_ones_groups_not_each_other_and_nobody_padding(self) -> None:
        boxes, labels = [torch.tensor([BOX] * 2), torch.tensor([BOX])], [torch.tensor([0, 0]), torch.tensor([0])]
        allowed = may_attend(noised(boxes, labels, 2, 4, 3, SPACE), 3)
        assert allowed is not None and allowed.shape == (2, 1, 7, 7)
        first, second = allowed[:, 0]
        assert not first[4:, :4].any() and first[4:, 4:].all() and first[:4, 4:].all()
        assert first[:2, :2].all() and not first[:2, 2:4].any()
        padding = [1, 3]
        assert second[padding, padding].all() and second[:, padding].sum() == 2, "padding is seen by itself alone"


class TestDetector:
    def test_every_parameter_learns(self) -> None:
        """Nothing is cut off, with AQR and without, so that several processes can train together."""
        given = batch([tiny_frame(0), tiny_frame(1)])
        for aqr in ({}, {"aqr": None}):
            model = detector(**aqr)
            total(model, given).backward()
            without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert without == []

    def test_the_content_of_the_decoder_keeps_gradients_small(self) -> None:
        """Zero content meets LayerNorm of nothing but zeros, whose gradients were a hundred times larger."""
        given, model = batch([tiny_frame(0)]), detector()
        assert model.decoder.content.requires_grad and model.decoder.content.std() > 0.2
        total(model, given).backward()
        assert torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9) < 1000

    @pytest.mark.parametrize("aqr", [None, AqrOptions(kernel="peak"), AqrOptions(kernel="peak", noised_drawn=True)])
    def test_learned_queries_are_not_told_about_boxes(self, aqr: AqrOptions | None) -> None:
        """With the true boxes as noised queries beside them, and padding, they say what they say without.

        But where AQR is asked to draw those, as the original does: that tells.
        """
        model = detector(aqr=aqr).eval()
        alone, many = tiny_frame(0, boxes=2), tiny_frame(1, boxes=4)
        with torch.no_grad():
            together, single = model(batch([alone, many]), denoise=True), model(batch([alone]))
        assert together.real[0].sum() < together.real.shape[1] and torch.isfinite(together.layers[-1].logits).all()
        told = (together.layers[-1].logits[0, -12:] - single.layers[-1].logits[0]).abs().max()
        assert (told > 1e-3) if aqr is not None and aqr.noised_drawn else (told < 1e-5)

    def test_a_batch_without_any_box_trains(self) -> None:
        model, given = detector(), batch([tiny_frame(0, boxes=0)])
        loss = total(model, given)
        loss.backward()
        assert torch.isfinite(loss) and loss > 0

    @pytest.mark.slow
    def test_it_learns(self) -> None:
        """Twelve steps on two frames."""
        model, given = detector(), batch([tiny_frame(0), tiny_frame(1)])
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
        losses = []
        for _ in range(12):
            torch.manual_seed(0)
            loss = total(model, given)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.85 * losses[0]

    @pytest.mark.slow
    def test_two_processes_learn_what_one_learns_from_both_their_frames(self, tmp_path: Path) -> None:
        """Gradients through gloo are those of one batch of two frames; with four boxes and one, unevenly shared."""
        command = [sys.executable, "-c", TWO, str(Path(__file__).parent), str(tmp_path)]
        children = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
        assert [child.wait(120) for child in children] == [0, 0]
        model = detector()
        whole(model, [tiny_frame(0, boxes=4), tiny_frame(1, boxes=1)]).backward()
        for rank in range(2):
            found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
            assert len(found) > 50
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None
                away = (found[name] - parameter.grad).abs().max()
                assert away <= 1e-4 * parameter.grad.abs().max() + 1e-6, name

    @pytest.mark.slow
    def test_processes_without_boxes_have_the_terms_of_the_others(self, tmp_path: Path) -> None:
        """Otherwise they would wait for each other in different sums."""
        command = [sys.executable, "-c", NONE_HERE, str(Path(__file__).parent), str(tmp_path)]
        children = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
        assert [child.wait(120) for child in children] == [0, 0]
        first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
        assert first == second and "dn_cls" in first[0], "one of them has boxes"
        assert "dn_cls" not in first[1] and "cls" in first[1], "none has"

    def test_pictures_are_filled_up_to_whole_cells(self) -> None:
        given = collate([tiny_frame(0)], scale=0.6, crop_top=0.1, space=SPACE)
        assert given.images.shape == (1, 6, 3, 32, 48), "19 × 38 pixels, of which 17 rows are left"
        assert given.images[..., 17:, :].abs().max() == 0 and given.images[..., 38:].abs().max() == 0

    def test_boxes_without_points_or_outside_are_not_asked_for(self) -> None:
        frame = tiny_frame(0, boxes=3)
        frame.boxes[0, 0], frame.num_lidar_points[1] = 99.0, 0
        assert len(batch([frame]).labels[0]) == 1
