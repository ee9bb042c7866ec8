"""Asking whether a lock is held, without waiting for it or leaving a trace."""

from __future__ import annotations

import fcntl
import os


def taken(descriptor: int) -> bool:
    """Tell whether somebody holds the lock of an open file; closes it. Raises OSError where it cannot be asked."""
    try:
        # Shared, so that two who look at the same moment do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
