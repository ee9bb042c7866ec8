"""The user's own editor, from within a screen."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from textual.screen import Screen


def edit(screen: Screen[Any], path: Path) -> None:
    """Open a file in $EDITOR and come back."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        with screen.app.suspend():
            subprocess.run([*editor, str(path)], check=False)
    except OSError as error:
        screen.notify(f"{editor[0]}: {error.strerror}. Set $EDITOR.", severity="error", markup=False)
