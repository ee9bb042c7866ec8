"""What a full disk cost is said: in the file where it can be written, on stderr in any case."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from detui.engine.run.lines import LineReader

CODE = """\
import resource, signal, sys
from pathlib import Path
from detui.engine.worker import journal
journal.BACKLOG_BYTES = 2000
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
found = journal.Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    found.write({"kind": "step", "step": number, "pad": "x" * 50})
if sys.argv[3] == "free":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
found.close()
"""


def fill(path: Path, lines: int, disk: str) -> str:
    command = [sys.executable, "-c", CODE, str(path), str(lines), disk]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True, timeout=60)
    return done.stderr


@pytest.mark.parametrize("disk", ["free", "full"])
def test_lost_lines_are_counted(hostile_path: Path, disk: str) -> None:
    path = hostile_path / "metrics.jsonl"
    said = fill(path, 1000, disk)
    reader = LineReader(path)
    lines = reader.poll()
    kept = [line["step"] for line in lines if line["kind"] == "step"]
    assert len(kept) < 100 and reader.damaged == 0
    assert f"detui: {1000 - len(kept)} lines of measurements were lost" in said
    alarms = [line for line in lines if line["kind"] == "alarm"]
    assert [alarm["name"] for alarm in alarms] == (["lost-lines"] if disk == "free" else [])
    assert all(alarm["text"].startswith(f"{1000 - len(kept)} lines") for alarm in alarms)


def test_where_nothing_was_lost_nothing_is_said(hostile_path: Path) -> None:
    path = hostile_path / "metrics.jsonl"
    assert fill(path, 60, "free") == "", "what waited was written in time"
    assert [line["kind"] for line in LineReader(path).poll()] == ["step"] * 60
