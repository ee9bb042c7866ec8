"""Identity: a process is never mistaken for another that has its pid."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from detui.engine.process.identity import Identity, boot_id, pins_processes


def test_a_process_is_known_until_it_ends() -> None:
    process = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(process.pid)
    assert identity is not None and identity.alive() and identity.here
    assert Identity.from_json({**identity.to_json(), "schema": 1}) == identity
    assert identity.signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert not identity.alive() and not identity.signal(signal.SIGTERM)


def test_a_zombie_is_gone() -> None:
    child = os.fork()
    if child == 0:
        time.sleep(0.2)
        os._exit(0)
    identity = Identity.of(child)
    time.sleep(0.5)
    assert identity is not None and not identity.alive() and Identity.of(child) is None
    os.waitpid(child, 0)


def without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Linux before 5.3 answers."""

    def absent(*_: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", absent)


@pytest.mark.parametrize("old_kernel", [False, True])
def test_an_innocent_process_with_the_same_pid_is_not_signalled(
    old_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old_kernel:
        without_descriptors(monkeypatch)
    assert pins_processes() is not old_kernel
    process = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(process.pid)
    assert identity is not None
    reused = replace(identity, start=identity.start - 1)
    rebooted = replace(identity, boot="another-boot")
    for other in (reused, rebooted):
        assert not other.alive() and not other.signal(signal.SIGKILL)
    assert rebooted.rebooted and rebooted.here
    assert process.poll() is None
    assert identity.signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not identity.signal(signal.SIGKILL)


def test_another_host_and_another_container_are_elsewhere() -> None:
    me = Identity.of(os.getpid())
    assert me is not None and me.boot == boot_id()
    assert not replace(me, boot="other", host="other").here
    assert not replace(me, namespace="pid:[1]").here


def test_half_an_identity_is_none() -> None:
    assert Identity.from_json(None) is None and Identity.from_json({"pid": 1}) is None
