"""The supervisor of a run inside a job of Slurm, which is all that the job's script starts.

    python -m detui.engine.process.in_job LIST [--fresh]

LIST names the runs of a submission, `{"runs": [name, …]}`, in a folder of their experiment's; the index in the job's
array chooses one. A job that Slurm ends before the training has is handed back: the worker saves, the run is queued
again, and the job, when it is started anew, goes on in a new attempt.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from detui.engine.errors import DetuiError, RunError
from detui.engine.process.attempt import Worker, start_worker
from detui.engine.process.granted import Granted
from detui.engine.process.lease import Lease
from detui.engine.process.ledger import guarded, log
from detui.engine.process.requests import KILL, STOP, Requests
from detui.engine.process.slurm import Cause, Job
from detui.engine.process.supervisor import Supervisor, take_run
from detui.engine.process.verdict import Ending, Verdict, judge
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import read_json
from detui.engine.run.lines import read_lines
from detui.engine.run.slurm import SlurmJob, slurm_job
from detui.engine.run.state import read_state

LEAVE_SECONDS = 30.0
"""How long to wait for a supervisor that has the run still, on this node."""

RECALLED = "recalled"
"""Field of an event: it was Slurm that ended the run, so that the job goes on if Slurm starts it again."""


class JobRequests(Requests):
    """Requests to a supervisor in a job. A signal is Slurm's; what people ask of the run lies in control/."""

    def __init__(self, run: RunDir) -> None:
        super().__init__(run)
        self.sent: str | None = None
        """The first signal that Slurm sent: "SIGUSR1", "SIGTERM"."""

    def install(self) -> None:
        """Take SIGUSR1 as SIGTERM: Slurm sends it before a time limit."""
        super().install()
        signal.signal(signal.SIGUSR1, self._terminate)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.sent = self.sent or signal.Signals(number).name
        super()._terminate(number, frame)

    @property
    def why(self) -> str | None:
        """Which signal Slurm sent; what it meant is asked when the worker has saved."""
        return f"Slurm sent {self.sent}" if self.from_slurm else None

    @property
    def from_slurm(self) -> bool:
        """Whether it was Slurm alone that wants an end."""
        return self.sent is not None and not self._is_asked(STOP) and not self._is_asked(KILL)


