"""`detui record` as its user calls it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from detui.engine.record import record_path


def detui(workspace, *arguments):
    command = [
        sys.executable,
        "-c",
        "from detui.tui.main import main; main()",
        "--workspace",
        str(workspace),
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_show_prints_the_markdown_where_no_terminal_is(finished):
    done = detui(finished.path.parent, "record", "show")
    assert done.returncode == 0 and done.stdout == record_path(finished.path).read_text() and done.stderr == ""
    assert "研究问题" in detui(finished.path.parent, "record", "show", "last", "--lang", "zh").stdout


def test_show_renders_on_a_terminal(finished):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from detui.tui.main import main; main()"]
    process = subprocess.Popen(
        [*command, "--workspace", str(finished.path.parent), "record", "show"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed: Linux says EIO
            break
        if not block:
            break
        shown += block
    assert process.wait(60) == 0
    assert b"detui:begin" not in shown and b"\x1b[" in shown and b"Mosaic for a nano detector" in shown


def test_path_and_export(finished, tmp_path):
    done = detui(finished.path.parent, "record", "path", finished.path.name)
    assert done.stdout.strip() == str(record_path(finished.path))
    done = detui(finished.path.parent, "record", "export", "--format", "html", "--to", str(tmp_path / "r.html"))
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "r.html")


def test_a_record_that_nobody_wrote_yet_is_filled_first(trial):
    trial.train("baseline-s0", evaluate=False)
    done = detui(trial.path.parent, "record", "show")
    assert done.returncode == 0 and "hotcoco" in done.stdout
    assert detui(trial.path.parent, "record", "fill").stdout.splitlines() == [
        str(record_path(trial.path, language)) for language in ("en", "zh")
    ]


def test_mistakes_are_short(finished):
    done = detui(finished.path.parent, "record", "show", "nosuch")
    assert done.returncode == 3 and "Traceback" not in done.stderr and "nosuch" in done.stderr
    assert detui(finished.path.parent, "record", "export", "--format", "pdf").returncode == 2
