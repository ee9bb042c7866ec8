"""The toy worker for these tests."""

from __future__ import annotations

from toy_runs import leases, make_run  # noqa: F401
