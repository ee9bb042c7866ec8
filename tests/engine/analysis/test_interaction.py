"""The interaction of arms and data sets: by hand, against Welch's test, and how often its interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from detui.engine.analysis.interaction import Cell, contrast, cross

L_CROWDED, MNV4_CROWDED = (0.20, 0.22, 0.21), (0.10, 0.13, 0.10)
L_SIMPLE, MNV4_SIMPLE = (0.30, 0.31, 0.32), (0.33, 0.36, 0.36)


def cell(arm: str, data_set: str, values: tuple[float, ...], *unfinished: str) -> Cell:
    points = dict(enumerate(values))
    return Cell(name=f"{arm}-{data_set}", arm=arm, data_set=data_set, points=points, unfinished=unfinished)


def four(**changes: tuple[float, ...]) -> list[Cell]:
    values = {"l-crowded": L_CROWDED, "mnv4-crowded": MNV4_CROWDED, "l-simple": L_SIMPLE, "mnv4-simple": MNV4_SIMPLE}
    values |= {name.replace("_", "-"): points for name, points in changes.items()}
    return [cell(*name.split("-"), points) for name, points in values.items()]


def test_two_means_are_welchs() -> None:
    a, b = [0.1, 0.13, 0.17, 0.2], [0.3, 0.31, 0.36]
    found, test = contrast([b, a], (1, -1)), ttest_ind(b, a, equal_var=False)
    assert found.value == pytest.approx(np.mean(b) - np.mean(a))
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.degrees == pytest.approx(test.df)


def test_four_means_by_hand() -> None:
    (one,) = cross(four()).interactions
    assert (one.arm, one.reference, one.data_set, one.against) == ("mnv4", "l", "crowded", "simple")
    # (0.11 - 0.21) - (0.35 - 0.31); variances 3e-4, 1e-4, 3e-4, 1e-4, three seeds each: se = sqrt(8e-4 / 3),
    # degrees (8e-4)^2 / ((9 + 1 + 9 + 1) * 1e-8 / 2) = 6.4, and t(0.975, 6.4) = 2.4102.
    assert one.contrast.value == pytest.approx(-0.14) and one.contrast.n == (3, 3, 3, 3)
    assert one.contrast.degrees == pytest.approx(6.4)
    half = 2.4102 * (8e-4 / 3) ** 0.5
    assert one.contrast.interval == pytest.approx((-0.14 - half, -0.14 + half), abs=1e-5)
    assert one.contains_zero is False and one.reason == ""


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """2,000 repetitions of three to five seeds with unequal spreads; four true means with an interaction of 0.07."""
    draw = np.random.default_rng(7)
    means, spreads, sizes = (0.10, 0.20, 0.33, 0.36), (0.02, 0.005, 0.01, 0.02), (3, 3, 4, 5)
    truth, held = means[0] - means[1] - means[2] + means[3], 0
    for _ in range(2000):
        groups = [draw.normal(*one).tolist() for one in zip(means, spreads, sizes, strict=True)]
        low, high = contrast(groups, (1, -1, -1, 1)).interval
        held += low <= truth <= high
    assert 0.93 < held / 2000 < 0.985


def test_three_arms_have_two_interactions_and_data_in_the_first_order() -> None:
    cells = [*four(), cell("s", "crowded", (0.1, 0.2, 0.3)), cell("s", "simple", (0.1, 0.2, 0.3))]
    found = cross(cells)
    assert (found.arms, found.data_sets) == (("l", "mnv4", "s"), ("crowded", "simple"))
    assert [one.arm for one in found.interactions] == ["mnv4", "s"]
    assert found.interactions[1].contrast.value == pytest.approx((0.2 - 0.21) - (0.2 - 0.31))


def test_nothing_is_concluded_below_three_seeds_but_the_numbers_are_there() -> None:
    (two,) = cross(four(l_simple=(0.30, 0.31))).interactions
    assert two.reason == "too few seeds" and two.contains_zero is None
    assert two.contrast.value == pytest.approx(-0.145) and two.contrast.interval is not None
    (one,) = cross(four(l_simple=(0.30,))).interactions
    assert one.reason == "too few seeds" and one.contrast.interval is None and one.contrast.n == (3, 3, 3, 1)


def test_an_unfinished_run_leaves_it_open() -> None:
    cells = [*four()[:3], cell("mnv4", "simple", MNV4_SIMPLE, "mnv4-simple-s3")]
    (found,) = cross(cells).interactions
    assert found.reason == "runs unfinished" and found.unfinished == ("mnv4-simple-s3",)
    assert found.contrast is not None and found.contains_zero is None


def test_a_cell_that_is_absent_or_empty_leaves_no_number() -> None:
    for cells in (four()[:3], four(mnv4_simple=())):
        (found,) = cross(cells).interactions
        assert found.contrast is None and found.reason == "missing" and found.contains_zero is None


def test_seeds_that_all_agree_have_an_interval_without_width() -> None:
    (found,) = cross(four(l_crowded=(0.2,) * 3, mnv4_crowded=(0.1,) * 3, l_simple=(0.3,) * 3,
                          mnv4_simple=(0.2,) * 3)).interactions  # fmt: skip
    assert found.contrast.interval == (found.contrast.value, found.contrast.value) == (0.0, 0.0)
    assert found.contains_zero is True


def test_one_arm_twice_on_the_same_data_is_refused() -> None:
    with pytest.raises(ValueError, match="both l on crowded"):
        cross([*four(), cell("l", "crowded", (0.1,))])
    with pytest.raises(ValueError, match="weight"):
        contrast([[1.0]], (1, -1))
