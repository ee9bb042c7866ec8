"""The user's own editor, from within a screen."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from textual.app import SuspendNotSupported
from textual.screen import Screen

from detui.tui.language import tr


def edit(screen: Screen[Any], path: Path) -> None:
    """Open a file in $EDITOR and come back."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        with screen.app.suspend():
            subprocess.run([*editor, str(path)], check=False)
    except OSError as error:
        text = tr("{editor}: {problem}. Set $EDITOR.", editor=editor[0], problem=error.strerror)
        screen.notify(text, severity="error", markup=False)
    except SuspendNotSupported:
        screen.notify(tr("This terminal cannot be lent to an editor. The file: {path}", path=path), markup=False)
