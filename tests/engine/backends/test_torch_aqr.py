"""AQR: its gradient, its maps, its bounds, what it leaves out, and what it says of itself."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from detui.engine.backends.torch.fusion.aqr import Aqr, AqrOptions
from detui.engine.backends.torch.fusion.geometry import Projection
from detui.engine.backends.torch.fusion.modulator import Modulator
from detui.engine.backends.torch.fusion.renderer import GaussianRenderer
from detui.engine.backends.torch.fusion.statistics import gain_violation, gradient_norm, statistics
from detui.engine.backends.torch.gain import gain_bounds
from detui.engine.backends.torch.names import STATISTICS
from detui.engine.errors import RunError

BATCH, QUERIES, CHANNELS, VIEWS = 2, 40, 8, 2
BEV, PICTURE, CELLS = (12, 12), (64, 96), (4, 6)
CONFIGURATIONS = {
    "2.0+0.65": (2.0, 0.65, 1.35, 2.65),
    "2.5+0.6": (2.5, 0.60, 1.60, 3.10),
    "A": (2.0, 0.70, 1.30, 2.70),
    "B": (2.2, 0.68, 1.384, 2.88),
    "1.5+0.7": (1.5, 0.70, 1.15, 2.20),
}
"""Clamp, residual weight, and the largest gain: convex, additive."""


def inputs(seed: int = 0, **kind: Any) -> dict[str, Any]:
    """What `Aqr` is called with: the queries stand close enough to pile up past any clamp."""
    torch.manual_seed(seed)
    pixels = torch.rand(BATCH, VIEWS, QUERIES, 2) * torch.tensor([PICTURE[1] / 3, PICTURE[0] / 3])
    return {
        "queries": torch.randn(BATCH, QUERIES, CHANNELS, **kind),
        "reference": torch.rand(BATCH, QUERIES, 3, **kind) * 0.3,
        "seen": Projection(pixels.to(**kind), torch.rand(BATCH, VIEWS, QUERIES) > 0.3),
        "bev": torch.randn(BATCH, CHANNELS, *BEV, **kind),
        "pictures": torch.randn(BATCH, VIEWS, CHANNELS, *CELLS, **kind),
        "size": PICTURE,
        "real": torch.ones(BATCH, QUERIES, dtype=torch.bool),
    }


def aqr(**options: Any) -> Aqr:
    torch.manual_seed(1)
    return Aqr(CHANNELS, AqrOptions(**options))


def naive(renderer: GaussianRenderer, weights: Any, cells: Any, drawn: Any, size: tuple[int, int]) -> Any:
    """The dense splat: one Gaussian after the other into the map."""
    offsets = range(-renderer.radius, renderer.radius + 1)
    bell = {o: math.exp(-(o**2) / (2 * renderer.sigma**2)) for o in offsets}
    total = sum(bell.values()) ** 2 if renderer.kernel == "sum" else 1.0
    raw = torch.zeros(len(weights), *size, dtype=weights.dtype)
    for b, q in drawn.nonzero().tolist():
        row, column = (int(value) for value in cells[b, q].floor())
        for i in offsets:
            for j in offsets:
                if 0 <= row + i < size[0] and 0 <= column + j < size[1]:
                    raw[b, row + i, column + j] += weights[b, q] * bell[i] * bell[j] / total
    return raw


@pytest.mark.parametrize("kernel", ["sum", "peak"])
@pytest.mark.parametrize("sigma", [0.7, 1.0])
def test_the_separable_renderer_equals_the_naive_splat(kernel: Any, sigma: float) -> None:
    torch.manual_seed(0)
    renderer = GaussianRenderer(0.25, sigma, kernel, min_weight=0.05)
    weights, cells = torch.rand(2, 30).double(), torch.rand(2, 30, 2).double() * 6
    drawn = torch.rand(2, 30) > 0.2
    rendered = renderer(weights, cells, drawn, (9, 11))
    wanted = naive(renderer, weights, cells, drawn, (9, 11))
    assert (rendered.raw - wanted).abs().max() < 1e-12
    assert (rendered.map - torch.where(wanted < 0.05, 0.0, wanted).clamp(max=0.25)).abs().max() < 1e-12
    assert (wanted > 0.25).any(), "some cells are clamped"
    assert ((wanted > 0) & (wanted < 0.05)).any(), "some are dropped"


def test_a_single_query_has_the_peak_or_the_sum_that_its_kernel_says() -> None:
    cells, drawn = torch.tensor([[[8.0, 8.0]]]), torch.ones(1, 1, dtype=torch.bool)
    weight = torch.tensor([[0.8]])
    assert GaussianRenderer(kernel="peak").splat(weight, cells, drawn, (17, 17)).max() == pytest.approx(0.8)
    spread = GaussianRenderer(kernel="sum").splat(weight, cells, drawn, (17, 17))
    assert spread.sum() == pytest.approx(0.8) and spread.max() == pytest.approx(0.8 * 0.159, rel=0.01)


@pytest.mark.parametrize("saturate", ["hard", "straight-through"])
def test_a_clamped_cell_passes_its_gradient_only_where_that_is_asked(saturate: Any) -> None:
    renderer = GaussianRenderer(0.5, kernel="peak", saturate=saturate)
    weight = torch.tensor([[0.9]], requires_grad=True)
    cells, drawn = torch.tensor([[[0.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool)
    rendered = renderer(weight, cells, drawn, (1, 1)).map
    assert rendered.item() == 0.5
    rendered.sum().backward()
    assert weight.grad is not None and weight.grad.item() == (1.0 if saturate == "straight-through" else 0.0)


@pytest.mark.parametrize("mode", ["convex", "additive"])
def test_gradients_are_right(mode: Any) -> None:
    """From the modulated features back to the queries' codes, through weights, maps and modulation."""
    module = aqr(mode=mode, kernel="peak", max_weight_clamp=50.0, min_weight=0.0).double()
    given = inputs(dtype=torch.float64)
    pixels, visible = given["seen"]
    small = {
        "queries": given["queries"][:1, :3],
        "reference": given["reference"][:1, :3],
        "seen": Projection(pixels[:1, :, :3], visible[:1, :, :3]),
        "bev": given["bev"][:1, :, :3, :3],
        "pictures": given["pictures"][:1, :, :, :2, :2],
        "size": PICTURE,
        "real": given["real"][:1, :3],
    }

    def modulated(queries: Any, bev: Any, pictures: Any) -> Any:
        result = module(**{**small, "queries": queries, "bev": bev, "pictures": pictures})
        return result.bev.sum(1), result.pictures.sum(2)

    leaves = [small[name].detach().requires_grad_() for name in ("queries", "bev", "pictures")]
    assert torch.autograd.gradcheck(modulated, leaves, fast_mode=True)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("mode", ["convex", "additive"])
