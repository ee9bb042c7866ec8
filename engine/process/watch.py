"""A supervisor's watch over one worker, from its start until it is gone."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detui.engine.devices.host import disk_free
from detui.engine.errors import DetuiError
from detui.engine.process.attempt import Worker
from detui.engine.process.children import Reaper
from detui.engine.process.evaluation import Evaluation
from detui.engine.process.hooks import Hooks
from detui.engine.process.identity import pinned
from detui.engine.process.ledger import ROOM, Ledger, guarded, log
from detui.engine.process.requests import Requests
from detui.engine.process.telemetry import Telemetry
from detui.engine.process.verdict import Ending, group_memory_kills, last_line, memory_events, memory_kills
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineReader
from detui.engine.run.spec import RunSpec

if TYPE_CHECKING:
    from detui.engine.process.nodes import OtherNodes

TICK = 0.2
"""Seconds between two looks at requests and metrics; the end of the worker is seen at once."""

LINGER = float(os.environ.get("DETUI_LINGER") or 30.0)
"""Seconds that a worker has to exit after it wrote that it is done; DETUI_LINGER sets another."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a supervisor works with, for one run."""

    spec: RunSpec
    requests: Requests
    reaper: Reaper
    ledger: Ledger
    evaluation: Evaluation
    hooks: Hooks
    nodes: OtherNodes | None = None
    """The other nodes of a run that has several."""


