"""The record: what was run, what was measured, and where each number stands, in Markdown."""

from detui.engine.record.facts import record_path
from detui.engine.record.fill import fill

__all__ = ["fill", "record_path"]