@pytest.mark.parametrize("saturate", ["hard", "straight-through"])
def test_gains_reach_their_bounds_and_stay_within(configuration: str, mode: Any, saturate: Any) -> None:
    clamp, residual, convex, additive = CONFIGURATIONS[configuration]
    bounds = gain_bounds(clamp, residual, mode)
    assert bounds.low == residual and bounds.high == pytest.approx(convex if mode == "convex" else additive)
    module = aqr(max_weight_clamp=clamp, residual_weight=residual, mode=mode, kernel="peak", saturate=saturate)
    numbers = statistics(module(**inputs(), trace=True).trace, residual, mode)
    assert gain_violation(numbers) is None
    for side in ("lidar", "camera"):
        assert numbers[f"aqr/{side}_gain_max"] == pytest.approx(bounds.high, rel=1e-6), "the maps reach the clamp"
    assert numbers["aqr/lidar_gain_min"] == pytest.approx(bounds.low, rel=1e-6), "and are zero elsewhere"
    gain = Modulator(residual, mode).gain
    assert gain(torch.zeros(1)).item() == pytest.approx(bounds.low)
    assert gain(torch.tensor([clamp])).item() == pytest.approx(bounds.high)


def test_a_gain_out_of_bounds_is_an_alarm_that_says_what_was_measured() -> None:
    module = aqr(mode="additive", kernel="peak")
    numbers = statistics(module(**inputs(), trace=True).trace, 0.6, "convex")
    said = gain_violation(numbers)
    assert said is not None and "0.6 to 3.1" in said and "allow 0.6 to 1.6" in said


