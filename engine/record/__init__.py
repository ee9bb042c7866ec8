"""The record: what was run, what was measured, and where each number stands, in Markdown."""

from __future__ import annotations

from pathlib import Path


def fill(experiment_dir: Path) -> list[Path]:
    """Render the records and figures of an experiment, or bring them up to date; return the records' paths."""
    from detui.engine.record.fill import fill as fill_record  # jinja2 only when a record is written

    return fill_record(experiment_dir)


def record_path(experiment_dir: Path, language: str = "en") -> Path:
    """Where the record of an experiment stands in a language, whether it is there or not."""
    return experiment_dir / ("record.md" if language == "en" else f"record.{language}.md")


__all__ = ["fill", "record_path"]