class Watch:
    """Watches one worker until it is gone."""

    def __init__(
        self, desk: Desk, attempt: AttemptDir, worker: Worker, devices: list[str], *, begun: bool = False
    ) -> None:
        """`devices`: names of what the run holds. `begun`: whether the events say already that it trains."""
        self._desk = desk
        self._attempt = attempt
        self._worker = worker
        self._devices = devices
        gpus = devices if desk.spec.device.kind == "cuda" else []
        self.telemetry = Telemetry(attempt, worker.pid or 0, gpus, worker.zero)
        self._metrics = LineReader(attempt.metrics_path, containing=('"begin"', '"evaluation"', '"alarm"'))
        self._memory_kills = memory_kills()
        self._group = memory_events(worker.pid or 0)
        self._group_memory_kills = group_memory_kills(self._group)
        self._beats = 0
        self._heard = _last_beat(attempt) - 1.0
        self._begun = begun
        self._stopping_at: float | None = None
        self._stop_reason: str | None = None
        self._kill_sent = False
        self._grace_over: float | None = None
        self._done_at: float | None = None
        self._lingered = False

    def until_end(self) -> Ending:
        """Tick until the worker is gone, and return how it ended."""
        guarded(self._identify)
        guarded(self.telemetry.start)
        try:
            code = self._tick_until_end()
        finally:
            guarded(self.telemetry.stop)
        guarded(self._follow)
        self._hear_nodes(code)
        return self._ending(code)

    def _tick_until_end(self) -> int | None:
        worker, gone = self._worker, select.poll()
        with ExitStack() as stack, suppress(ProcessLookupError):  # an adopted one may be gone before it is pinned
            descriptor = stack.enter_context(pinned(worker.pid or 0))  # without one, the end is seen a tick later
            if descriptor is not None:
                gone.register(descriptor, select.POLLIN)
            while not worker.gone(self._desk.reaper):
                guarded(self._tick)
                gone.poll(TICK * 1000)
        return worker.code

    def _identify(self) -> None:
        if self._worker.identity is not None:
            known = {**self._worker.identity.to_json(), "zero": self._worker.zero}
            write_json(self._attempt.path / "worker.json", known)

    def _hear_nodes(self, code: int | None) -> None:
        """Let the other nodes say how their ranks ended, but of a run that is killed, or stopped before it began."""
        pointless = self._kill_sent or (code == 0 and not self._begun)
        if (nodes := self._desk.nodes) is not None and not pointless:
            guarded(nodes.settle)

    def _ending(self, code: int | None) -> Ending:
        nodes, first = self._desk.nodes, self._read(self._attempt.first_failure)
        first = (first if nodes is None else nodes.first_failure(first)) or {}
        return Ending(
            code=int(first.get("code") or 0) or code,
            ranks=self._desk.spec.ranks,
            rank=first.get("rank"),
            node=first.get("node"),
            elsewhere=bool(first.get("elsewhere")),
            missing=None if nodes is None else nodes.trouble or nodes.said(),
            done=self._done(first),
            stop_asked=self._stopping_at is not None,
            stop_reason=self._stop_reason,
            kill_asked=self._kill_sent and self._desk.requests.kill_at is not None,
            grace_over=self._grace_over,
            lingered=self._lingered,
            memory_kills=memory_kills() - self._memory_kills,
            group_memory_kills=max(0, group_memory_kills(self._group) - self._group_memory_kills),
            last_line=last_line(self._attempt),
            disk_full=(free := disk_free(self._attempt.path)) is not None and free < ROOM,
        )

    def _done(self, first: dict[str, Any]) -> dict[str, Any] | None:
        """How the worker says it ended: the first node's word where that was no failure, else that of the rank that
        failed first, which a file system of several nodes may show later than what others wrote.
        """
        said = self._read(self._attempt.done)
        if (said or {}).get("outcome") in ("finished", "stopped"):
            return said
        return first.get("done") or said

    def _read(self, file: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """What the worker wrote; None where that cannot be read, which is logged."""
        try:
            return file()
        except DetuiError as error:
            log(str(error))
            return None

    def _tick(self) -> None:
        elapsed = time.monotonic() - self._worker.zero
        self._serve()
        if self._desk.nodes is not None:
            guarded(self._see_to_nodes)
        if elapsed >= self._beats:
            self._beat(int(elapsed) + 1)
            guarded(self._end_lingering)
            guarded(self._follow)
        elif not self._begun:
            guarded(self._follow)
        guarded(self._desk.evaluation.tick)
        guarded(self._desk.hooks.tick)
        self._desk.ledger.flush()

    def _see_to_nodes(self) -> None:
        """Hear the other nodes; without them the ranks of this one, which may wait for ever, are ended."""
        assert self._desk.nodes is not None
        self._desk.nodes.tick()
        if self._desk.nodes.hopeless:
            self._send(signal.SIGKILL)

    def _beat(self, count: int) -> None:
        self._beats = count
        try:
            # Over the one before, which is never longer: who reads meanwhile finds one of the two, no empty file.
            beat = os.open(self._attempt.beat_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(beat, f"{count}\n".encode(), 0)
            finally:
                os.close(beat)
        except OSError as error:
            log(f"no beat: {error}")

    def _follow(self) -> None:
        """Look for what the worker says that concerns the supervisor."""
        for line in self._metrics.poll():
            if line.get("kind") == "begin" and not self._begun:
                self._begun = True
                if self._stopping_at is None:
                    event: dict[str, Any] = {"attempt": self._attempt.number, "device": self._devices}
                    if self._desk.nodes is not None:
                        event["nodes"] = self._desk.nodes.devices
                    self._desk.ledger.event("running", **event)
            elif line.get("kind") == "evaluation":
                self._desk.evaluation.want()
            elif line.get("kind") == "alarm" and float(line.get("t") or 0.0) >= self._heard:
                self._sound(line)
        for line in self.telemetry.sounded():
            self._sound(line)

    def _sound(self, line: dict[str, Any]) -> None:
        """Pass an alarm on to the hook, and let the run stop where its recipe wants that."""
        self._desk.hooks.alarm(line)
        if line.get("name") in self._desk.spec.stop_on and self._desk.requests.stop_at is None:
            self._stop_reason = f"stop_on: {line['name']}: {line.get('text')}"
            self._desk.requests.stop_at = time.monotonic()

    def _serve(self) -> None:
        """Serve requests: a stop is passed on, and becomes a kill when the grace is over."""
        requests, now = self._desk.requests, time.monotonic()
        requests.poll()
        if requests.kill_at is not None and not self._kill_sent:
            self._announce("kill")
            self._kill()
        elif requests.stop_at is not None and self._stopping_at is None:
            self._stopping_at = now
            self._announce("stop")
            # To the main process alone: data loaders must live until it has saved.
            self._send(signal.SIGTERM)
        elif self._grace_is_over(now):
            self._grace_over = self._desk.spec.grace
            self._kill()

    def _grace_is_over(self, now: float) -> bool:
        if self._stopping_at is None or self._kill_sent:
            return False
        return now - self._stopping_at > self._desk.spec.grace

    def _announce(self, request: str) -> None:
        why = self._desk.requests.why
        reason = {} if why is None else {"reason": why}
        self._desk.ledger.event("stopping", attempt=self._attempt.number, request=request, **reason)

    def _kill(self) -> None:
        self._kill_sent = True
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._worker.identity is not None:
            self._worker.identity.signal(number)

    def _end_lingering(self) -> None:
        """Kill a worker that wrote that it is done and does not exit: a hanging thread, an atexit hook."""
        if not (self._attempt.path / "done.json").exists() or self._kill_sent:
            return
        self._done_at = self._done_at or time.monotonic()
        if time.monotonic() - self._done_at > LINGER:
            self._lingered = True
            self._kill()


def _last_beat(attempt: AttemptDir) -> int:
    """Return the second up to which a supervisor before this one has read the metrics; 0 where none has."""
    try:
        return int(attempt.beat_path.read_text())
    except (OSError, ValueError):
        return 0
