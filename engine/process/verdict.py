"""How a worker ended, from what was seen: never a guess, and what was asked counts only if asked before."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.run.directory import AttemptDir


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What the supervisor saw and did until the worker was gone."""

    code: int | None
    """Exit code; minus the number of the signal that ended it. None for an adopted worker, whose exit nobody saw.

    Of a run on several devices that of the rank that failed first, where one did.
    """
    done: dict[str, Any] | None
    """The worker's own account, done.json."""
    stop_asked: bool = False
    """Whether a stop was asked for before the end."""
    stop_reason: str | None = None
    """What asked for it, where that was no person but an alarm: "stop_on: nan: …"."""
    kill_asked: bool = False
    """Whether a kill was asked for before the end."""
    grace_over: float | None = None
    """Seconds after which a worker that did not heed the stop was killed; None if it was not."""
    lingered: bool = False
    """Whether it was killed because it did not exit after it was done."""
    memory_kills: int = 0
    """How many processes the kernel killed for want of memory meanwhile, on the whole host."""
    group_memory_kills: int = 0
    """The same in the worker's control group alone, where the kernel counts that."""
    ranks: int = 1
    """How many processes trained together."""
    rank: int | None = None
    """Which of them failed first; None where none did, or that is not known."""
    node: str | None = None
    """The node that it was on, of a run that has several."""
    elsewhere: bool = False
    """Whether that is another node than the supervisor's: what the kernel does there is not seen here."""
    missing: str | None = None
    """What became of a node that the run cannot go on without; None where all were there."""
    last_line: str | None = None
    """The last thing on its console."""
    disk_full: bool = False
    """Whether its disk has no room: then it could not say why it ended, nor write the checkpoint that it ended over."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The terminal state, and the fields of its event."""

    word: str
    code: int | None = None
    signal: str | None = None
    reason: str | None = None

    def event(self) -> dict[str, Any]:
        """Return the fields that the event of this state carries."""
        own = {"failed": ("code", "reason"), "crashed": ("signal", "reason")}.get(self.word, ("reason",))
        return {name: getattr(self, name) for name in own}


_LESS = "to resume repeats it: a smaller batch needs less memory"


_FULL = "no space is left on its disk (df -h): free some, then resume"


def judge(ending: Ending) -> Verdict:
    """Return the state that an ending amounts to (design: failed: exit code not 0; crashed: a foreign signal)."""
    return _asked(ending) or _by_itself(ending)


def _asked(ending: Ending) -> Verdict | None:
    """The ends that are no accident: the training was done, or somebody asked for the end."""
    code, name = _split(ending.code)
    outcome = _outcome(ending)
    if outcome == "finished":
        return Verdict("finished", code, name, _untidy(ending))
    if ending.kill_asked:
        return Verdict("killed", code, name, "killed on request")
    if ending.grace_over is not None and _killed(ending) and outcome is None:
        return Verdict("killed", code, name, f"it did not stop within {ending.grace_over:g} s")
    if outcome == "stopped":
        by = None if ending.stop_asked else "a SIGTERM from elsewhere asked it to stop"
        said = (ending.done or {}).get("reason") or ending.stop_reason
        return Verdict("stopped", code, name, str(said) if said else by or _untidy(ending))
    if ending.stop_asked and outcome is None and name in ("SIGTERM", None):
        return Verdict("stopped", code, name, "it ended without saying that it saved a checkpoint")
    return None


