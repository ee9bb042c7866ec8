"""What runs inside a training process: the entry point, the reporter, stop requests. Standard library only."""

from __future__ import annotations

from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

__all__ = ["Reporter", "StopRequested"]
