"""`detui` inside tmux: what is shown after detaching and attaching again, in another size."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from terminals import Terminal
from traffic import DETUI


@pytest.mark.slow
def test_detach_and_attach(workspace: Path, written: Path, tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    tmux = ["tmux", "-f", "/dev/null", "-S", str(tmp_path / "socket")]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    words = shlex.join([DETUI, "--workspace", str(workspace)])
    subprocess.run([*tmux, "new-session", "-d", "-x", "120", "-y", "40", words], env=environ, check=True)
    # tmux's own line has a clock and the name of the program, which changes while a shell becomes it.
    subprocess.run([*tmux, "set-option", "-g", "status", "off"], env=environ, check=True)
    try:
        for size in ((120, 40), (90, 30), (120, 40)):
            client = Terminal([*tmux, "attach"], environ, size)
            client.shows("no-mosaic-s0")
            client.press("j")
            client.shows("> S stopped" if size == (120, 40) else "> ")
            client.quiet()
            before = client.text()
            subprocess.run([*tmux, "send-keys", "C-l"], env=environ, check=True)
            client.quiet()
            assert client.text() == before
            client.press("\x02d")  # detach
            assert client.end() == 0
            client.close()
            time.sleep(0.3)
    finally:
        subprocess.run([*tmux, "kill-server"], env=environ, check=False)
