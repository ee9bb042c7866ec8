"""The Chinese of the interface: English text → Chinese text. What is missing is shown in English."""

from __future__ import annotations

TEXTS: dict[str, str] = {}
