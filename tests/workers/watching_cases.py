"""A watch over files and lines that a test writes itself, without a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toy_runs import toy_spec

from detui.engine.backends.command.plan import CommandConfig
from detui.engine.backends.command.watching import Watching
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, load_history
from detui.engine.worker.reporter import Reporter


class Watched:
    """One attempt, and the watch over it."""

    def __init__(self, folder: Path, *, data: str = "", **config: Any) -> None:
        self.run = RunDir.create(folder / "runs" / "baseline-s0", toy_spec())
        self.out = self.run.attempt(1).path
        for name in ("predictions", "work"):
            (self.out / name).mkdir(parents=True)
        self.report = Reporter(self.run.attempt(1))
        self.report.begin(total_epochs=4)
        self._config = CommandConfig(command=["true"], **config).model_dump(mode="json")
        self._values = {"out": str(self.out), "data": data, "seed": "0"}
        self.watching: Watching | None = None

    def start(self) -> Watching:
        """Begin to watch: what is there by now was there before the program."""
        self.watching = Watching(self._config, self._values, self.report)
        return self.watching

    def history(self, *lines: str, finished: bool = True) -> History:
        """What is known after these lines and the program's end."""
        watching = self.watching or self.start()
        for line in lines:
            watching.read(line.strip())
        watching.poll()
        watching.end(finished=finished, epochs=4)
        self.report.end("finished")
        return load_history(self.run)
