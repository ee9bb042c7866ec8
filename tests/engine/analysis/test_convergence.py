"""Convergence of curves whose numbers are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detui.engine.analysis.convergence import LAST, SHARES, Area, Reach, Reason, Spread, Trend, converge

CURVE = [(10, 0.05), (20, 0.15), (30, 0.25), (40, 0.28), (50, 0.30)]

curves = st.lists(st.tuples(st.integers(1, 15), st.floats(0, 1)), min_size=2, max_size=12).map(
    lambda steps: [(sum(gap for gap, _ in steps[: place + 1]), value) for place, (_, value) in enumerate(steps)]
)


def test_a_curve_by_hand() -> None:
    found = converge(CURVE)
    assert found.final == 0.30
    # Half is 0.15, which epoch 20 has exactly; 90 % is 0.27, which lies after 30 and was seen at 40.
    assert found.reached == (Reach(20, 10), Reach(40, 30))
    assert found.area == Area(pytest.approx((0.10 + 0.20 + 0.265 + 0.29) / 4), 10, 50)
    assert found.trend == Trend(True, pytest.approx(0.02), 40, 50)
    assert found.spread is Reason.FEW, "only epoch 50 lies within the last ten"


def test_the_first_evaluation_has_none_before_it() -> None:
    assert converge([(10, 0.29), (20, 0.30)]).reached == (Reach(10, None), Reach(10, None))


def test_a_share_counts_from_its_first_evaluation_though_the_curve_falls_again() -> None:
    found = converge([(10, 0.05), (20, 0.4), (30, 0.1), (40, 0.2)])
    assert found.reached == (Reach(20, 10), Reach(20, 10))
    assert found.trend == Trend(False, pytest.approx(0.1), 30, 20)


def test_stability_is_over_the_last_ten_epochs_of_the_training() -> None:
    points = [(90, 0.9), (91, 0.30), (95, 0.34), (100, 0.32)]
    assert converge(points).spread == Spread(pytest.approx(0.04), pytest.approx(0.02), 3, 91)
    assert converge(points, last_epoch=104).spread == Spread(pytest.approx(0.02), pytest.approx(math.sqrt(2e-4)), 2, 95)
    assert converge(points, last_epoch=109).spread is Reason.FEW


@pytest.mark.parametrize(
    ("points", "final", "reason"),
    [
        ([], Reason.MISSING, Reason.MISSING),
        ([(10, 0.2), (20, None)], Reason.NO_AP, Reason.NO_AP),
        ([(10, 0.2), (20, math.nan)], Reason.NO_AP, Reason.NO_AP),
        ([(10, 0.0), (20, 0.0)], 0.0, Reason.ZERO),
        ([(10, 0.2)], 0.2, Reason.ONE),
    ],
)
def test_what_cannot_be_said_has_a_reason(points, final, reason) -> None:
    found = converge(points)
    assert found.final == final and set(found.reached) == {reason}
    if reason is not Reason.ZERO:
        assert found.area is reason and found.trend is reason
        assert found.spread is (Reason.FEW if reason is Reason.ONE else reason)


def test_an_evaluation_without_ap_widens_the_interval_and_leaves_no_area() -> None:
    found = converge([(10, 0.1), (20, None), (30, 0.4)])
    assert found.reached == (Reach(30, 10), Reach(30, 10))
    assert found.area is Reason.GAP and found.trend is Reason.GAP


def test_epochs_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="do not rise"):
        converge([(10, 0.1), (10, 0.2)])


@given(curves)
def test_any_curve(points) -> None:
    found = converge(points)
    values = [value for _, value in points]
    assert found.final == values[-1]
    assert isinstance(found.area, Area) and min(values) - 1e-12 <= found.area.value <= max(values) + 1e-12
    for share, reach in zip(SHARES, found.reached, strict=True):
        if values[-1] == 0:
            assert reach is Reason.ZERO
            continue
        assert isinstance(reach, Reach)
        assert dict(points)[reach.epoch] >= share * values[-1]
        assert all(value < share * values[-1] for epoch, value in points if epoch < reach.epoch)
        assert reach.before == max((epoch for epoch, _ in points if epoch < reach.epoch), default=None)
    if isinstance(found.spread, Spread):
        assert 0 <= found.spread.std <= found.spread.range + 1e-12
        assert found.spread.n == sum(epoch > points[-1][0] - LAST for epoch, _ in points)
