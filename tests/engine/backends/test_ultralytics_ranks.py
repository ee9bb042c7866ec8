"""What falls to each rank of a training of Ultralytics: which pictures, and which draws."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")


@pytest.mark.parametrize(
    ("batches", "shares"),
    [
        ([[5, 3, 1, 2], [0, 4, 6, 7]], [[[5, 1], [0, 6]], [[3, 2], [4, 7]]]),
        ([[5, 3, 1, 2], [0, 4, 6]], [[[5, 1], [0, 6]], [[3, 2], [4]]]),
        ([[5, 3, 1, 2], [0]], [[[5, 1], [0]], [[3, 2], [5]]]),
        ([[1]], [[[1]], [[1]], [[1]]]),
    ],
)
def test_every_rank_takes_its_turn_and_none_is_without(batches: list[list[int]], shares: list[list[list[int]]]) -> None:
    from detui.engine.backends.ultralytics.ranks import Share

    for rank, wanted in enumerate(shares):
        share = Share(batches, rank, len(shares))
        assert list(share) == wanted and len(share) == len(batches)
        assert list(share) == wanted, "a second epoch"


def test_loader_processes_of_different_ranks_draw_differently() -> None:
    """PyTorch gives those of all ranks the same seeds, because all have the same order of the pictures."""
    from detui.engine.backends.ultralytics.ranks import _seeded_apart

    before = torch.get_rng_state()
    try:
        seeds = []
        for rank in range(3):
            torch.manual_seed(17)
            _seeded_apart(lambda worker: seeds.append((worker, torch.initial_seed())), rank, 1)
    finally:
        torch.set_rng_state(before)
    assert seeds[0] == (1, 17), "the first rank draws as a training on one device does"
    assert len({seed for _, seed in seeds}) == 3
