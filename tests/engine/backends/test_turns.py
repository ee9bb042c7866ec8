"""What falls to each process of a batch of all."""

from __future__ import annotations

import pytest

from detui.engine.backends.torch_support.turns import turn


@pytest.mark.parametrize(
    ("batch", "first", "shares"),
    [
        ([5, 3, 1, 2], [5, 3, 1, 2], [[5, 1], [3, 2]]),
        ([0, 4, 6], [5, 3, 1, 2], [[0, 6], [4]]),
        ([0], [5, 3, 1, 2], [[0], [5]]),
        ([1], [1], [[1], [1], [1]]),
    ],
)
def test_all_of_a_batch_are_shared_and_nobody_is_without(
    batch: list[int], first: list[int], shares: list[list[int]]
) -> None:
    assert [turn(batch, first, rank, len(shares)) for rank in range(len(shares))] == shares
    assert turn(batch, first, 0, 1) == batch
