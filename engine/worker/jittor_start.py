"""Importing Jittor, and taking back what its import changes in the process.

After `import jittor` a child that was killed would end this process (its handler of SIGCHLD), Ctrl-C would end it at
once and without saving (SIGINT), the generators of `random` and numpy stand at a seed from the clock, and TLS
certificates are no longer checked. The first import compiles for minutes, and says how far it is.

Jittor keeps ~/.cache/jittor/config.json, in which each start of another environment writes its folder anew, and which
the helper of every single compilation reads. One that reads while another writes finds nothing in it, and the kernel
"does not compile". So a process of Jittor's has a home of its own. (Kernels themselves may be compiled by several
processes: Jittor holds a lock of the cache meanwhile.)
"""

from __future__ import annotations

import os
import random
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def import_jittor(seed: int) -> Any:
    """Import Jittor from the main thread and return it; `random`, numpy and Jittor begin at `seed`.

    The handlers of SIGINT and SIGTERM, and the environment's HTTPS context, are what they were; SIGCHLD has its
    default action.
    """
    own_home()
    with _handlers_kept():
        import jittor_utils

        if not compiled(Path(jittor_utils.cache_path)):
            jittor_utils.LOG.log_silent = 0  # silent, it says nothing of its progress either
        import jittor as jt
    random.seed(seed)
    jt.set_global_seed(seed)  # numpy's generator and its own
    return jt


def own_home() -> None:
    """Make JITTOR_HOME, where it is set, the home of this process and its compilers. To be called before the import."""
    if given := os.environ.get("JITTOR_HOME"):
        os.environ["HOME"] = os.path.abspath(given)  # noqa: PTH100 - Jittor compares the text of the two


def compiled(cache: Path) -> bool:
    """Whether Jittor's core lies compiled in its cache for this machine."""
    return any(cache.rglob("jittor_core*.so"))


@contextmanager
def _handlers_kept() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    context = ssl._create_default_https_context
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, handler in handlers.items():
            signal.signal(number, signal.default_int_handler if handler is None else handler)
        ssl._create_default_https_context = context
