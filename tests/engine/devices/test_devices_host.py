"""Processors, memory and process trees, held against what psutil says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from detui.engine.devices import host
from detui.engine.devices.processes import TreeSampler, descendants, process_stat
from detui.engine.errors import UsageError


def test_the_facts_of_this_host() -> None:
    facts = host.host_facts()
    assert set(facts) == {"hostname", "os", "cpu", "cores", "memory"}
    assert facts["memory"] == psutil.virtual_memory().total
    assert 1 <= facts["cores"] <= len(os.sched_getaffinity(0))
    assert facts["cpu"] and facts["os"] and facts["hostname"]


def test_memory_and_disk(tmp_path: Path) -> None:
    used, total = host.memory()
    known = psutil.virtual_memory()
    assert total == known.total and used is not None and abs(used - (known.total - known.available)) < 200 << 20
    free = host.disk_free(tmp_path)
    assert free is not None and abs(free - psutil.disk_usage(str(tmp_path)).free) < 500 << 20
    assert host.disk_free(tmp_path / "no" / "such") is None


def test_slots_can_be_set() -> None:
    assert host.cpu_slots({}) == host.usable_cores() >= 1
    assert host.cpu_slots({"DETUI_CPU_SLOTS": "7"}) == 7
    for wrong in ("0", "two", "-1", "1.5"):
        with pytest.raises(UsageError, match="DETUI_CPU_SLOTS"):
            host.cpu_slots({"DETUI_CPU_SLOTS": wrong})


def test_affinity_limits_the_slots() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from detui.engine.devices.host import cpu_slots; print(cpu_slots({}))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "1\n"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/\n", {}, None),
        ("4:cpu,cpuacct:/x\n0::/y\n", {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"}, 2),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/x\n", {"x/cpu.max": "1 1"}, None),
    ],
)
def test_the_quota_of_a_cgroup(tmp_path: Path, own: str, files: dict[str, str], expected: float | None) -> None:
    (tmp_path / "own").write_text(own)
    for name, content in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert host._quota(tmp_path / "root", tmp_path / "own") == expected


def test_a_tree_of_processes_is_found_and_measured() -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'x = bytearray(50 << 20)\\nwhile True: pass'])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert descendants(parent.pid) == [child] and set(descendants(os.getpid())) >= {parent.pid, child}
        sampler = TreeSampler(parent.pid)
        time.sleep(0.5)
        sampler.sample()
        time.sleep(1.0)
        percent, resident = sampler.sample()
        assert 20 < percent < 110
        known = sum(psutil.Process(pid).memory_info().rss for pid in (parent.pid, child))
        assert resident > 50 << 20 and abs(resident - known) < 8 << 20
    finally:
        psutil.Process(child).kill()
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert process_stat(parent.pid) is None


def test_a_zombie_is_dead() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    time.sleep(0.1)
    stat = process_stat(child)
    assert stat is not None and stat.state == "Z" and not stat.alive
    os.waitpid(child, 0)
