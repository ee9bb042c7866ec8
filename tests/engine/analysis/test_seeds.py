"""Statistics over seeds against scipy and hand-worked numbers."""

from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from detui.engine.analysis import compare, summarise
from detui.engine.analysis.seeds import detectable


def test_summary_by_hand():
    summary = summarise([0.30, 0.32, 0.37])
    assert summary.mean == pytest.approx(0.33) and summary.n == 3
    assert summary.std == pytest.approx(math.sqrt((0.0009 + 0.0001 + 0.0016) / 2))
    half = (summary.interval[1] - summary.interval[0]) / 2
    assert half / summary.std == pytest.approx(2.484, abs=1e-3)  # 4.303 / sqrt(3)


def test_one_seed_has_no_spread():
    summary = summarise([0.3])
    assert (summary.mean, summary.std, summary.interval) == (0.3, None, None)
    with pytest.raises(ValueError, match="no points"):
        summarise([])


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_intervals_are_scipys(seeds):
    draw = random.Random(seeds)
    a = {seed: draw.gauss(0.3, 0.02) for seed in range(seeds)}
    b = {seed: draw.gauss(0.35, 0.05) for seed in range(seeds)}
    expected = stats.t.interval(0.95, seeds - 1, stats.tmean(list(a.values())), stats.sem(list(a.values())))
    assert summarise(list(a.values())).interval == pytest.approx(expected)
    welch = stats.ttest_ind(list(b.values()), list(a.values()), equal_var=False)
    comparison = compare(a, b)
    assert comparison.interval == pytest.approx(tuple(welch.confidence_interval(0.95)))
    assert comparison.p == pytest.approx(welch.pvalue)
    assert comparison.paired == pytest.approx({seed: b[seed] - a[seed] for seed in a})


def test_below_three_seeds_everything_is_inconclusive():
    comparison = compare({0: 0.1, 1: 0.1001}, {0: 0.9, 1: 0.9001})
    assert (comparison.verdict, comparison.reason) == ("inconclusive", "too few seeds")
    assert compare({0: 0.1}, {0: 0.9, 1: 0.9, 2: 0.9}).interval is None


def test_verdict_follows_the_interval():
    low, high = {0: 0.10, 1: 0.11, 2: 0.12}, {0: 0.50, 1: 0.51, 2: 0.52}
    assert compare(low, high).verdict == "higher" and compare(high, low).verdict == "lower"
    assert compare(low, {0: 0.09, 1: 0.12, 2: 0.13}).reason == "interval holds zero"


def test_only_seeds_of_both_sides_are_paired():
    assert compare({0: 0.1, 1: 0.2}, {1: 0.5, 2: 0.7}).paired == {1: pytest.approx(0.3)}


def test_no_spread_at_all_is_no_division_by_zero():
    comparison = compare({0: 0.5, 1: 0.5, 2: 0.5}, {0: 0.5, 1: 0.5, 2: 0.5})
    assert comparison.interval == (0, 0) and comparison.p is None and comparison.verdict == "inconclusive"


def test_welch_interval_covers_what_it_claims():
    draw = random.Random(5)
    inside = 0
    for _ in range(400):
        a = {seed: draw.gauss(0, 1) for seed in range(3)}
        b = {seed: draw.gauss(0, 2) for seed in range(3)}
        low, high = compare(a, b).interval
        inside += low <= 0 <= high
    assert 0.92 <= inside / 400 <= 0.995


@pytest.mark.parametrize(("n", "spread"), [(3, 1.0), (3, 0.02), (5, 1.0)])
def test_the_detectable_difference_is_detected_in_four_of_five_repetitions(n, spread):
    import numpy as np
    from scipy.stats import ttest_ind

    points = list(np.linspace(-spread, spread, n))
    sigma = np.std(points, ddof=1)
    difference = detectable(points, points)
    draw = np.random.default_rng(1)
    seen = ttest_ind(draw.normal(difference, sigma, (4000, n)), draw.normal(0, sigma, (4000, n)), axis=1,
                     equal_var=False).pvalue < 0.05  # fmt: skip
    assert 0.78 < seen.mean() < 0.82


def test_nothing_is_said_of_power_where_nothing_is_concluded():
    assert detectable([1.0, 2.0], [1.0, 2.0, 3.0]) is None
    assert detectable([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]) is None
    found = compare({0: 0.40, 1: 0.42, 2: 0.41}, {0: 0.45, 1: 0.46, 2: 0.44})
    assert found.effect == pytest.approx(4.0) and found.detectable is not None and 0.03 < found.detectable < 0.04
