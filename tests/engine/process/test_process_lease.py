"""Leases: one holder, freed with the last process that holds the descriptor."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from second_user import as_second_user, open_way_to

from detui.engine.errors import RunError
from detui.engine.process.lease import held, lease_directory, run_resource, take, take_some


def test_a_resource_has_one_holder(leases: Path) -> None:
    first = take("cpu:0", "run a")
    assert first is not None and take("cpu:0", "run b") is None
    assert held("cpu:0") and not held("cpu:1")
    other = take("cpu:1", "run b")
    assert other is not None
    assert "run a" in first.path.read_text()
    first.release()
    assert not held("cpu:0")
    again = take("cpu:0", "run b")
    assert again is not None
    again.release()
    other.release()


def test_the_directory_and_its_files_are_for_all_users(leases: Path) -> None:
    before = os.umask(0o077)
    try:
        lease = take("GPU-1", "me")
    finally:
        os.umask(before)
    assert lease is not None
    assert stat.S_IMODE(leases.stat().st_mode) == 0o1777
    assert stat.S_IMODE(lease.path.stat().st_mode) == 0o666
    lease.release()


def test_it_lasts_as_long_as_the_last_inheritor(leases: Path) -> None:
    lease = take("GPU-1", "me")
    assert lease is not None
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lease.descriptor])
    lease.release()
    assert take("GPU-1", "other") is None
    child.kill()
    child.wait()
    again = take("GPU-1", "other")
    assert again is not None
    again.release()


def test_some_means_all_or_none(leases: Path) -> None:
    held = take("cpu:1", "other")
    assert held is not None
    assert take_some(2, ["cpu:0", "cpu:1"], "me") is None
    free = take("cpu:0", "anybody")
    assert free is not None, "what was taken in vain is given back"
    free.release()
    some = take_some(2, ["cpu:0", "cpu:1", "cpu:2"], "me")
    assert some is not None and [lease.resource for lease in some] == ["cpu:0", "cpu:2"]
    for lease in (*some, held):
        lease.release()


def test_a_removed_file_is_no_lock(leases: Path) -> None:
    first = take("run:1", "a")
    assert first is not None
    first.path.unlink()
    second = take("run:1", "b")
    assert second is not None and take("run:1", "c") is None
    second.remove()
    assert not second.path.exists()
    first.release()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as a second user")
def test_another_users_file_can_be_locked(leases: Path) -> None:
    """In a sticky directory the kernel refuses O_CREAT on another's file, though opening it is allowed."""
    lease_directory()
    path = leases / "cpu_0.lock"
    path.touch()
    os.chown(path, 12345, 12345)
    path.chmod(0o666)
    open_way_to(leases)

    def lock() -> None:
        assert take("cpu:0", "second user") is not None

    child = as_second_user(lock)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_directory_that_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "file" / "leases"))
    with pytest.raises(RunError, match="DETUI_LEASES") as caught:
        take("cpu:0", "me")
    assert str(tmp_path / "file") in str(caught.value)


def test_one_run_has_one_name_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    names = {run_resource(tmp_path / path) for path in ("runs/a", "link/a", "runs/../runs/a")}
    assert len(names) == 1
    assert names != {run_resource(tmp_path / "runs" / "b")}