class JobSupervisor(Supervisor):
    """Owns one run as long as its job lasts."""

    def __init__(self, run: RunDir, job: Job, *, fresh: bool = False) -> None:
        """`fresh`: from the beginning, the first time that the job is started."""
        super().__init__(run, fresh=fresh and job.restarts == 0)
        self.requests: JobRequests = JobRequests(run)
        self._job = job
        self._cause: Cause | None = None
        self._handed_back = False
        self._only_wind_up = False

    def own(self) -> Lease:
        """Take the run, or raise RunError: it is over, or was given to another job since."""
        lock = self._lock()
        self._check()
        self._settle_in()
        self._take_up()
        return lock

    def _lock(self) -> Lease:
        """Take the run's lock; whoever had it before on this node may have to write its last words."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while True:
            try:
                return take_run(self.run)
            except RunError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)

    def _check(self) -> None:
        known = slurm_job(self.run)
        if known is not None and known.job.isdecimal() and int(known.job) > int(self._job.number):
            raise RunError(f"The run was given to Slurm's job {known.name} since.", where=str(self.run.path))
        if known is None or known.name != self._job.name:  # whoever submits it writes that a moment later, too
            SlurmJob(job=self._job.number, task=self._job.task).write(self.run)
        state = read_state(self.run)
        if state.terminal and not _recalled(self.run) and not (state.word == "finished" and self._job.restarts):
            raise RunError(f"The run has ended already: {state.word}.", where=str(self.run.path))

    def _take_up(self) -> None:
        """Say what became of what the job did when it was started before."""
        state, latest = read_state(self.run), self.run.latest()
        if state.word == "finished":
            self._only_wind_up = True
        elif state.terminal:
            self.ledger.event("queued", reason=getattr(state, "reason", None))
        elif state.word != "queued" and latest is not None:
            self._lose(latest)

    def _lose(self, attempt: AttemptDir) -> None:
        """Close an attempt whose supervisor was gone before it could: the node failed, or was taken at once."""
        self._log_sweep(self._sweep())  # on this node its worker could live on
        done = attempt.done() or {}
        if done.get("outcome") == "finished":
            end = {"state": "finished", "code": None, "signal": None, "reason": "its supervisor was gone by then"}
            self._only_wind_up = True
            self.ledger.event("finished", attempt=attempt.number, reason=end["reason"])
        else:
            host = (self.run.owner() or {}).get("host", "its node")
            text = f"attempt {attempt.number} was lost: {host} failed, or was taken without notice"
            end = {"state": "lost", "code": None, "signal": None, "reason": f"{text}; Slurm restarted the job"}
            self.ledger.event("queued", reason=f"{text}: Slurm restarted its job {self._job.name}")
        if attempt.exit() is None:
            self.ledger.file(attempt.path / "exit.json", end)

    def supervise(self) -> None:
        """See the run through to its end, or until Slurm wants the node back."""
        if not self._only_wind_up:
            self.train()
        if self._handed_back:
            self.evaluation.abandon()  # the next attempt evaluates what waits
            self.ledger.settle(5.0)
        else:
            self.wind_up()

    def _wait_for_devices(self) -> list[Lease] | None:
        leases = Granted(self.run.path, self.spec.device, self._job, self._given_up).until_taken()
        if leases is None and self.requests.from_slurm:
            self._cause = self._ask_why()
            self._hand_back(None, "stopped")
        elif leases is None:
            self._end(str(self.requests.asked), None, reason="on request, before it started")
        return leases

    def _place(self) -> dict[str, Any]:
        return {**super()._place(), "slurm": self._job.name}

    def _given_up(self) -> bool:
        """Whether something was asked of the run that is not to wait until it trains."""
        self.requests.poll()
        return self.requests.asked is not None

    def _start(self, attempt: AttemptDir, leases: list[Lease]) -> Worker:
        """Start the worker; of a run on several nodes, the other nodes before."""
        if self.spec.nodes == 1:
            return super()._start(attempt, leases)
        from detui.engine.process.nodes import OtherNodes

        self.nodes = OtherNodes(attempt, self.spec, self.reaper)
        self.nodes.start()
        return start_worker(attempt, self.spec, leases, self.nodes.first)

    def _sweep(self) -> int:
        if self.nodes is not None:
            self.nodes.close()
        return super()._sweep()

    def _judge(self, ending: Ending) -> Verdict:
        """As everywhere; where Slurm wanted the end, with the reason why."""
        verdict = judge(ending)
        if verdict.word == "stopped" and self.requests.kill_at is not None:  # it saved when its job was cancelled
            return replace(verdict, word="killed", reason="killed on request; it saved a checkpoint before")
        if self._heard_elsewhere(verdict, ending):
            self.requests.sent = "SIGTERM"
        if verdict.word == "finished" or not self.requests.from_slurm:
            self._blame_lost_node(verdict)
            return verdict
        self._cause = self._ask_why()
        plain = verdict.word == "stopped" and (ending.done or {}).get("reason") is None
        return replace(verdict, reason=self._cause.text if plain else f"{self._cause.text}; {verdict.reason}")

    def _heard_elsewhere(self, verdict: Verdict, ending: Ending) -> bool:
        """Whether ranks were told to stop and the supervisor was not: the grace of a preemption spares a job's script,
        and with it the first node.
        """
        own = self.requests.asked is not None or (ending.done or {}).get("reason") is not None
        return self.nodes is not None and verdict.word == "stopped" and not own

    def _blame_lost_node(self, verdict: Verdict) -> None:
        """Have a job start again that lost a node, before Slurm does."""
        lost = self.nodes.lost if self.nodes is not None else None
        if lost is not None and verdict.word == "failed" and self.requests.asked is None:
            self._cause = Cause(f"the node {lost} was lost: {self._job.name} is queued again", again=True)

    def _ask_why(self) -> Cause:
        with deaf():
            return self._job.cause(str(self.requests.sent))

    def _say_end(self, attempt: AttemptDir, verdict: Verdict) -> None:
        if self._cause is None:
            super()._say_end(attempt, verdict)
        else:
            self._hand_back(attempt.number, verdict.word, **verdict.event())

    def _hand_back(self, attempt: int | None, word: str, **event: object) -> None:
        """Queue the run again, and have the job started anew unless Slurm does that; or say that it ended."""
        assert self._cause is not None
        cause = self._cause
        event = {**event, "reason": event.get("reason") or cause.text}
        if not cause.again:
            self._end(word, attempt, **event, **({} if cause.known else {RECALLED: True}))
            return
        self.ledger.event("queued", reason=cause.text)
        if not cause.by_slurm:
            try:
                with deaf():
                    self._job.requeue()
            except DetuiError as error:
                reason = f"{event['reason']}; the job could not be requeued: {error.message}"
                self._end(word, attempt, **{**event, "reason": reason, RECALLED: True})
                return
        self._handed_back = True


@contextmanager
def deaf() -> Iterator[None]:
    """Ignore Slurm's signals while the block lasts, and have what is started in it ignore them.

    A requeue signals every process of the job, the very program included that asked for it.
    """
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _recalled(run: RunDir) -> bool:
    """Whether the last event says that the run ended because Slurm wanted it."""
    events = [event for event in read_lines(run.events_path) if "state" in event]
    return bool(events and events[-1].get(RECALLED))


def chosen(path: Path, job: Job) -> RunDir:
    """Return the run of a list that a job is for. Raises RunError where it names none."""
    names = read_json(path).get("runs") or []
    index = job.task or 0
    if not 0 <= index < len(names):
        raise RunError(f"The list has no run {index}.", where=str(path))
    return RunDir(path.parent.parent / "runs" / str(names[index]))


def _log_to(path: Path) -> None:
    """Write what this process says to the log of the supervisors of its run: from here on it is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Supervise the run of this job; see the module's text. Returns 0 if it finished, else 1."""
    os.umask(0o077)
    job = Job.of(os.environ)
    try:
        if job is None:
            raise RunError("This is no job of Slurm: SLURM_JOB_ID is not set.", hint="detui run … --executor slurm")
        run = chosen(Path(arguments[0]).resolve(), job)
        _log_to(run.supervisor_log)
        supervisor = JobSupervisor(run, job, fresh="--fresh" in arguments)
        lock = supervisor.own()
    except (DetuiError, OSError) as error:
        log(str(error))
        return error.exit_code if isinstance(error, DetuiError) else 1
    supervisor.supervise()
    guarded(lock.remove)
    return 0 if read_state(run).word == "finished" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
