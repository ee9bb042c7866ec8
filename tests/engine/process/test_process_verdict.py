"""What an ending amounts to, case by case."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from detui.engine.process.verdict import Ending, group_memory_kills, judge, memory_events

FINISHED = {"outcome": "finished", "message": None, "error": None}
STOPPED = {"outcome": "stopped", "message": None, "error": None}
FAILED = {"outcome": "failed", "message": "no labels", "error": "DataError"}
TORCH_OOM = {"outcome": "failed", "message": "CUDA out of memory", "error": "OutOfMemoryError"}

LESS = "to resume repeats it: a smaller batch needs less memory"

CASES: list[tuple[dict[str, Any], str, str | None]] = [
    ({"code": 0, "done": FINISHED}, "finished", None),
    ({"code": 0, "done": FINISHED, "stop_asked": True}, "finished", None),
    ({"code": -9, "done": FINISHED, "kill_asked": True}, "finished", "it ended with SIGKILL after it was done"),
    ({"code": -11, "done": FINISHED}, "finished", "it ended with SIGSEGV after it was done"),
    ({"code": -9, "done": FINISHED, "lingered": True}, "finished", "it was done, did not exit, and was killed"),
    ({"code": 0, "done": None}, "failed", "it exited with code 0 without saying that it finished"),
    ({"code": 0, "done": FAILED}, "failed", "no labels"),
    ({"code": 1, "done": FAILED}, "failed", "no labels"),
    ({"code": 1, "done": FAILED, "stop_asked": True}, "failed", "no labels"),
    ({"code": 3, "done": None, "last_line": "bye"}, "failed", "bye"),
    ({"code": 3, "done": None}, "failed", "exit code 3"),
    ({"code": 0, "done": STOPPED, "stop_asked": True}, "stopped", None),
    ({"code": 0, "done": STOPPED}, "stopped", "a SIGTERM from elsewhere asked it to stop"),
    ({"code": -15, "done": None, "stop_asked": True}, "stopped", "it ended without saying that it saved a checkpoint"),
    ({"code": 1, "done": None, "stop_asked": True}, "stopped", "it ended without saying that it saved a checkpoint"),
    ({"code": -15, "done": None}, "crashed", None),
    ({"code": -9, "done": None, "kill_asked": True}, "killed", "killed on request"),
    ({"code": -9, "done": None, "stop_asked": True, "grace_over": 30.0}, "killed", "it did not stop within 30 s"),
    (
        {"code": -9, "done": STOPPED, "stop_asked": True, "grace_over": 30.0},
        "stopped",
        "it ended with SIGKILL after it was done",
    ),
    ({"code": -11, "done": None, "last_line": "Fatal"}, "crashed", "Fatal"),
    (
        {"code": -9, "done": FAILED, "ranks": 2, "rank": 1},
        "crashed",
        "rank 1 of 2 was ended by SIGKILL, and the others with it",
    ),
    (
        {"code": -9, "done": None, "ranks": 2, "last_line": "epoch 3"},
        "crashed",
        "the process that starts its 2 ranks was ended by SIGKILL, and they with it",
    ),
    ({"code": 1, "done": FAILED, "ranks": 2, "rank": 0}, "failed", "no labels"),
    (
        {"code": -9, "done": FAILED, "ranks": 4, "rank": 3, "node": "n1", "elsewhere": True, "memory_kills": 2},
        "crashed",
        "rank 3 of 4 on n1 was ended by SIGKILL, and the others with it",
    ),
    (
        {"code": -9, "done": FAILED, "ranks": 4, "rank": 0, "missing": "the node n1 was lost"},
        "failed",
        "the node n1 was lost",
    ),
    (
        {"code": -9, "done": FINISHED, "ranks": 4, "missing": "the node n1 was lost"},
        "finished",
        "it ended with SIGKILL after it was done",
    ),
    ({"code": -9, "done": None, "ranks": 2, "rank": 1, "kill_asked": True}, "killed", "killed on request"),
    ({"code": -11, "done": None, "stop_asked": True}, "crashed", None),
    ({"code": -9, "done": None}, "crashed", None),
    (
        {"code": -9, "done": None, "memory_kills": 2},
        "oom",
        f"probable: SIGKILL, and the kernel killed 2 for want of memory on this host meanwhile; {LESS}",
    ),
    (
        {"code": -9, "done": None, "memory_kills": 2, "group_memory_kills": 1},
        "oom",
        f"probable: SIGKILL, and the kernel killed 1 for want of memory in its control group meanwhile; {LESS}",
    ),
    ({"code": 1, "done": TORCH_OOM}, "oom", f"CUDA out of memory; {LESS}"),
    ({"code": 1, "done": {"outcome": "failed", "message": "m", "error": "MemoryError"}}, "oom", f"m; {LESS}"),
    ({"code": -64, "done": None}, "crashed", None),
]


@pytest.mark.parametrize(("seen", "word", "reason"), CASES)
def test_the_state_of_an_ending(seen: dict[str, Any], word: str, reason: str | None) -> None:
    verdict = judge(Ending(**seen))
    assert (verdict.word, verdict.reason) == (word, reason)


def test_each_event_carries_its_own_fields() -> None:
    assert judge(Ending(code=3, done=None)).event() == {"code": 3, "reason": "exit code 3"}
    assert judge(Ending(code=-11, done=None)).event() == {"signal": "SIGSEGV", "reason": None}
    assert judge(Ending(code=0, done=FINISHED)).event() == {"reason": None}


def test_kills_in_a_control_group_of_either_version(tmp_path: Path) -> None:
    groups = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().split()}
    mine = next((path for names, path in groups.items() if "memory" in names.split(",")), None)
    name = ("memory" + mine, "memory.oom_control") if mine else (groups[""], "memory.events")
    file = tmp_path / name[0].lstrip("/") / name[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("low 0\noom 4\noom_kill 3\n")
    assert memory_events(os.getpid(), tmp_path) == file and group_memory_kills(file) == 3
    assert memory_events(os.getpid(), tmp_path / "nowhere") is None
    assert group_memory_kills(None) == group_memory_kills(tmp_path / "absent") == 0
