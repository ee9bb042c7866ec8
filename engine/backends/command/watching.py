"""All that is watched of one program: its printed lines, the files it writes, its checkpoints and predictions."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from detui.engine.backends.command.files import Events, Follower, Lines, Whole
from detui.engine.backends.command.frameworks import Aqr, OpenMmlab
from detui.engine.backends.command.openmmlab import row, text_line
from detui.engine.backends.command.output import JsonLines
from detui.engine.backends.command.placeholders import fill
from detui.engine.backends.command.predictions import Predictions
from detui.engine.backends.command.rows import CsvRows, JsonRows, Printed, Rows, Tell
from detui.engine.worker.reporter import Reporter

_NUMBER = re.compile(r"(?P<what>iter|step)?[a-z_-]*?(?P<number>\d+)$", re.IGNORECASE)


class _Polled(Protocol):
    """What looks at files."""

    def poll(self) -> None:
        """Look for what is new."""

    def end(self) -> None:
        """Look for the last time."""


class Watching:
    """The watch over one program. `read` takes its lines, `poll` looks at files, `end` closes it."""

    def __init__(self, config: Mapping[str, Any], values: Mapping[str, str], report: Reporter) -> None:
        """`config`: `watch`, `checkpoints` and `predictions` of the recipe. `values`: of the placeholders."""
        self._report = report
        self._values = {name: glob.escape(value) for name, value in values.items()}
        self._printed: list[Lines] = []
        self._files: list[_Polled] = []
        self._frameworks: list[OpenMmlab] = []
        for entry in config["watch"]:
            self._add(entry)
        if config["checkpoints"]:
            self._files.append(Whole([self._pattern(text) for text in config["checkpoints"]], self._checkpoint))
        self._predictions: Predictions | None = None
        if config["predictions"]:
            truth = Path(values["data"]) / "val.json" if values["data"] else None
            self._predictions = Predictions(self._pattern(config["predictions"]), report, truth)
            self._files.append(self._predictions)

    def _add(self, entry: Mapping[str, Any]) -> None:
        if entry["format"] == "tensorboard":
            self._files.append(Events(self._pattern(entry["file"]), self._report, entry, Tell(self._report, entry)))
        elif entry["file"] is None:
            self._printed.append(self._reader(entry))
        else:
            head = entry["format"] == "csv"
            self._files.append(Follower(self._pattern(entry["file"]), lambda: self._reader(entry), head=head))

    def _reader(self, entry: Mapping[str, Any]) -> Lines:
        report = self._report
        own: dict[str, Callable[[], Lines]] = {
            "printed": lambda: Printed(Tell(report, entry), entry),
            "jsonl": lambda: JsonRows(Rows(Tell(report, entry), entry)),
            "csv": lambda: CsvRows(Rows(Tell(report, entry), entry)),
            "json_lines": lambda: JsonLines(report),
            "aqr": lambda: Aqr(report),
            "mmcv1": lambda: self._framework(OpenMmlab(report, text_line)),
            "mmengine": lambda: self._framework(OpenMmlab(report, row, counts_on=True)),
        }
        return own[entry["format"]]()

    def _framework(self, reader: OpenMmlab) -> OpenMmlab:
        self._frameworks.append(reader)
        return reader

    def _pattern(self, text: str) -> str:
        """An absolute path with wildcards; a relative one lies in the attempt's directory."""
        return str(Path(self._values["out"]) / fill(text, self._values))

    def read(self, line: str) -> None:
        """Read one printed line, without the space around it."""
        for reader in self._printed:
            reader.read(line)

    def poll(self) -> None:
        """Look at the files: for what was added, and for files that did not change since the last look."""
        for files in self._files:
            files.poll()

    def end(self, *, finished: bool, epochs: int) -> None:
        """Read what is left. `finished`: the program ended well, after `epochs`."""
        self.poll()
        for framework in self._frameworks if finished else ():
            framework.finish()
        if self._predictions is not None and finished:
            self._predictions.closing = self._report.last_epoch or epochs
        for reader in self._printed:
            reader.end()
        for files in self._files:
            files.end()

    def _checkpoint(self, path: Path) -> None:
        """Report a checkpoint, after the epoch (or step) in its name where there is one: `epoch_12.pth`."""
        report, named = self._report, _NUMBER.search(path.stem)
        epoch, step = report.last_epoch, report.last_step
        if named is not None and named["what"]:
            step = min(step, int(named["number"]))
        elif named is not None:
            epoch = int(named["number"])
            lengths = [one.steps_per_epoch for one in self._frameworks if one.steps_per_epoch]
            step = min(step, epoch * lengths[0]) if lengths else step
        report.checkpoint(path, step, epoch)
