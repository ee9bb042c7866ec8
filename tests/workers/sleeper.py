"""The training half of a backend that takes its time to describe a model."""

from __future__ import annotations

import time
from typing import Any


class Sleeper:
    """Sleeps for a minute."""

    def describe(self, spec: Any, wanted: Any, device: str) -> dict[str, Any]:
        time.sleep(60)
        return {}
