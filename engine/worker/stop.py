"""Stop requests: SIGTERM sets a flag, the training half looks at it between steps."""

from __future__ import annotations

import os
import signal
from types import FrameType


class StopRequested(Exception):
    """Raised by a training half once it has saved what it can resume from."""


class StopFlag:
    """Whether this process was asked to save and end."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> StopFlag:
        """Take SIGTERM as the request and ignore SIGINT. Call it from the main thread."""
        signal.signal(signal.SIGTERM, self._set)
        # A handler that does nothing, not SIG_IGN: programs started by the trainer would inherit that.
        signal.signal(signal.SIGINT, _ignore)
        # A forked data loader that kept the flag-only handler would survive multiprocessing's terminate(),
        # and the exit of the trainer would wait for it for ever.
        os.register_at_fork(after_in_child=_restore)
        return self

    def _set(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return


def _restore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
