"""A run's wait for its devices: its ticket in the queue, what strangers have in use, and why it waits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detui.engine.errors import RunError
from detui.engine.process.descendants import visible_to_others
from detui.engine.process.lease import Lease, held, holder, take_some
from detui.engine.process.ledger import guarded
from detui.engine.process.places import HOLD, REASON
from detui.engine.process.queue import Queue, Ticket, Waiter, allot, before, enter
from detui.engine.process.requests import Requests
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.spec import DeviceRequest

TICK = 0.1
"""Seconds between two looks at what was asked, and of the first in the queue at the devices."""

_PATIENCE = 1.0
"""Seconds between two looks at the devices of a run that is not the first, and at what strangers use."""

_SAID = 10.0
"""Seconds between two notes of why it waits: the numbers in them may change all the time."""

_IN_USE = 1 << 30
"""Bytes in use on a GPU beyond which somebody works there; less is what a driver and a desktop take."""


class Waiting:
    """The wait of one run, in its supervisor."""

    def __init__(self, run: RunDir, request: DeviceRequest, requests: Requests) -> None:
        """Take the last place in the queue. Raises RunError where the queue cannot be written."""
        self._run = run
        self._request = request
        self._requests = requests
        self._queue = Queue()
        self._strangers = Strangers()
        self._ticket: Ticket = enter(run, request)
        self._waiters: list[Waiter] = []
        self._kept = False
        self._said: tuple[str, float] = ("", -_SAID)

    def until_taken(self) -> list[Lease] | None:
        """Return the leases of the run's devices; None where something was asked of it before it had them.

        Raises RunError where the request cannot be met, or may not wait.
        """
        try:
            return self._wait()
        finally:
            self._ticket.leave()
            guarded(self._tidy)

    def _tidy(self) -> None:
        (self._run.path / REASON).unlink(missing_ok=True)
        (self._run.control_dir / HOLD).unlink(missing_ok=True)

    def _wait(self) -> list[Lease] | None:
        wanted = self._request
        if wanted.count > len(wanted.candidates):
            found = len(wanted.candidates)
            raise RunError(f"The run needs {wanted.count} devices and may choose from {found}.")
        due, ahead = 0.0, 0
        while True:
            self._requests.poll()
            if self._requests.asked is not None:
                return None
            kept = self._is_held()
            if self._queue.changed() or time.monotonic() >= due:
                leases = self._look(kept)
                if leases is not None:
                    return leases
                ahead = len(before(self._ticket.key, self._waiters)) + kept
                # Who stands far behind hears of those before it by the change of the queue, and need not look often.
                due = time.monotonic() + (_PATIENCE * min(1 + ahead / 5, 5) if ahead else 0)
            # Not all at the same moment: fifty that look at once are a burst of load.
            time.sleep((2 * TICK if ahead else TICK) + os.getpid() % 16 / 1000)

    def _is_held(self) -> bool:
        """Whether the run is asked to let others pass; the ticket says it to them."""
        kept = (self._run.control_dir / HOLD).exists()
        if kept is not self._kept:
            self._kept = kept
            self._ticket.set_held(kept)
        return kept

    def _look(self, kept: bool) -> list[Lease] | None:
        """Take the devices if it is this run's turn and they may be had."""
        key = self._ticket.key
        self._waiters = self._queue.waiters(key, patience=_PATIENCE * min(1 + len(self._waiters) / 5, 5))
        if not self._waiters or self._waiters[-1].key != key:
            if self._ticket.gone():  # somebody cleaned up: again at the end of the queue, rather than never
                self._ticket.leave()
                self._ticket, self._kept = enter(self._run, self._request), False
            return None
        if kept:
            return None
        wanted = self._request
        free = {device for device in _all_candidates(self._waiters) if not held(device)}
        mine = allot(key, self._waiters, free, self._strangers.suit)
        if len(mine) >= wanted.count:
            mine = self._strangers.not_visible(self._run.path, mine)
            mine.sort(key=self._strangers.are_on)
            leases = take_some(wanted.count, mine, str(self._run.path)) if len(mine) >= wanted.count else None
            if leases is not None:
                return leases
        self._explain(free.intersection(wanted.candidates))
        if wanted.on_busy == "fail" and not self._waits_for_its_own(free):
            raise RunError(f"No device is free, and the run may not wait: {self._why(free)}", hint="--on-busy wait")
        return None

    def _waits_for_its_own(self, free: set[str]) -> bool:
        """Whether what it waits for are runs of its own experiment."""
        own = str(self._run.experiment_dir)
        ahead = [one.want.run for one in before(self._ticket.key, self._waiters)]
        taken = [holder(device) for device in self._request.candidates if device not in free]
        return any(run is not None and str(RunDir(Path(run)).experiment_dir) == own for run in [*ahead, *taken])

    def _why(self, free: set[str]) -> str:
        taken = len(set(self._request.candidates) - free)
        text = self._strangers.text(free.intersection(self._request.candidates), self._request)
        return text or f"{taken} of {len(self._request.candidates)} in use."

    def _explain(self, free: Iterable[str]) -> None:
        """Leave a note of what strangers do to the wait; leases and the queue speak for themselves."""
        text, now = self._strangers.text(free, self._request), time.monotonic()
        said, at = self._said
        if text == said or (text and said and now - at < _SAID):
            return
        self._said = (text, now)
        path = self._run.path / REASON
        guarded(lambda: write_json(path, {"reason": text}) if text else path.unlink(missing_ok=True))


