"""What happens to an error that nobody foresaw: the traceback goes to a file, three lines to the screen."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import TracebackType


def install(*, debug: bool) -> None:
    """Handle uncaught exceptions from now on; with `debug`, python's own way (the traceback on stderr) stays."""
    if not debug:
        sys.excepthook = report


def keep(error: BaseException) -> Path | None:
    """Write the traceback of an error to a file. Returns where, None where that failed."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return _write(f"detui {sys.argv[1:]}\npython {sys.version}\n\n{text}")


def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write the traceback to a file and say where. Python then exits with 1."""
    path = keep(error.with_traceback(trace))
    first = (str(error).strip() or kind.__name__).splitlines()[0]
    print(f"detui: crashed: {kind.__name__}: {first}", file=sys.stderr)
    print(f"  traceback: {path or 'could not be written (use --debug to see it)'}", file=sys.stderr)
    print("  this is a bug in detui; runs are separate processes and go on", file=sys.stderr)


def _write(text: str) -> Path | None:
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    base = os.environ.get("XDG_CACHE_HOME")
    cache = Path(base) if base else Path(os.environ.get("HOME") or "/nonexistent") / ".cache"
    for folder in (cache / "detui", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return None
