"""A checkpoint that is torn: the one before is taken, and that is said."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_runs import MakeRun, until

from detui.engine.process.checkpoints import damage, find_start
from detui.engine.process.control import supervised, wait
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.tui import control


def crashed(make_run: MakeRun) -> tuple[RunDir, list[Path]]:
    """A run of 20 steps that was killed at its 17th, with checkpoints of steps 5, 10 and 15."""
    run = make_run({"at": "kill", "when": 17, "seconds": 0.002, "archive": True})
    launch(run)
    wait([run], 30)
    until(lambda: not supervised(run))
    return run, [run.attempt(1).checkpoints / f"step-{step:04}.zip" for step in (5, 10, 15)]


def cut(tenths: int) -> Callable[[bytes], bytes]:
    return lambda content: content[: len(content) * tenths // 10]


@pytest.mark.fault("the newest checkpoint cut at any tenth", "resumes from the one before, and says so")
@pytest.mark.parametrize("tenths", range(10))
def test_truncated_at_every_tenth(make_run: MakeRun, tenths: int) -> None:
    run, (_, before, newest) = crashed(make_run)
    newest.write_bytes(cut(tenths)(newest.read_bytes()))
    start = find_start(run)
    assert start.resume is not None and start.resume["checkpoint"] == str(before)
    assert [one["checkpoint"] for one in start.skipped] == [str(newest)]
    assert newest.name in str(start.warning) and "epoch 2" in str(start.warning)


def test_the_resume_says_so_and_goes_on_from_the_one_before(make_run: MakeRun) -> None:
    run, (_, _, newest) = crashed(make_run)
    newest.write_bytes(newest.read_bytes()[:-40])
    (answer,) = control.resume([run])
    assert answer.done and f"not from the newest checkpoint ({newest.name}" in answer.text
    wait([run], 30)
    until(lambda: not supervised(run))
    info = run.attempt(2).info() or {}
    assert info["resume"]["step"] == 10 and [Path(one["checkpoint"]) for one in info["skipped"]] == [newest]
    starts = [line for line in read_lines(run.events_path) if line["state"] == "starting"]
    assert "skipped" not in starts[0] and starts[1]["skipped"] == info["skipped"]
    history = load_history(run)
    assert history.series("train/loss_toy")[0] == list(range(1, 18)), "killed at its 17th step again, none missing"
    assert newest.exists(), "what is torn is left for whoever wants to look at it"


@pytest.mark.fault("zeros inside the newest checkpoint (power failure)", "resumes from the one before, and says so")
def test_damage_that_keeps_the_size(make_run: MakeRun) -> None:
    """A power failure leaves zeros where data was not written yet."""
    run, (_, before, newest) = crashed(make_run)
    content = bytearray(newest.read_bytes())
    content[60:70] = bytes(10)
    newest.write_bytes(bytes(content))
    assert damage(newest, len(content)) is not None
    assert (find_start(run).resume or {})["checkpoint"] == str(before)


def test_all_torn_begins_again(make_run: MakeRun) -> None:
    run, files = crashed(make_run)
    for file in files:
        file.write_bytes(b"")
    start = find_start(run)
    assert start.resume is None and len(start.skipped) == 3 and "but from the beginning" in str(start.warning)


def test_a_newest_that_is_gone(make_run: MakeRun) -> None:
    run, (first, before, newest) = crashed(make_run)
    newest.unlink()
    start = find_start(run)
    assert (start.resume or {})["checkpoint"] == str(before) and "cannot be read" in start.skipped[0]["why"]
    first.unlink()
    assert len(find_start(run).skipped) == 1, "older ones that a trainer has dropped are no damage"


def test_what_is_no_archive_is_known_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    file.write_text('{"weight": 1}')
    assert damage(file, 13) is None and damage(file, None) is None and damage(file, 10) is None
    assert damage(file, 14) == "is cut: 13 of 14 bytes"
    with zipfile.ZipFile(tmp_path / "whole.pt", "w") as archive:
        archive.writestr("data", b"x" * 500)
    assert damage(tmp_path / "whole.pt", None) is None
