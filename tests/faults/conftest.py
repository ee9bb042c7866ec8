"""The toy worker for these tests, under one path that has everything a path can have."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workers"))

from toy_runs import leases, make_run  # noqa: F401


@pytest.fixture
def hostile_path(tmp_path: Path) -> Path:
    """A plain path would find nothing that this one does not, in twice the time."""
    folder = tmp_path / "space 'quote\" 数据\nnewline $HOME %s {seed}"
    folder.mkdir()
    return folder