def test_padding_leaves_nothing_in_the_maps_and_is_counted() -> None:
    module, given = aqr(kernel="peak"), inputs()
    given["real"][:, :10] = False
    moved = {**given, "reference": given["reference"].clone(), "queries": given["queries"].clone()}
    moved["reference"][:, :10], moved["queries"][:, :10] = 0.0, 100.0
    first, second = module(**given, trace=True), module(**moved, trace=True)
    assert torch.equal(first.bev, second.bev) and torch.equal(first.pictures, second.pictures)
    numbers = statistics(second.trace, 0.6, "convex")
    assert numbers["aqr/padding_fraction"] == pytest.approx(10 / QUERIES)
    assert numbers["aqr/lidar_weight_max"] == pytest.approx(second.weights[:, 10:, 0].max().item())


def test_queries_that_no_camera_sees_are_drawn_above_alone() -> None:
    module, given = aqr(kernel="peak"), inputs()
    given["seen"] = given["seen"]._replace(visible=torch.zeros(BATCH, VIEWS, QUERIES, dtype=torch.bool))
    result = module(**given, trace=True)
    assert (result.pictures - given["pictures"] * 0.6).abs().max() < 1e-6
    assert result.trace.lidar.rendered.map.max() > 0
    assert statistics(result.trace, 0.6, "convex")["aqr/unseen_fraction"] == 1.0


def test_a_query_is_drawn_in_the_first_picture_alone_that_shows_it() -> None:
    """Every other query is seen by both cameras, the rest by the second one."""
    module, given = aqr(weights="constant"), inputs()

    def raw(visible: torch.Tensor) -> torch.Tensor:
        result = module(**{**given, "seen": given["seen"]._replace(visible=visible)}, trace=True)
        return result.trace.camera.rendered.raw

    both = torch.ones(BATCH, VIEWS, QUERIES, dtype=torch.bool)
    both[:, 0, ::2] = False
    apart = both.clone()
    apart[:, 1, 1::2] = False
    assert torch.equal(raw(both), raw(apart)) and (raw(both).flatten(2).amax(-1) > 0).all()


def test_padding_is_none_of_the_unseen() -> None:
    """Thirteen queries are seen by no camera, ten of which are padding: three of the others."""
    module, given = aqr(), inputs()
    given["real"][:, :10] = False
    visible = torch.ones_like(given["seen"].visible)
    visible[:, :, :13] = False
    given["seen"] = given["seen"]._replace(visible=visible)
    numbers = statistics(module(**given, trace=True).trace, 0.6, "convex")
    assert numbers["aqr/unseen_fraction"] == pytest.approx(3 / (QUERIES - 10))


def test_gradient_reaches_what_computes_the_weights_and_its_absence_is_an_error() -> None:
    module = aqr()
    result = module(**inputs())
    (result.bev.square().sum() + result.pictures.square().sum()).backward()
    assert gradient_norm(module.weights.parameters()) > 0
    assert all(p.grad is not None and p.grad.norm() > 0 for p in module.weights.parameters())
    module.zero_grad()
    with pytest.raises(RunError, match="No gradient reaches the AQR weights"):
        gradient_norm(module.weights.parameters())


