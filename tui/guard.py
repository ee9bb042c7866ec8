"""Whether the terminal application can open; the plain list where it cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from detui.tui.output import say

if TYPE_CHECKING:
    from detui.tui.context import Session


def reason_against(environ: Mapping[str, str]) -> str | None:
    """Return why the application cannot open here, None where it can.

    Textual does not refuse: without a terminal it writes escapes for ever.
    """
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return "this is not a terminal"
    if environ.get("TERM", "") in ("", "dumb"):
        return f"the terminal is {environ.get('TERM') or 'of no known kind'}"
    return None


def open_application(session: Session) -> None:
    """Open the terminal application, or print the plain list and say why."""
    reason = reason_against(os.environ)
    workspace = session.workspace
    if reason is None:
        # Each redraw goes over somebody's SSH link; nothing here is worth animating.
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
        from detui.tui import settings

        file = settings.settings_file()
        chosen = settings.load(file)
        if session.ascii_only:
            chosen = chosen.with_value("ascii", True)
        if session.no_mouse:
            chosen = chosen.with_value("mouse", False)
        from detui.tui.app import run_application

        options = {"debug": session.debug, "read_only": session.read_only}
        sys.exit(run_application(workspace, chosen, file=file, **options))
    from detui.tui.commands.ls import print_list, read

    found = [(experiment, *read(experiment)) for experiment in workspace.experiments()]
    print_list(found)
    say(f"detui: {reason}: printed the list instead of opening the application.\n  try: detui --help")
