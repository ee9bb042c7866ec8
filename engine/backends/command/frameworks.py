"""Reports what an OpenMMLab framework logs: training lines as steps, validations at the end of their epoch."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from detui.engine.backends.command.aqr_blocks import AqrBlocks
from detui.engine.backends.command.openmmlab import Trained, Validated, Values
from detui.engine.worker.reporter import Reporter


class OpenMmlab:
    """Reads the lines of one training."""

    def __init__(
        self,
        report: Reporter,
        parse: Callable[[str], Trained | Validated | None],
        *,
        counts_on: bool = False,
        means: bool = True,
    ) -> None:
        """`parse`: of `openmmlab`. `counts_on`: iterations are counted over the whole training, not in their epoch.

        `means`: whether an epoch gets the means of its logged losses; of an excerpt of a log they would be none.
        """
        self._report, self._parse, self._counts_on, self._means = report, parse, counts_on, means
        self._epoch: int | None = None
        """The epoch that is open; None before the first line, and where there are no epochs."""
        self._losses: dict[str, list[float]] = {}
        self._validations = report.last_epoch
        self.steps_per_epoch: int | None = None
        """Iterations of an epoch, once a line has said it."""

    def read(self, line: str) -> None:
        """Report what a line says, if anything."""
        found = self._parse(line)
        if isinstance(found, Trained):
            self._trained(found)
        elif found is not None:
            self._validated(found)

    def _trained(self, line: Trained) -> None:
        step = line.iteration
        if line.epoch is not None:
            if not self._counts_on and line.of is not None:
                self.steps_per_epoch = line.of
                step += (line.epoch - 1) * line.of
            if line.epoch != self._epoch:
                self._close({})
            self._epoch = line.epoch
        self._report.step(step, line.epoch or self._validations + 1, dict(line.values))
        for name, value in line.values.items():
            if name.startswith("train/") and value is not None:
                self._losses.setdefault(name, []).append(value)

    def _validated(self, line: Validated) -> None:
        if self._epoch is None and self._losses:  # a runner without epochs: its validations are counted instead
            self._validations += 1
            self._tell(self._validations, line.values)
        elif line.at == self._epoch:
            self._close(line.values)
        else:
            self._tell(line.at, line.values)

    def _close(self, values: Values) -> None:
        if self._epoch is not None:
            self._tell(self._epoch, values)
            self._epoch = None

    def _tell(self, epoch: int, values: Values) -> None:
        """Report an epoch: means of its logged losses, and what was validated."""
        means: Values = {name: fmean(of) for name, of in self._losses.items() if self._means}
        self._losses = {}
        step = self._report.last_step
        if self.steps_per_epoch is not None and step >= epoch * self.steps_per_epoch - self.steps_per_epoch:
            step = max(step, epoch * self.steps_per_epoch)
        self._report.epoch(epoch, step, {**means, **values})

    def finish(self) -> None:
        """Report the last epoch: the training got to its end, whether it validated there or not."""
        self._close({})

    def end(self) -> None:
        """An epoch that is open may have been cut short: nothing is said of it."""


class Aqr:
    """Reports printed AQR blocks as statistics."""

    def __init__(self, report: Reporter) -> None:
        self._blocks = AqrBlocks(report.statistic, lambda text: report.alarm("output", text))

    def read(self, line: str) -> None:
        """Read one line of the output."""
        self._blocks.read(line)

    def end(self) -> None:
        """Report the blocks that are open."""
        self._blocks.end()
