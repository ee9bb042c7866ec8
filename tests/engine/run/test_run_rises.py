"""Since when a curve rises."""

from __future__ import annotations

import random

import pytest

from detui.engine.run.rises import rise_start


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ([], None),
        ([1.0], None),
        ([1.0, 1.1], 0),
        ([1.0, 1.01], None),  # within two per cent it is no rise
        ([1.0, 0.9, 0.8], None),
        ([2.0, 1.0, 1.5, 2.5], 1),
        ([1.0, 1.0, 1.0, 2.0], 2),  # flat is not rising
        ([1.0, 2.0, 1.6, 3.0], 0),  # a drop of a fifth of the rise
        ([1.0, 2.0, 1.4, 2.5], 2),  # one of more than a quarter begins another rise
        ([1.0, 3.0, 2.0], None),  # back down at the end
        ([-2.0, -1.9], 0),  # a loss may be negative
        ([0.0, 0.1], 0),
    ],
)
def test_the_place_from_which_it_rises(values: list[float], start: int | None) -> None:
    assert rise_start(values) == start


def test_it_is_the_earliest_place_that_its_own_words_describe() -> None:
    """Against the definition, tried at every place."""
    chance = random.Random(0)

    def holds(values: list[float]) -> bool:
        rise = values[-1] - values[0]
        drop = max((a - b for i, a in enumerate(values) for b in values[i:]), default=0.0)
        return all(one > values[0] for one in values[1:]) and rise > 0.02 * abs(values[0]) and drop <= rise / 4

    for _ in range(300):
        values = [chance.choice((0.0, 0.1)) * place + chance.uniform(-1, 1) for place in range(chance.randint(1, 25))]
        expected = next((i for i in range(len(values) - 1) if holds(values[i:])), None)
        assert rise_start(values) == expected
