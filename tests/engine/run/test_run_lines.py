"""Line files: one writer, readers that follow."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from detui.engine.errors import FormatError
from detui.engine.run.lines import LineReader, LineWriter, read_lines


@pytest.fixture
def path(hostile_path: Path) -> Path:
    return hostile_path / "metrics.jsonl"


def test_the_first_line_carries_the_schema(path: Path) -> None:
    writer = LineWriter(path)
    writer.write({"kind": "begin"})
    writer.write({"kind": "step", "values": {"a": float("inf")}})
    writer.close()
    assert read_lines(path) == [
        {"schema": 1, "kind": "begin"},
        {"kind": "step", "values": {"a": "Infinity"}},
    ]


def test_a_torn_tail_is_terminated_and_costs_one_line_only(path: Path) -> None:
    path.write_text('{"schema":1,"kind":"begin"}\n{"kind":"st')
    writer = LineWriter(path)
    writer.write({"kind": "step", "step": 2})
    writer.close()
    reader = LineReader(path)
    assert [line["kind"] for line in reader.poll()] == ["begin", "step"]
    assert reader.damaged == 1


def test_a_partial_last_line_is_not_yet(path: Path) -> None:
    reader = LineReader(path)
    assert reader.poll() == []
    with path.open("a") as file:
        for part, expected in (('{"a":1}\n{"a"', [{"a": 1}]), (":2}", []), ("\n", [{"a": 2}]), ("", [])):
            file.write(part)
            file.flush()
            assert reader.poll() == expected
    assert reader.damaged == 0


def test_damaged_lines_are_skipped_and_counted(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n\0\0\0\n[1]\n\n{"a":\xff}\n{"a":2}\n')
    reader = LineReader(path)
    assert reader.poll() == [{"a": 1}, {"a": 2}]
    assert reader.damaged == 3


def test_a_replaced_and_a_cut_file_are_read_anew(path: Path) -> None:
    path.write_text('{"a":1}\n{"a":2}\n')
    reader = LineReader(path)
    assert len(reader.poll()) == 2
    other = path.with_name("other")
    other.write_text('{"a":3}\n{"a":4}\n')
    other.replace(path)
    assert [line["a"] for line in reader.poll()] == [3, 4]
    path.write_text('{"a":5}\n')
    assert [line["a"] for line in reader.poll()] == [5]
    assert reader.restarts == 2


def test_a_limited_poll_reads_all_in_pieces(path: Path) -> None:
    path.write_text("".join(json.dumps({"n": n, "text": "x" * 100}) + "\n" for n in range(40_000)))
    reader, found = LineReader(path), []
    while lines := reader.poll(limit=1000):
        found += lines
    assert [line["n"] for line in found] == list(range(40_000))
    assert not reader.behind


def test_a_newer_file_is_refused(path: Path) -> None:
    path.write_text('{"schema":2,"kind":"begin"}\n')
    with pytest.raises(FormatError, match="format 2"):
        read_lines(path)


def test_lines_without_the_wanted_text_are_not_parsed(path: Path) -> None:
    path.write_text('{"kind":"step"}\nnot json\n{"kind":"begin"}\n')
    reader = LineReader(path, containing=('"begin"',))
    assert reader.poll() == [{"kind": "begin"}]
    assert reader.damaged == 0


def test_a_short_write_is_taken_back(path: Path) -> None:
    """A file size limit makes the kernel write a part, as a full disk does."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))
        code = 1
        try:
            writer = LineWriter(path)
            writer.write({"n": 1, "pad": "x" * 60})
            try:
                writer.write({"n": 2, "pad": "x" * 60})
            except OSError:
                writer.write({"n": 3})
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    reader = LineReader(path)
    assert [line["n"] for line in reader.poll()] == [1, 3]
    assert reader.damaged == 0, "nothing torn stays"


def test_what_a_killed_writer_acknowledged_is_there(path: Path) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        writer, n = LineWriter(path), 0
        while True:
            n += 1
            writer.write({"n": n})
            os.write(write_end, f"{n}\n".encode())
    os.close(write_end)
    acknowledged = os.read(read_end, 4096)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    acknowledged += os.read(read_end, 1 << 20)
    os.close(read_end)
    last = int(acknowledged.split()[-1])
    assert last > 0
    assert [line["n"] for line in read_lines(path)][:last] == list(range(1, last + 1))
