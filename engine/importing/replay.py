"""Writes the files of an attempt from what a tool left, through the reporter that a live training uses."""

from __future__ import annotations

from typing import Any

from detui.engine.errors import RunError
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_error
from detui.engine.run.lines import LineWriter
from detui.engine.worker.reporter import Reporter, Values

OURS = ("train/", "lr/", "time/", "memory/", "gradient/", "aqr/")
"""Beginnings of names that are no framework's own validation."""


class Replay(Reporter):
    """A reporter whose clock is the log's, and whose epochs leave the framework's numbers as evaluations.

    These lines say `imported` and whose numbers they are; their metrics carry the framework's name, and so never stand
    beside what detui's evaluator measured.
    """

    def __init__(
        self, attempt: AttemptDir, framework: str, headline: tuple[str, ...], resume: dict[str, Any] | None
    ) -> None:
        """`resume`: {"step", "epoch"} that the training went on from."""
        super().__init__(attempt, resume=resume)
        self.at = 0.0
        """Seconds since the log's first line, for what is reported next."""
        self._framework, self._headline = framework, headline
        self._evaluations: list[dict[str, Any]] = []

    def _write(self, line: dict[str, Any], *, urgent: bool = False) -> None:
        trouble = self._journal.write({"kind": line.pop("kind"), "t": round(self.at, 4), **line})
        if trouble:
            raise RunError(trouble, where=str(self.attempt.path))

    def epoch(self, epoch: int, step: int, values: Values, stage: str = "main", seconds: float | None = None) -> None:
        """Give means over an epoch; the framework's validation becomes an evaluation as well."""
        super().epoch(epoch, step, values, stage, seconds)
        theirs = {name: value for name, value in self._sane(values).items() if not name.startswith(OURS)}
        if not theirs:
            return
        shown = [name for name in self._headline if name in theirs]
        self._evaluations.append(
            {"kind": "evaluation", "t": round(self.at, 4), "imported": True, "framework": self._framework,
             "evaluator": f"{self._framework}'s own, as its log states it", "epoch": epoch, "step": step,
             "split": "val", "predictions": None, "checkpoint": None, "headline": shown, "values": theirs}
        )  # fmt: skip

    def end(self, outcome: str) -> None:
        """Close the attempt's files. Raises RunError where they cannot be written."""
        super().end(outcome)
        try:
            writer = LineWriter(self.attempt.evaluations_path)
            for line in self._evaluations:
                writer.write(line)
            writer.sync()
            writer.close()
        except OSError as error:
            raise write_error(self.attempt.evaluations_path, error) from error
