"""Stands where the training half of a backend does, of runs that detui did not train."""

from __future__ import annotations

from detui.engine.errors import UsageError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter


class ImportedTrainer:
    """Trains nothing."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Raise UsageError: only the tool that trained it can go on."""
        raise UsageError("This run was imported: detui did not train it, and cannot go on with it.", where=spec.name)