class Strangers:
    """What processes that have no lease do on the GPUs. What NVML does not say hinders nobody."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[float, dict[str, Any]]] = {}
        self._visible: dict[str, str] = {}
        self._looked = -2 * _PATIENCE

    def suit(self, device: str, request: DeviceRequest) -> bool:
        """Whether a device that no run has a lease of may be given to a request."""
        return not self._refusal(device, request)

    def are_on(self, device: str) -> bool:
        """Whether strangers work there."""
        return (self._sample(device).get("memory_used") or 0) > _IN_USE

    def not_visible(self, run: Path, devices: Iterable[str]) -> list[str]:
        """Leave out what processes of another run still use though they lost its lease."""
        gpus = [device for device in devices if not _is_slot(device)]
        if gpus and time.monotonic() - self._looked >= 2 * _PATIENCE:
            self._looked, self._visible = time.monotonic(), visible_to_others(run.resolve())
        return [device for device in devices if device not in self._visible]

    def text(self, free: Iterable[str], request: DeviceRequest) -> str:
        """Say why devices that no run has a lease of are not taken; "" where nothing is to be said."""
        found = []
        for device in sorted(free):
            refusal = self._refusal(device, request)
            if device in self._visible:
                refusal = f"is in use by processes of {self._visible[device]}"
            if refusal:
                index = self._sample(device).get("index")
                found.append(f"{device if index is None else f'GPU {index}'} {refusal}")
        return "; ".join(found)

    def _refusal(self, device: str, request: DeviceRequest) -> str:
        if _is_slot(device):
            return ""
        sample = self._sample(device)
        used, total = sample.get("memory_used"), sample.get("memory_total")
        if request.min_free_memory:
            if used is None or total is None:
                return "does not say how much memory is free"
            free = total - used
            return "" if free >= request.min_free_memory else f"has {_gib(free)} free of {_gib(total)}"
        if request.named or used is None or used <= _IN_USE:
            return ""
        return f"has {_gib(used)} in use by others"

    def _sample(self, device: str) -> dict[str, Any]:
        if _is_slot(device):
            return {}
        from detui.engine.devices.nvml import sample_gpus

        at, sample = self._samples.get(device, (-_PATIENCE, {}))
        if time.monotonic() - at >= _PATIENCE:
            sample = sample_gpus([device])[0]
            self._samples[device] = (time.monotonic(), sample)
        return sample


def _is_slot(device: str) -> bool:
    return device.startswith("cpu:")


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


def _all_candidates(waiters: Iterable[Waiter]) -> set[str]:
    return {device for waiter in waiters for device in waiter.want.request.candidates}
