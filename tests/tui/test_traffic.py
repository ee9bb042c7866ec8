"""What goes to the terminal, counted: twice the budget is too much. `make bench` measures exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from traffic import application, live_runs, moving_gpus, rate

pytestmark = pytest.mark.slow
KIB = 1024


@pytest.mark.parametrize(("runs", "keys", "budget"), [(1, "\r", 1.0), (4, "", 4.0)])
def test_live_runs(workspace: Path, runs: int, keys: str, budget: float) -> None:
    with live_runs(workspace, runs):
        screen = application(workspace)
        try:
            screen.shows("running")
            screen.press(keys)
            screen.read(8)
            assert 0 < rate(screen, 15) < 2 * budget * KIB
        finally:
            screen.close()


def test_devices_whose_numbers_move(workspace: Path, tmp_path: Path) -> None:
    try:
        gpus = moving_gpus(tmp_path)
        with gpus as environ:
            screen = application(workspace, **environ)
            try:
                screen.shows("detui")
                screen.press("4")
                screen.shows("H100")
                screen.read(5)
                assert 0 < rate(screen, 15) < 2 * 0.5 * KIB
            finally:
                screen.close()
    except FileNotFoundError:
        pytest.skip("needs a C compiler to build the stand-in for NVML")
