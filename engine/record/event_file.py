"""One TensorBoard event file, written by tensorboardX's own writer of such files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.errors import MissingError
from detui.engine.run.files import write_error


def need_library() -> None:
    """Raise MissingError where tensorboardX is not installed."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        hint = "pip install 'detui[tensorboard]'"
        raise MissingError("Writing event files needs the package tensorboardX.", hint=hint) from error


class EventFile:
    """An event file in `folder` whose name ends with `suffix`. Its methods raise RunError where the disk refuses."""

    def __init__(self, folder: Path, suffix: str) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        self._folder, self._anything = folder.absolute(), False
        try:
            self._file = EventsWriter(str(self._folder / "events"), suffix)
        except OSError as error:
            raise write_error(folder, error) from error

    def session(self, step: int) -> None:
        """Make TensorBoard forget what this run had from `step` on."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._write(Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: Mapping[str, float], step: int, wall_time: float) -> None:
        """Write numbers of one step, under their names as they are; `wall_time` in seconds since 1970."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if values:
            told = [Summary.Value(tag=_tag(name), simple_value=value) for name, value in values.items()]
            self._write(Event(wall_time=wall_time, step=step, summary=Summary(value=told)))

    def text(self, name: str, text: str, wall_time: float) -> None:
        """Write a text in Markdown; its tag is `name`/text_summary."""
        from tensorboardX import summary
        from tensorboardX.proto.event_pb2 import Event

        self._write(Event(wall_time=wall_time, step=0, summary=summary.text(name, text)))

    def _write(self, event: Any) -> None:
        try:
            self._file.write_event(event)
        except OSError as error:
            raise write_error(self._folder, error) from error
        self._anything = True

    def flush(self) -> bool:
        """Bring what was written to the disk. Returns if there was anything."""
        written, self._anything = self._anything, False
        try:
            if written:
                self._file.flush()
        except OSError as error:
            raise write_error(self._folder, error) from error
        return written

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self._folder, error) from error


def _tag(name: str) -> str:
    """A name as protocol buffers carry it: whole Unicode characters only."""
    return name.encode("utf-8", "replace").decode()
