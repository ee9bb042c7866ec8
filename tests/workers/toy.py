"""A worker that trains by arithmetic, and misbehaves on demand: the engine's own tests run it.

`spec.config` may hold: steps (a whole run), steps_per_epoch, seconds (a step),
checkpoint_every, archive (checkpoints that are archives, one file each),
predict (dump predictions at milestones), and `at` with one of the
misbehaviours below and the step `when`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from detui.engine.errors import DataError
from detui.engine.run.spec import RunSpec
from detui.engine.worker import Reporter, StopRequested


class ToyTrainer:
    """Descends a parabola."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        config = spec.config
        steps, per_epoch = config.get("steps", 20), config.get("steps_per_epoch", 5)
        weight, start = self._load(report)
        report.begin(total_epochs=steps // per_epoch, steps_per_epoch=per_epoch, model={"name": "toy"})
        report.stage("main", 0, steps // per_epoch, start, start // per_epoch)
        for step in range(start + 1, steps + 1):
            time.sleep(config.get("seconds", 0.01))
            weight -= 0.1 * weight
            report.step(step, (step - 1) // per_epoch + 1, {"train/loss_toy": weight * weight, "lr/all": 0.1})
            if config.get("at") and step == config["when"]:
                MISBEHAVIOURS[config["at"]](report)
            if step % per_epoch == 0:
                self._end_epoch(spec, report, step // per_epoch, step, weight)
            if step % config.get("checkpoint_every", 5) == 0 or report.stop_requested:
                self._save(report, step, per_epoch, weight, archive=config.get("archive", False))
            if report.stop_requested:
                raise StopRequested

    def _load(self, report: Reporter) -> tuple[float, int]:
        if report.resume is None:
            return 1.0, 0
        path = Path(report.resume["checkpoint"])
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("state"))["weight"], report.resume["step"]
        return json.loads(path.read_text())["weight"], report.resume["step"]

    def _save(self, report: Reporter, step: int, per_epoch: int, weight: float, *, archive: bool) -> None:
        """Save, overwriting one file, or as an archive of its own as torch.save does."""
        state = json.dumps({"weight": weight, "step": step})
        if archive:
            path = report.attempt.checkpoints / f"step-{step:04}.zip"
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("state", state)
            report.checkpoint(path, step, step // per_epoch)
            return
        path = report.attempt.checkpoints / "resume.json"
        partial = path.with_suffix(".tmp")
        partial.write_text(state)
        partial.replace(path)
        report.checkpoint("checkpoints/resume.json", step, step // per_epoch)

    def _end_epoch(self, spec: RunSpec, report: Reporter, epoch: int, step: int, weight: float) -> None:
        report.epoch(epoch, step, {"train/loss_toy": weight * weight}, seconds=0.05)
        if epoch in spec.milestones:
            path = report.attempt.predictions / f"val-epoch-{epoch:04d}.json"
            path.write_text("[]")
            report.evaluation(epoch, step, "val", path)


def _wait_for_go(report: Reporter) -> None:
    """Until the test lays a file `go` into the run."""
    while not (report.attempt.path.parent.parent / "go").exists():
        time.sleep(0.02)


def _ignore_term(_report: Reporter) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _fork_escapee(report: Reporter) -> None:
    """Leave the process group and the parent: only the tag and the subreaper still know it."""
    code = "import subprocess as s;print(s.Popen(['sleep', '600'], start_new_session=True, stdout=s.DEVNULL).pid)"
    pid = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    (report.attempt.path / "escapee").write_text(pid)


def _daemonise(report: Reporter) -> None:
    """Leave the session, the parent and the environment: only the subreaper still knows it."""
    code = "import subprocess as s;print(s.Popen(['sleep', '600'], start_new_session=True, env={}, stdout=-3).pid)"
    pid = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    (report.attempt.path / "escapee").write_text(pid)


def _exceed_a_limit(_report: Reporter) -> None:
    import resource

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (64 << 20), resource.RLIM_INFINITY))
    bytearray(1 << 30)


def _hog(_report: Reporter) -> None:
    """Use more memory than a control group may grant; the kernel kills whoever does."""
    taken = []
    for _ in range(64):
        taken.append(b"x" * (16 << 20))


def _load_with_torch(report: Reporter) -> None:
    """Read from a data loader of PyTorch with two processes, until one is killed."""
    from torch.utils.data import DataLoader

    loader = DataLoader(range(1_000_000), num_workers=2, collate_fn=_slowly)
    for _ in loader:
        (report.attempt.path / "loading").touch()


def _slowly(items: list[int]) -> list[int]:
    time.sleep(0.05)
    return items


def _raise_data_error(_report: Reporter) -> None:
    raise DataError("A label lies outside its picture.", where="labels/7.txt:3", hint="detui data check toy")


def _raise_bug(_report: Reporter) -> None:
    raise ValueError("the loss is\nnot a loss")


def _run_out_of_memory(_report: Reporter) -> None:
    raise MemoryError("no room for a batch of 64")


def _linger(report: Reporter) -> None:
    from threading import Thread

    Thread(target=time.sleep, args=(600,), name="never-ends").start()


def _nan(report: Reporter) -> None:
    report.step(report.last_step, 1, {"train/loss_toy": float("nan"), "train/loss_other": float("-inf")})


def _fork_worker(report: Reporter) -> None:
    """Fork a data loader that waits, as multiprocessing does, and end it by SIGTERM."""
    pid = os.fork()
    if pid == 0:
        report.step(999, 1, {"train/loss_toy": 1.0})  # a forked child must not write
        time.sleep(600)
        os._exit(0)
    time.sleep(0.2)
    os.kill(pid, signal.SIGTERM)
    report.statistic(report.last_step, {"loader/signal": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


MISBEHAVIOURS: dict[str, Any] = {
    "wait": _wait_for_go,
    "ignore-term": _ignore_term,
    "escapee": _fork_escapee,
    "daemon": _daemonise,
    "rlimit": _exceed_a_limit,
    "hog": _hog,
    "torch-loader": _load_with_torch,
    "data-error": _raise_data_error,
    "bug": _raise_bug,
    "memory": _run_out_of_memory,
    "linger": _linger,
    "nan": _nan,
    "loader": _fork_worker,
    "segfault": lambda _report: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda _report: os.kill(os.getpid(), signal.SIGKILL),
    "exit-3": lambda _report: os._exit(3),
    "exit-0": lambda _report: os._exit(0),
    "sys-exit": lambda _report: sys.exit(0),
}