def _by_itself(ending: Ending) -> Verdict:
    code, name = _split(ending.code)
    message = _message(ending)
    if _ran_out(ending):
        return Verdict("oom", code, name, f"{message}; {_LESS}" if message else _LESS)
    if ending.code is None and _outcome(ending) is None:
        return Verdict("lost", reason=_unseen(ending))
    if ending.missing is not None:  # whatever the ranks say that have lost those of that node
        return Verdict("failed", None, None, ending.missing)
    kills = 0 if ending.elsewhere else ending.group_memory_kills or ending.memory_kills
    if name == "SIGKILL" and kills:
        where = "in its control group" if ending.group_memory_kills else "on this host"
        reason = f"probable: SIGKILL, and the kernel killed {kills} for want of memory {where} meanwhile; {_LESS}"
        return Verdict("oom", code, name, reason)
    if name is not None and (_outcome(ending) is None or ending.rank is not None):
        return Verdict("crashed", code, name, message)
    if code == 0 and _outcome(ending) is None:
        return Verdict("failed", code, name, "it exited with code 0 without saying that it finished")
    unsaid = f"exit code {code}" if code is not None else "it did not say why"
    if ending.disk_full:
        return Verdict("failed", code, name, f"{message or unsaid}; {_FULL}")
    return Verdict("failed", code, name, message or unsaid)


def _killed(ending: Ending) -> bool:
    """Whether our SIGKILL ended it, as far as that could be seen."""
    return ending.code is None or ending.code == -signal.SIGKILL


def _unseen(ending: Ending) -> str:
    reason = "its first supervisor died, so nobody saw its exit, and it did not say how it ended"
    killed = ending.group_memory_kills or ending.memory_kills
    return f"{reason}; the kernel killed {killed} for want of memory meanwhile" if killed else reason


def _outcome(ending: Ending) -> str | None:
    return ending.done.get("outcome") if ending.done else None


def _split(code: int | None) -> tuple[int | None, str | None]:
    """Return (exit code, None) or (None, name of the signal)."""
    if code is None or code >= 0:
        return code, None
    try:
        return None, signal.Signals(-code).name
    except ValueError:
        return None, f"signal {-code}"


def _untidy(ending: Ending) -> str | None:
    """Say what went wrong after the worker was done."""
    if ending.lingered:
        return "it was done, did not exit, and was killed"
    code, name = _split(ending.code)
    return f"it ended with {name or f'exit code {code}'} after it was done" if ending.code else None


def _message(ending: Ending) -> str | None:
    """What it said last, or what is known of its ranks: those that are left say only that they have lost another."""
    _, name = _split(ending.code)
    if name is not None and ending.rank is not None:
        on = f" on {ending.node}" if ending.node else ""
        return f"rank {ending.rank} of {ending.ranks}{on} was ended by {name}, and the others with it"
    message = ending.done.get("message") if ending.done else None
    if isinstance(message, str) and message:
        return message
    if name is not None and ending.ranks > 1:
        return f"the process that starts its {ending.ranks} ranks was ended by {name}, and they with it"
    return ending.last_line


def _ran_out(ending: Ending) -> bool:
    """Tell whether the framework itself reported that memory ran out."""
    error = str((ending.done or {}).get("error"))
    return (
        error.endswith("OutOfMemoryError")
        or error == "MemoryError"
        or "CUDA out of memory" in str((ending.done or {}).get("message"))
    )


def memory_kills() -> int:
    """Return how many processes the kernel killed for want of memory since boot, on the whole host."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def memory_events(pid: int, cgroups: Path = Path("/sys/fs/cgroup")) -> Path | None:
    """Return the file in which the kernel counts the memory kills of a process's control group, None without one.

    Both versions of control groups have a line `oom_kill N` in it.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, controllers, group = line.split(":", 2)
        inside = group.lstrip("/")
        if "memory" in controllers.split(","):
            path = cgroups / "memory" / inside / "memory.oom_control"
        elif number == "0":
            path = cgroups / inside / "memory.events"
        else:
            continue
        if path.is_file():
            return path
    return None


def group_memory_kills(events: Path | None) -> int:
    """Return how many processes of a control group the kernel has killed for want of memory; 0 where unknown."""
    try:
        lines = events.read_text().splitlines() if events else []
    except OSError:  # it is not there for every group, and goes with the last process of one
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def last_line(attempt: AttemptDir) -> str | None:
    """Return the last line that is not blank of an attempt's console, None where there is none."""
    try:
        with attempt.console_path.open("rb") as file:
            file.seek(max(0, attempt.console_path.stat().st_size - 4096))
            tail = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in tail.replace("\r", "\n").split("\n") if line.strip()]
    return lines[-1][:500] if lines else None
