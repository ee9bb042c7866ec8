"""A real Slurm of the tests' own: controller, two nodes on this machine, private keys, free ports, GPUs that are none.

`cluster()` starts it in about a second; `stop` ends every job and every daemon of it. Whoever talks to it does so
through the environment: SLURM_CONF names its configuration.
"""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = 2
GPUS = 2
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

CONF = """\
ClusterName=detui
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/m/s
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
{more}
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
OverTimeLimit=0
MinJobAge=300
InactiveLimit=0
SlurmdTimeout={patience}
MessageTimeout=10
PropagateResourceLimits=NONE
NodeName=n[0-1] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]},{ports[2]} CPUs=8 Sockets=1 CoresPerSocket=8 \
ThreadsPerCore=1 RealMemory=1000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=off
PartitionName=preemptible Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
"""


class Unavailable(Exception):
    """Slurm cannot be had here; the text says why."""


class Cluster:
    """One Slurm that runs. Its jobs may be asked and ended by the programs of Slurm themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}
        """What a process needs in its environment to talk to it."""
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground, as a child of the tests."""
        log = (self.folder / f"{name}.out").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.environ}
            )

    def start_controller(self, *flags: str) -> None:
        """Start the controller, and wait until it answers."""
        self.start("slurmctld", "slurmctld", "-D", *flags)
        until(lambda: self.run("sinfo", "-h", check=False).returncode == 0)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self.start(node, "slurmd", "-D", "-N", node)

    def end(self, name: str, *, kill: bool = False) -> None:
        """End a daemon: "slurmctld", "n0", "n1" or "munged"."""
        process = self._daemons.pop(name)
        (process.kill if kill else process.terminate)()
        process.wait(timeout=30)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of Slurm to its end."""
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=check, env={**os.environ, **self.environ}
        )

    def jobs(self) -> list[str]:
        """The jobs that are not over: "12 RUNNING n0"."""
        return self.run("squeue", "-h", "-r", "-o", "%i %T %N", check=False).stdout.splitlines()

    def idle(self) -> bool:
        """Whether both nodes wait for work."""
        return self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False).stdout.split().count("n0") > 0 and (
            len(set(self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False).stdout.split())) == NODES
        )

    def clear(self) -> None:
        """Cancel every job, and wait until none is left."""
        for job in {line.split()[0].split("_")[0] for line in self.jobs()}:
            self.run("scontrol", "update", f"JobId={job}", "Requeue=0", check=False)
            self.run("scancel", job, check=False)
        until(lambda: not self.jobs(), 60)

    def stop(self) -> None:
        """End jobs and daemons; fail where a process of this Slurm is left."""
        if "slurmctld" in self._daemons:
            self.clear()
        for name in [*self._daemons]:
            self.end(name)
        until(lambda: not processes(self.folder), 20)
        shutil.rmtree(self.folder, ignore_errors=True)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something to become true. Raises AssertionError where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain")
        time.sleep(0.05)


def processes(folder: Path) -> list[int]:
    """The living processes that name a Slurm's folder in command line or environment, this one and its own left out."""
    mark, found = os.fsencode(folder), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "cmdline").read_bytes() or mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # gone, or another user's
            continue
    return found


def install() -> None:
    """See that Slurm is installed: by the package manager where this is root. Raises Unavailable."""
    if all(shutil.which(name, path=_PATH) for name in PROGRAMS):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"needs Slurm: apt-get install {' '.join(PACKAGES)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *words], capture_output=True, text=True, env=environ, timeout=600)
    if done.returncode != 0:
        raise Unavailable(f"Slurm cannot be installed here: {done.stderr.strip()[-300:]}")


def _ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextmanager
def cluster(*, grace: int = 20, patience: int = 300, more: str = "") -> Iterator[Cluster]:
    """Start a Slurm for as long as the block lasts. Raises Unavailable.

    `grace`: seconds that a preempted job has; `patience`: after which a silent node counts as failed; `more`: lines of
    its configuration.
    """
    install()
    # Not below pytest's folders: the path of a socket may have 108 bytes.
    found = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))
    try:
        _configure(found.folder, grace, patience, more)
        _munge(found)
        found.start_controller("-c", "-i")
        for index in range(NODES):
            found.start_node(f"n{index}")
        until(found.idle)
        yield found
    finally:
        found.stop()


def _configure(folder: Path, grace: int, patience: int, more: str) -> None:
    for name in ("state", "spool", "m", "dev"):
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
    folder.chmod(0o755)
    for index in range(GPUS):
        # Links to /dev/null need no right to make devices; with plain files CUDA_VISIBLE_DEVICES would stay empty.
        (folder / "dev" / f"nvidia{index}").symlink_to("/dev/null")
    values = {"host": platform.node().split(".")[0], "ports": _ports(NODES + 1), "gpus": GPUS, "folder": folder}
    values |= {"user": pwd.getpwuid(os.getuid()).pw_name, "grace": grace, "patience": patience, "more": more}
    (folder / "slurm.conf").write_text(CONF.format(**values))
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/dev/nvidia[0-{GPUS - 1}]\n")
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)


def _munge(found: Cluster) -> None:
    folder = found.folder
    files = {"socket": folder / "m" / "s", "key-file": folder / "munge.key", "pid-file": folder / "m" / "pid",
             "log-file": folder / "m" / "log", "seed-file": folder / "m" / "seed"}  # fmt: skip
    words = [f"--{name}={path}" for name, path in files.items()]
    found.start("munged", "munged", "--foreground", "--num-threads=2", "--force", *words)
    until(files["socket"].exists)
