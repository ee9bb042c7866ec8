"""A child of the test that is somebody else."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

SECOND = 54321
"""A user and group that nobody has."""


def open_way_to(path: Path) -> None:
    """Let everybody go through the folders of this test above the path: pytest makes them for one user alone."""
    temporary = Path(tempfile.gettempdir())
    for folder in path.parents:
        if temporary in folder.parents:
            folder.chmod(0o755)


def as_second_user(work: Callable[[], object]) -> int:
    """Fork a child that becomes the second user, does the work, and exits with 0, or with 1 where it raises.

    It never comes back into the test, whatever happens. Returns its process number. Needs root.
    """
    child = os.fork()
    if child:
        return child
    try:
        os.setgid(SECOND)
        os.setuid(SECOND)
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the child of a fork must not go on as a second run of the tests
        traceback.print_exc()
        os._exit(1)
