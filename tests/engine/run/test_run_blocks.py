"""Step lines read as columns: what comes out is what one line at a time gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detui.engine.errors import FormatError
from detui.engine.run import blocks
from detui.engine.run.blocks import BlockReader
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, RunFollower
from detui.engine.run.lines import LineReader
from detui.engine.run.steps import StepBlock, StepTable

NAMES = ("train/loss", "train/loss_ü", "lr/pg0", "a: 1,b", 'quoted "name"', "1e5")
USUAL = ("1", "-0", "-0.0", "0.25", "-1.5e-05", "1E+3", "2e400", "null", '"NaN"', '"Infinity"', '"-Infinity"')
RAW = (*USUAL, "123456789012345678901234567890", "NaN", "-Infinity", "true", "false", '"text"', '"null"', "[1]",
       '{"a":1}',
       # no JSON, though Python reads some of them
       "01", "1.", ".5", "+1", "1_0", "", "-", '"a', 'b"')  # fmt: skip
NUMBERS = st.one_of(st.floats(-1e6, 1e6).map(repr), st.integers(-9, 10**6).map(str), st.sampled_from(USUAL))
DAMAGED = (b"\0\0\0\0", b"[1]", b"", b'{"kind":"st', b'{"kind":"step","step":1', b"{\xff}", b" ", b"7")


@st.composite
def spelling(draw: st.DrawFn) -> str:
    """How one writer spells a step line: its text with %-places for scalars."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=3))
    after = draw(st.sampled_from((":", ": ", ":  ")))
    values = ",".join(f"{json.dumps(name, ensure_ascii=draw(st.booleans()))}{after}%s" for name in names)
    stage = json.dumps(draw(st.sampled_from(("main", "фаза 1", "x: 5", None, 3))))
    keys = [f'"kind"{after}"step"', f'"t"{after}%s', f'"step"{after}%s', f'"epoch"{after}%s', f'"stage"{after}{stage}']
    if draw(st.integers(0, 9)) == 0:
        keys.pop(draw(st.integers(0, 4)))
    if draw(st.integers(0, 9)) == 0:
        keys.append(draw(st.sampled_from(('"schema":1', '"v":7', '"more":{"a":1}', '"step":9', '"t":\t4'))))
    keys.append(f'"values"{after}{{{values}}}')
    if draw(st.integers(0, 9)) == 0:
        keys = draw(st.permutations(keys))
    return "{" + draw(st.sampled_from((",", ",", ", "))).join(keys) + "}"


@st.composite
def content(draw: st.DrawFn) -> bytes:
    """The text of a metrics file: stretches of lines of one form, with anything between them."""
    lines: list[bytes] = []
    step = 0
    for _ in range(draw(st.integers(1, 4))):
        form = draw(spelling())
        for _ in range(draw(st.integers(0, 14))):
            step += draw(st.sampled_from((1, 1, 1, 1, 1, 1, 5, 0, -2)))
            odd = draw(st.integers(0, 24)) == 0
            scalars = [draw(NUMBERS) for _ in range(form.count("%s"))]
            if odd and scalars:
                scalars[draw(st.integers(0, len(scalars) - 1))] = draw(st.sampled_from(RAW))
            place = re.search(r'"step": *%s', form)
            if place is not None and not odd:
                scalars[form[: place.start()].count("%s")] = str(step)
            lines.append((form % tuple(scalars)).encode())
            if draw(st.integers(0, 19)) == 0:
                lines.append(draw(st.sampled_from(DAMAGED)))
            if draw(st.integers(0, 14)) == 0:
                epoch = {"kind": "epoch", "step": step, "epoch": 1, "values": {"train/loss": 1.0}}
                lines.append(json.dumps(epoch).encode())
    return b"\n".join(lines) + draw(st.sampled_from((b"\n", b"\n", b"")))


def read(run: RunDir, limit: int) -> tuple[Any, ...]:
    """Everything that a history says, or how reading it fails."""
    follower = RunFollower(run)
    try:
        while follower.poll(limit):
            pass
    except (FormatError, OverflowError) as error:
        return (type(error),)
    return told(follower.history)


def told(history: History) -> tuple[Any, ...]:
    series = [(name, history.series(name)) for name in history.names()]
    return repr(list(history.steps)), repr(series), history.epochs, history.damaged, history.step


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Blocks of a few lines, so that many of them are met."""
    monkeypatch.setattr(blocks, "_BLOCK", 600)
    monkeypatch.setattr(blocks, "_SHORT", 0)
    yield monkeypatch


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=content(), second=content(), start=st.integers(0, 20), limit=st.sampled_from((200, 1 << 20)))
def test_columns_say_what_lines_say(
    short: pytest.MonkeyPatch, text: bytes, second: bytes, start: int, limit: int
) -> None:
    with TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        for number, lines in ((1, text), (2, second)):
            begin = {"schema": 1, "kind": "begin", "attempt": number, "resumed_from_step": start if number > 1 else 0}
            run.attempt(number).path.mkdir(parents=True)
            run.attempt(number).metrics_path.write_bytes(json.dumps(begin).encode() + b"\n" + lines)
        fast = read(run, limit)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BlockReader, "parts", lambda self, content: iter([content]))
            assert fast == read(run, limit)


def reporters(first: int, last: int, **more: Any) -> list[str]:
    return [
        json.dumps({"kind": "step", "t": step / 4, "step": step, "epoch": 1, "stage": "main",
                    "values": {"train/loss_box": 1 / step, "lr/pg0": 1e-05, **more}}, separators=(",", ":"))
        for step in range(first, last + 1)
    ]  # fmt: skip


def test_a_reporters_lines_become_columns_whatever_is_between_them(tmp_path: Path) -> None:
    """The fast way is taken where it can be: this is not seen in what comes out."""
    epoch = '{"kind":"epoch","step":500,"epoch":1,"values":{"train/loss_box":1.0}}'
    lines = [*reporters(1, 500), epoch, *reporters(501, 1000), *reporters(1001, 1300, extra=None)]
    found = list(BlockReader().parts(("\n".join(lines) + "\n").encode()))
    kinds = [len(part.step) if isinstance(part, StepBlock) else part.decode() for part in found]
    assert kinds[:2] == [500, epoch + "\n"]
    assert sum(kind for kind in kinds if isinstance(kind, int)) > 1000
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(lines) + "\n")
    reader, table, one_by_one = LineReader(path), StepTable(), StepTable()
    for part in found:
        if isinstance(part, StepBlock):
            table.extend(part)
        else:
            for line in reader.parse(part):
                table.append(line) if line["kind"] == "step" else None
    for line in reader.poll():
        if line["kind"] == "step":
            one_by_one.append(line)
    assert len(table) == 1300 and list(table) == list(one_by_one)


def test_few_lines_are_read_one_by_one() -> None:
    text = ("\n".join(reporters(1, 5)) + "\n").encode()
    assert list(BlockReader().parts(text)) == [text]


def test_forms_that_take_turns_are_left_to_the_reader_of_lines() -> None:
    lines = [reporters(step, step, **{"train/turn": 1.0} if step % 2 else {})[0] for step in range(1, 200)]
    text = ("\n".join(lines) + "\n").encode()
    assert list(BlockReader().parts(text)) == [text]
