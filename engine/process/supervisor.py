"""The process that owns one run: waits for its devices, starts the worker, and records how it ended.

    python -m detui.engine.process.supervisor RUN_DIR [--resume [--fresh] | --adopt] [--ready DESCRIPTOR]

It outlives the terminal, and is the only writer of the run's events.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.devices.host import host_facts
from detui.engine.devices.nvml import driver_versions
from detui.engine.errors import DetuiError, RunError
from detui.engine.process.adoption import known_devices, orphan, orphaned_worker
from detui.engine.process.attempt import Worker, make_attempt, start_worker
from detui.engine.process.checkpoints import beginning, find_start
from detui.engine.process.children import Reaper, become_subreaper
from detui.engine.process.control import settled
from detui.engine.process.descendants import sweep
from detui.engine.process.evaluation import Evaluation
from detui.engine.process.hooks import Hooks
from detui.engine.process.identity import Identity
from detui.engine.process.lease import Lease, run_resource, take
from detui.engine.process.ledger import Ledger, guarded, log
from detui.engine.process.requests import Requests
from detui.engine.process.verdict import Ending, Verdict, judge
from detui.engine.process.waiting import Waiting
from detui.engine.process.watch import Desk, Watch
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import encode, write_json
from detui.engine.run.state import read_state

if TYPE_CHECKING:
    from detui.engine.process.nodes import OtherNodes


class Supervisor:
    """Owns one run from the queue to its end."""

    def __init__(self, run: RunDir, *, resume: bool = False, fresh: bool = False, adopt: bool = False) -> None:
        """`resume`: begin a new attempt of a run that has ended; `fresh`: from its start, whatever it saved.

        `adopt`: go on with one that lost its supervisor.
        """
        self.run = run
        self.spec = run.spec()
        self.resume = resume
        self.orphan: AttemptDir | None = None
        self.waiting: Waiting | None = None
        self.nodes: OtherNodes | None = None
        self._fresh = fresh
        self._adopt = adopt
        self.requests: Requests = Requests(run)
        self.reaper = Reaper()
        self.ledger = Ledger(run)
        self.evaluation = Evaluation(run, self.spec.after, self.reaper)
        self.hooks = Hooks(run, self.spec, self.reaper)

    def own(self) -> Lease:
        """Take the run, or raise RunError: somebody has it, or it is over."""
        lock = take_run(self.run)
        if self._adopt:
            self._take_over(orphan(self.run))
            return lock
        state = settled(self.run)
        if state.terminal and not self.resume:
            raise RunError(f"The run has ended already: {state.word}.", hint=f"detui resume {self.run.name}")
        self._settle_in()
        if state.terminal:
            if not read_state(self.run).terminal:  # its former supervisor could not say how it ended
                known = {name: getattr(state, name, None) for name in ("attempt", "reason")}
                self.run.append_event(state.word, **known)
            self.requests.clear()
            self.hooks.reopen()
            self.run.append_event("queued")
        self._queue()  # before anybody hears that the run is owned: runs are served in the order of their launch
        return lock

    def _settle_in(self) -> None:
        self.requests.install()
        self.ledger.keep_room()
        become_subreaper()
        _sign(self.run.path)

    def _take_over(self, attempt: AttemptDir) -> None:
        self._settle_in()
        _sign(attempt.path)
        self.orphan = attempt
        self.ledger.event("adopted", attempt=attempt.number)

    def supervise(self) -> None:
        """See the run through to its end, its last evaluation included."""
        self.train()
        self.wind_up()

    def train(self) -> None:
        """Wait for the devices and see the training through to its end, whatever that is."""
        try:
            if self.orphan is not None:
                self._go_on(self.orphan)
            elif (leases := self._wait_for_devices()) is not None:
                self._attempt(leases)
        except DetuiError as error:
            self._end("failed", None, code=None, reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must not seem to go on
            log(traceback.format_exc())
            self._end("failed", None, code=None, reason=f"its supervisor failed: {error!r}; see supervisor.log")

    def wind_up(self) -> None:
        """Evaluate what is left, and run the hooks of a run that has ended."""
        guarded(self.requests.clear)  # a kill of the training is none of the evaluation that follows it
        self.hooks.run_end()
        self.evaluation.finish(self.requests, self.hooks.tick)
        guarded(self.requests.clear)
        self.hooks.experiment_end()
        self.hooks.finish()
        self.ledger.settle()

    def _end(self, word: str, attempt: int | None, **fields: object) -> None:
        self.ledger.event(word, attempt=attempt, **fields)

    def _wait_for_devices(self) -> list[Lease] | None:
        """Return the leases of the run's devices; None where it was ended in the queue."""
        leases = self._queue().until_taken()
        if leases is None:
            self._end(str(self.requests.asked), None, reason="on request, before it started")
        return leases

    def _queue(self) -> Waiting:
        """Return its place in the queue, which it has from the moment that it owns the run."""
        self.waiting = self.waiting or Waiting(self.run, self.spec.device, self.requests)
        return self.waiting

    def _attempt(self, leases: list[Lease]) -> None:
        attempt = None
        try:
            attempt = self._prepare()
            worker = self._start(attempt, leases)
            ending = self._watch(attempt, worker, leases)
        except DetuiError as error:
            self._give_up(attempt, leases, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, no worker may train on without its supervisor
            log(traceback.format_exc())
            self._give_up(attempt, leases, f"its supervisor failed: {error!r}; see supervisor.log")
        else:
            self._conclude(attempt, worker, ending, leases)

    def _start(self, attempt: AttemptDir, leases: list[Lease]) -> Worker:
        if self.spec.nodes > 1:
            text = f"The run has {self.spec.nodes} nodes, and this machine is one."
            raise RunError(text, where="nodes", hint="detui run … --executor slurm")
        return start_worker(attempt, self.spec, leases)

    def _watch(self, attempt: AttemptDir, worker: Worker, leases: list[Lease]) -> Ending:
        if worker.process is not None:
            self.reaper.expect(worker.process)
        desk = Desk(self.spec, self.requests, self.reaper, self.ledger, self.evaluation, self.hooks, self.nodes)
        return Watch(desk, attempt, worker, [lease.resource for lease in leases]).until_end()

    def _go_on(self, attempt: AttemptDir) -> None:
        """Watch a worker that somebody else started. It holds the leases of its devices itself."""
        worker, devices = orphaned_worker(attempt), known_devices(attempt)
        desk = Desk(self.spec, self.requests, self.reaper, self.ledger, self.evaluation, self.hooks)
        ending = Watch(desk, attempt, worker, devices or [], begun=devices is not None).until_end()
        self._conclude(attempt, worker, ending, [])

    def _give_up(self, attempt: AttemptDir | None, leases: list[Lease], reason: str) -> None:
        """End what was started of the run, free its devices, and only then say that it failed."""
        guarded(lambda: self._log_sweep(self._sweep()))
        for lease in leases:
            lease.release()
        self._end("failed", attempt.number if attempt else None, code=None, reason=reason)

    def _sweep(self) -> int:
        """Kill what is left of the run, but not what works beside it. Returns how many were killed."""
        return sweep(self.run.path, [*self.evaluation.pids, *self.hooks.pids], self.reaper.collect)

    def _log_sweep(self, killed: int) -> None:
        if killed:
            log(f"killed {killed} of its processes, which nobody would have watched")

    def _prepare(self) -> AttemptDir:
        start = beginning(self.run) if self._fresh else find_start(self.run)
        attempt = make_attempt(self.run)
        _sign(attempt.path)
        skipped = {"skipped": list(start.skipped)} if start.skipped else {}
        info = {"number": attempt.number, "resume": start.resume, **skipped, **self._place()}
        write_json(attempt.path / "attempt.json", info)
        self.ledger.event("starting", attempt=attempt.number, **skipped)
        return attempt

    def _place(self) -> dict[str, Any]:
        """Where the attempt runs, which need not be the machine that it was launched from."""
        return {"host": {**host_facts(), **(driver_versions() if self.spec.device.kind == "cuda" else {})}}

    def _conclude(self, attempt: AttemptDir, worker: Worker, ending: Ending, leases: list[Lease]) -> None:
        stragglers = self._sweep()
        seconds = round(time.monotonic() - worker.zero, 3)
        for lease in leases:
            lease.release()
        verdict = self._judge(ending)
        seen = {"code": verdict.code, "signal": verdict.signal, "reason": verdict.reason}
        end = {"state": verdict.word, **seen, "stragglers_killed": stragglers, "seconds": seconds}
        self.ledger.file(attempt.path / "exit.json", end)
        self._say_end(attempt, verdict)

    def _judge(self, ending: Ending) -> Verdict:
        return judge(ending)

    def _say_end(self, attempt: AttemptDir, verdict: Verdict) -> None:
        self._end(verdict.word, attempt.number, **verdict.event())


def _sign(folder: Path) -> None:
    """Write down who owns a run, or an attempt, from now on."""
    me = Identity.of(os.getpid())
    write_json(folder / "owner.json", me.to_json() if me else {})


def take_run(run: RunDir) -> Lease:
    """Take the lock of a run on this node. Raises RunError where somebody supervises it."""
    lease = take(run_resource(run.path), str(run.path))
    if lease is None:
        hint = f"detui tail {run.name} shows what it does, detui stop {run.name} ends it"
        raise RunError("The run is being supervised already.", where=str(run.path), hint=hint)
    return lease


def _answer(descriptor: int | None, error: DetuiError | None) -> None:
    """Tell the launcher whether the run is owned now."""
    if descriptor is None:
        return
    problem = None if error is None else {"message": error.message, "where": error.where, "hint": error.hint}
    try:
        os.write(descriptor, encode({"problem": problem}))
    except BrokenPipeError:  # the launcher died meanwhile; the run goes on
        pass
    os.close(descriptor)


def _detach() -> None:
    """Become a process that nobody waits for, in a session without a terminal."""
    if os.fork():
        os._exit(0)
    os.setsid()


def main(arguments: list[str]) -> int:
    """Supervise a run; see the module's text for the arguments. Returns 0 if it finished, else 1."""
    os.umask(0o077)  # what a run writes is its user's own business, the worker's files included
    run = RunDir(Path(arguments[0]).resolve())
    ready = int(arguments[arguments.index("--ready") + 1]) if "--ready" in arguments else None
    if ready is not None:
        os.set_inheritable(ready, False)
        _detach()
    try:
        flags = {name: f"--{name}" in arguments for name in ("resume", "fresh", "adopt")}
        supervisor = Supervisor(run, **flags)
        lock = supervisor.own()
    except DetuiError as error:
        _answer(ready, error)
        log(str(error))
        return error.exit_code
    _answer(ready, None)
    supervisor.supervise()
    lock.remove()
    return 0 if read_state(run).word == "finished" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
