"""Fixtures of the runs on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_runs import leases, make_run  # noqa: F401


@pytest.fixture
def hostile_path(tmp_path: Path) -> Path:
    """One path, as hostile as a name may be."""
    folder = tmp_path / "space 'quote\" 数据"
    folder.mkdir()
    return folder
