"""COCO results that a program writes are taken up as predictions, for detui's evaluator to score."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from detui.engine.backends.command.files import Whole
from detui.engine.worker.reporter import Reporter

_NUMBER = re.compile(r"(\d+)$")


class Predictions:
    """Takes up each file once it is whole: of the epoch in its name, or, without one, at the program's end."""

    def __init__(self, pattern: str, report: Reporter, truth: Path | None) -> None:
        """`pattern`: an absolute path with wildcards. `truth`: val.json of the prepared data, where there is one."""
        self._report, self._truth = report, truth
        self._files = Whole([pattern], self._found)
        self._unnamed: Path | None = None
        self.closing: int | None = None
        """The epoch that a file without one in its name is of; None while the program runs, or if it failed."""

    def poll(self) -> None:
        """Look for new files."""
        self._files.poll()

    def end(self) -> None:
        """Look for the last time."""
        self._files.end()
        if self._unnamed is not None and self.closing is not None:
            self._take(self._unnamed, self.closing)

    def _found(self, path: Path) -> None:
        if path.parent == self._report.attempt.predictions and path.name.startswith("val-epoch-"):
            return  # a copy made here, or the evaluator's curves beside it
        named = _NUMBER.search(path.stem)
        if named is None:
            self._unnamed = path
        else:
            self._take(path, int(named[1]))

    def _take(self, path: Path, epoch: int) -> None:
        """Copy a file into the attempt, where nothing writes over it, and say that it waits for its evaluation."""
        target = self._report.attempt.predictions / f"val-epoch-{epoch:04d}.json"
        try:
            if not self._renamed(path, target) and path.resolve() != target.resolve():
                shutil.copyfile(path, target)
        except OSError as error:
            self._report.alarm("output", f"The predictions {path} cannot be taken up: {error.strerror}.")
            return
        self._report.evaluation(epoch, self._report.last_step, "val", target)

    def _renamed(self, path: Path, target: Path) -> bool:
        """Write `target` with the ids of images in place of file names, where a program gives those."""
        try:
            found: Any = json.loads(path.read_bytes())
        except ValueError:
            return False  # the evaluator says what is wrong with it
        if self._truth is None or not isinstance(found, list):
            return False
        named = [one for one in found if isinstance(one, dict) and isinstance(one.get("image_id"), str)]
        if not named:
            return False
        images = json.loads(self._truth.read_bytes())["images"]
        ids = {key: one["id"] for one in images for key in _names(str(one["file_name"]))}
        for one in named:
            one["image_id"] = ids.get(one["image_id"], one["image_id"])
        target.write_text(json.dumps(found), encoding="utf-8")
        return True


def _names(file: str) -> tuple[str, str, str]:
    """By what a program may call an image: its path in the data, its file name, the name without its end."""
    return file, Path(file).name, Path(file).stem
