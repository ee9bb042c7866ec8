"""Where the script `detui` begins: a Ctrl-C while modules are being imported ends it without a traceback."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the commands and run the one that was asked for."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from detui.tui.main import main as run

    signal.signal(signal.SIGINT, before)
    run()
