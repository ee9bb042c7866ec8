"""What ties the other nodes of a run to its supervisor, without a Slurm: who is let in, and who is blamed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_runs import toy_spec, until

from detui.engine.errors import MissingError
from detui.engine.process.children import Reaper
from detui.engine.process.node_link import TOKEN, line
from detui.engine.process.nodes import OtherNodes
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.spec import DeviceRequest
from detui.engine.worker.ranks import MEETING, NODE

CPU = DeviceRequest(kind="cpu", count=1, candidates=(), granted=True)
SRUN = """\
#!/bin/sh
printf '%s\\n' "$@" > {folder}/words
printenv {token} > {folder}/token
exec sleep 600
"""


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptDir:
    spec = toy_spec(device=CPU, ranks=3, nodes=3)
    found = RunDir.create(tmp_path / "logs" / "toy" / "runs" / spec.name, spec).attempt(1)
    found.path.mkdir()
    return found


class Nodes:
    """The supervisor's end, and connections to it that say what they like."""

    def __init__(self, attempt: AttemptDir, folder: Path) -> None:
        self.folder = folder
        self.reaper = Reaper()
        self.own = OtherNodes(attempt, attempt.run.spec(), self.reaper)
        self.connections: list[socket.socket] = []

    def connect(self) -> socket.socket:
        self.connections.append(socket.create_connection(("127.0.0.1", self.port)))
        return self.connections[-1]

    @property
    def port(self) -> int:
        return int((self.folder / "words").read_text().splitlines()[-2])

    def join(self, name: str, behind: float = 0.0) -> socket.socket:
        """Connect as a node whose clock is behind."""
        connection = self.connect()
        token = (self.folder / "token").read_text().strip()
        connection.sendall(line(token=token, node=name, time=time.time() - behind) + line(devices=[f"{name}-gpu"]))
        until(lambda: self.hears() and self.own.devices.get(name))
        return connection

    def hears(self) -> bool:
        self.own.tick()
        return True


@pytest.fixture
def nodes(attempt: AttemptDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    srun = tmp_path / "srun"
    srun.write_text(SRUN.format(folder=tmp_path, token=TOKEN))
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = Nodes(attempt, tmp_path)
    found.own.start()
    until(lambda: (tmp_path / "token").exists() and (tmp_path / "token").read_text())
    yield found
    for connection in found.connections:
        connection.close()
    found.own.close()
    for child in list(found.reaper._known):
        subprocess.run(["kill", "-9", str(child)], stderr=subprocess.DEVNULL, check=False)
    found.reaper.collect()


def fails(connection: socket.socket, **end: Any) -> None:
    connection.sendall(line(end=end))


def test_once_all_are_there_srun_is_ended(nodes: Nodes, tmp_path: Path) -> None:
    words = (tmp_path / "words").read_text().splitlines()
    assert {"--nodes=2", "--ntasks=2", "--relative=1", "detui.engine.process.in_node"} <= set(words)
    (srun,) = nodes.reaper._known
    nodes.join("n1")
    assert Path(f"/proc/{srun}").exists()
    nodes.join("n2")
    until(lambda: (nodes.reaper.collect() or True) and not Path(f"/proc/{srun}").exists())
    assert nodes.own.devices == {"n1": ["n1-gpu"], "n2": ["n2-gpu"]} and not nodes.own.hopeless


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", line(token="gerät", node="n1", time=0.0), b"[1]\n", b"x" * 70000, b""],
    ids=["http", "guessed", "list", "endless", "silent"],
)
def test_a_stranger_is_sent_away(nodes: Nodes, said: bytes) -> None:
    stranger = nodes.connect()
    stranger.sendall(said)
    stranger.settimeout(0.05)
    if not said:
        stranger.close()
    else:
        until(lambda: nodes.hears() and _closed(stranger))
    nodes.hears()
    assert nodes.own.devices == {} and nodes.own.trouble is None
    nodes.join("n1")


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_of_several_failures_the_first_is_the_cause_whatever_the_clocks_say(nodes: Nodes) -> None:
    first, second = nodes.join("n1", behind=3600.0), nodes.join("n2")
    now = time.time()
    fails(first, code=1, rank=1, node="n1", time=now - 3600.0)
    fails(second, code=3, rank=2, node="n2", time=now + 1.0)
    own = {"rank": 0, "code": 1, "node": "n0", "time": now - 1.0}
    until(lambda: nodes.hears() and nodes.own.first_failure(None))
    nodes.own.settle()
    assert (nodes.own.first_failure(own) or {})["rank"] == 0
    assert (nodes.own.first_failure({**own, "time": now - 60.0}) or {})["rank"] == 0
    assert (nodes.own.first_failure({**own, "time": now + 60.0}) or {})["rank"] == 1
    assert nodes.own.trouble is None and not nodes.own.hopeless, "the ranks of the first node are to notice it"