def test_hard_clamping_everywhere_ends_in_that_error_and_straight_through_does_not() -> None:
    """Where the clamp is below what a single query leaves, nothing passes; that is what the hint says."""
    for saturate in ("hard", "straight-through"):
        module = aqr(max_weight_clamp=0.02, min_weight=0.02, saturate=saturate, kernel="peak")
        result = module(**inputs())
        (result.bev.square().sum() + result.pictures.square().sum()).backward()
        if saturate == "hard":
            with pytest.raises(RunError, match="straight-through"):
                gradient_norm(module.weights.parameters())
        else:
            assert gradient_norm(module.weights.parameters()) > 0


def test_constant_weights_are_the_control() -> None:
    module = aqr(weights="constant", lidar=0.7, camera=0.5)
    assert not list(module.parameters())
    result = module(**inputs(), trace=True)
    numbers = statistics(result.trace, 0.6, "convex")
    for side, value in (("lidar", 0.7), ("camera", 0.5)):
        told = [numbers[f"aqr/{side}_weight_{what}"] for what in ("mean", "min", "max", "std")]
        assert told == pytest.approx([value, value, value, 0.0], abs=1e-6)
    assert numbers["aqr/balance"] == pytest.approx(0.5 / 0.7)
    assert {*numbers, "aqr/gradient_norm"} == set(STATISTICS), "a recipe is checked against these names"


def test_learning_starts_at_the_weights_that_were_asked_for() -> None:
    module = aqr(lidar=0.6, camera=0.9)
    lidar, camera = module(**inputs()).weights.flatten(0, 1).mean(0).tolist()
    assert lidar == pytest.approx(0.6, abs=0.05) and camera == pytest.approx(0.9, abs=0.05)


def test_the_clamp_grows_with_progress_and_is_part_of_the_checkpoint() -> None:
    module = aqr(clamp_from=1.0, max_weight_clamp=2.5)
    assert module.render.clamp.item() == 1.0
    module.set_progress(0.5)
    assert module.render.clamp.item() == 1.75
    other = aqr(clamp_from=1.0, max_weight_clamp=2.5)
    other.load_state_dict(module.state_dict())
    assert other.render.clamp.item() == 1.75
    module.set_progress(2.0)
    assert module.render.clamp.item() == 2.5


def test_relative_change_is_counted_on_all_features_and_on_active_ones() -> None:
    """Half of the features are zero, and the others are attenuated to 0.6: 20 % of all, 40 % of the active ones."""
    given = inputs()
    given["bev"][:, : CHANNELS // 2] = 0
    numbers = statistics(aqr(weights="constant", lidar=1e-6)(**given, trace=True).trace, 0.6, "convex")
    assert numbers["aqr/lidar_relative_change"] == pytest.approx(0.2, abs=1e-6)
    assert numbers["aqr/lidar_relative_change_active"] == pytest.approx(0.4, abs=1e-6)
    assert numbers["aqr/lidar_active_fraction"] == pytest.approx(0.5, abs=1e-6)
    assert numbers["aqr/lidar_zero_fraction"] == 1.0 and numbers["aqr/lidar_clamped_fraction"] == 0.0
    change = given["bev"] * -0.4
    assert numbers["aqr/lidar_mean_change"] == pytest.approx(change.mean().item(), abs=1e-6)
    assert numbers["aqr/lidar_max_change"] == pytest.approx(change.abs().max().item(), abs=1e-6)


def test_the_table_of_the_documentation_is_what_is_computed(repository: Path) -> None:
    text = (repository / "docs" / "fusion.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\.\d) \+ (\d\.\d+)[^|]*\|([^|]+)\|([^|]+)\|([^|]+)\|$", text, re.M)
    assert len(rows) == len(CONFIGURATIONS)
    for row in rows:
        clamp, residual, low, convex, additive = map(float, row)
        assert gain_bounds(clamp, residual, "convex") == pytest.approx((low, convex))
        assert gain_bounds(clamp, residual, "additive") == pytest.approx((low, additive))
