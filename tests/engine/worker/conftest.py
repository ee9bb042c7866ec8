"""The toy worker for these tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workers"))

from toy_runs import leases, make_run  # noqa: F401