def test_a_signal_is_the_cause_of_what_fails_beside_it(nodes: Nodes) -> None:
    first, second = nodes.join("n1"), nodes.join("n2")
    now = time.time()
    fails(first, code=1, rank=1, node="n1", time=now)
    second.sendall(line(end={"code": -signal.SIGKILL, "rank": 2, "node": "n2", "time": now + 1.0}))
    nodes.own.settle()
    found = nodes.own.first_failure({"rank": 0, "code": -signal.SIGTERM, "node": "n0", "time": now})
    assert found is not None and (found["rank"], found["node"], found["elsewhere"]) == (2, "n2", True)


def test_a_node_that_is_gone_without_a_word_is_lost(nodes: Nodes) -> None:
    connection = nodes.join("n1")
    connection.close()
    until(lambda: nodes.hears() and nodes.own.lost)
    assert nodes.own.lost == "n1" and nodes.own.hopeless and "n1 was lost" in str(nodes.own.trouble)


def test_a_node_that_starts_no_rank_says_why_and_nobody_waits_for_it(nodes: Nodes) -> None:
    fails(nodes.join("n1"), code=1, message="n1: The run needs 2 GPUs")
    until(lambda: nodes.hears() and nodes.own.said())
    assert nodes.own.hopeless and nodes.own.said() == "n1: The run needs 2 GPUs"


def test_what_a_node_says_that_does_not_start_is_told_rather_than_what_srun_makes_of_it(
    attempt: AttemptDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "n1 does not reach the first node at 10.0.0.1:1: timed out."
    srun = tmp_path / "srun"
    srun.write_text(
        f"#!/bin/sh\necho '{said}' >&2\necho 'srun: error: n1: task 0: Exited with exit code 1' >&2\nexit 1\n"
    )
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    nodes = OtherNodes(attempt, attempt.run.spec(), Reaper())
    nodes.start()
    until(lambda: nodes.tick() or nodes.trouble)
    assert nodes.hopeless and nodes.trouble == f"the other nodes could not be started: {said}"
    nodes.close()


def test_without_srun_the_message_says_so(attempt: AttemptDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    nodes = OtherNodes(attempt, attempt.run.spec(), Reaper())
    with pytest.raises(MissingError, match="no program srun"):
        nodes.start()
    nodes.close()


def test_a_node_that_does_not_reach_the_first_says_so(attempt: AttemptDir) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**os.environ, "SLURM_JOB_ID": "5", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1", "SLURMD_NODENAME": "n1"}
    done = subprocess.run(
        [sys.executable, "-m", "detui.engine.process.in_node", str(attempt.path), str(port), "1"],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and f"n1 does not reach the first node at 127.0.0.1:{port}" in done.stderr


@pytest.mark.slow
def test_a_port_that_was_taken_meanwhile_is_named(attempt: AttemptDir) -> None:
    pytest.importorskip("torch", reason="needs PyTorch for torchrun")
    with socket.create_server(("", 0)) as taken:
        meeting = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "detui.engine.worker.launch", str(attempt.path)],
            env={**os.environ, NODE: "0", MEETING: meeting}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1 and f"The ranks cannot meet at {meeting}" in done.stderr, done.stderr
    said = attempt.done()
    assert said is not None and said["outcome"] == "failed" and "detui resume takes another port" in said["message"]
