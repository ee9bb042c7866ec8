"""`detui gpus` against the compiled stand-in, and without a driver."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detui.engine.process.lease import take

A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
ANSWERS = f"""count=2
gpu0.uuid={A}
gpu0.name=NVIDIA A100-SXM4-80GB with a long name
gpu0.total=85899345920
gpu0.used=1073741824
gpu0.util=87
gpu0.power=321500
gpu0.temp=61
gpu1.uuid=GPU-bbbbbbbb-0000-0000-0000-000000000000
gpu1.name=NVIDIA A100
gpu1.fail.nvmlDeviceGetMemoryInfo_v2=4
gpu1.fail.nvmlDeviceGetMemoryInfo=4
"""
DETUI = str(Path(sys.executable).with_name("detui"))
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    (tmp_path / "answers").write_text(ANSWERS)
    places = {"LD_LIBRARY_PATH": str(library), "NVML_STAND_IN": str(tmp_path / "answers"), "HOME": str(tmp_path)}
    clean = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return {**clean, **places, "DETUI_CPU_SLOTS": "3"}


@pytest.fixture
def gpus(environ: dict[str, str]) -> Command:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [DETUI, "gpus", *arguments]
        return subprocess.run(command, env={**environ, **more}, capture_output=True, text=True, check=False, timeout=60)

    return run


def test_what_is_there_and_who_is_on_it(gpus: Command, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text(ANSWERS + f"gpu1.procs={os.getpid()}:1048576,999999999:NA\n")
    leases = [take(A, "/w/logs/mine-1/runs/base-s0"), take("cpu:1", "/w/logs/mine-2/runs/base-s1")]
    done = gpus()
    assert (done.returncode, done.stderr) == (0, "")
    head, first, second, slots, slot = done.stdout.splitlines()
    assert head.split() == ["GPU", "NAME", "MEMORY", "USE", "TEMP", "POWER", "WHO"]
    assert "1.0 GiB / 80.0 GiB" in first and "87 %" in first and "322 W" in first
    assert first.endswith("mine-1/base-s0")
    assert second.split()[:4] == ["1", "NVIDIA", "A100", "–"], "what the driver does not say is a dash"
    assert "somebody: 999999999" in second and "0 B" not in second
    assert slots == "CPU: 1 of 3 slots in use" and slot.split() == ["cpu:1", "mine-2/base-s1"]
    found = json.loads(gpus("--json").stdout)
    assert found["driver"]["driver"] == "580.65.06"
    assert [one["holder"] for one in found["gpus"]] == ["mine-1/base-s0", None]
    assert found["gpus"][1]["memory_used"] is None
    assert found["gpus"][1]["processes"][0]["pid"] == os.getpid()
    for lease in leases:
        assert lease is not None
        lease.release()
    assert json.loads(gpus("--json").stdout)["gpus"][0]["holder"] is None


def test_a_lost_gpu_is_listed_with_the_reason(gpus: Command, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text(ANSWERS + "gpu0.fail=15\n")
    _, first, second, _ = gpus().stdout.splitlines()
    assert first.split() == ["0", "–", "–", "–", "–", "–", "GPU", "is", "lost"] and second.startswith("1 ")
    lost, other = json.loads(gpus("--json").stdout)["gpus"]
    assert (lost["index"], lost["uuid"], lost["memory_used"], lost["problem"]) == (0, None, None, "GPU is lost")
    assert other["problem"] == "Insufficient Permissions"


@pytest.mark.parametrize(("code", "words"), [(18, "version mismatch"), (9, "Driver Not Loaded"), (999, "Unknown")])
def test_a_driver_that_fails_is_named(gpus: Command, tmp_path: Path, code: int, words: str) -> None:
    (tmp_path / "answers").write_text(ANSWERS + f"fail.nvmlInit={code}\n")
    done = gpus()
    assert done.returncode == 0 and done.stdout == "CPU: 0 of 3 slots in use\n"
    assert words in done.stderr and "try: nvidia-smi" in done.stderr and "Traceback" not in done.stderr


def test_without_a_driver(gpus: Command) -> None:
    done = gpus(LD_LIBRARY_PATH="")
    assert done.returncode == 0 and "No GPU: " in done.stderr


def test_watching_looks_again(gpus: Command, environ: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen([DETUI, "gpus", "--watch", "0.5", "--json"], env=environ, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        first = json.loads(process.stdout.readline())
        (tmp_path / "answers").write_text(ANSWERS.replace("util=87", "util=3"))
        uses = [json.loads(process.stdout.readline())["gpus"][0]["utilization"] for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0 and process.stderr.read() == ""
    assert first["gpus"][0]["utilization"] == 87 and uses[-1] == 3
    assert gpus("--watch", "0.1").returncode == 2


def test_watching_on_a_terminal_draws_over_itself(environ: dict[str, str]) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(DETUI, [DETUI, "gpus", "--watch", "0.5"], {**environ, "TERM": "xterm"})
    seen, deadline = b"", time.monotonic() + 20
    while seen.count(b"\x1b[H") < 2 and time.monotonic() < deadline:
        seen += os.read(terminal, 4096)
    os.kill(pid, signal.SIGINT)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert seen.count(b"\x1b[H") >= 2 and b"\x1b[J" in seen
