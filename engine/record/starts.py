"""What the starts of the runs' processes tell: devices that they had, code that they ran, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.record.facts import AttemptFacts, ExperimentFacts, RunFacts
from detui.engine.record.text import code, plain
from detui.engine.record.words import Words

NOT_SET = "(not set)"


class Starts:
    """Attempts of all runs, told in one language."""

    def __init__(self, facts: ExperimentFacts, words: Words) -> None:
        self.facts, self.info, self.words = facts, facts.info, words

    def actual(self, attempt: AttemptFacts) -> str:
        """The devices that an attempt had and what the worker called them: "NVIDIA H200 (`GPU-1`)"."""
        names = ", ".join(map(code, attempt.device))
        model = plain(attempt.device_model)
        return f"{model} ({names})" if model and names else model or names

    def devices(self, run: RunFacts) -> str:
        """The devices of a run's attempts; each with its number where they are not the same."""
        found = {attempt.number: had for attempt in run.attempts if (had := self.actual(attempt))}
        if len(set(found.values())) > 1:
            return "; ".join(f"{number}: {had}" for number, had in found.items())
        return next(iter(found.values()), self.words("unknown" if self.facts.imported else "missing"))

    def hosts(self) -> list[Mapping[str, Any]]:
        """The machines that the attempts ran on, each once; that of the launch where none says."""
        found = [attempt.host for run in self.facts.runs for attempt in run.attempts if attempt.host]
        return list({repr(sorted(host.items())): host for host in found}.values()) or [self.info.get("host") or {}]

    def alarms(self) -> list[str]:
        """What makes the runs' results unlike each other, or unlike the plan: devices, code."""
        return [*self._device_alarms(), *self._code_alarms()]

    def _device_alarms(self) -> Iterator[str]:
        models: dict[str, dict[str, None]] = {}
        for run in self.facts.runs:
            for attempt in run.attempts:
                if attempt.device_model:
                    models.setdefault(attempt.device_model, {})[code(run.name)] = None
        if len(models) > 1:
            who = [self.words("had device", plain(model), ", ".join(runs)) for model, runs in models.items()]
            yield f"{self.words('different devices')} {'; '.join(who)}"

    def _code_alarms(self) -> Iterator[str]:
        launch = self.info.get("code") or {}
        for run in self.facts.runs:
            for attempt in run.attempts:
                if change := _other_code(launch, attempt.begin.get("code") or {}):
                    yield self.words("other code", attempt.number, code(run.name), change)

    def changed_between(self) -> list[str]:
        """Where an attempt had other packages or values than the one that the tables are taken from."""
        return [line for run in self.facts.runs for line in self._changed_between(run)]

    def _changed_between(self, run: RunFacts) -> Iterator[str]:
        # By its number: the run's own line has the model of its last stage, which none of the attempts said so.
        told = next((attempt for attempt in run.attempts if attempt.number == run.begin.get("attempt")), None)
        if told is None:
            return
        parts = {"packages": "packages", "asked": "asked values", "used": "used values"}
        for other in run.attempts:
            if not other.begin:
                continue
            for part, title in parts.items():
                # Each stage has values of its own: an attempt that began in another one differs by plan.
                if part != "packages" and other.stage != told.stage:
                    continue
                if changes := _changes(told.begin.get(part) or {}, other.begin.get(part) or {}):
                    yield self.words(
                        "other values", other.number, code(run.name), self.words(title), told.number, changes
                    )


def _changes(told: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """ "`torch` `2.1` → `2.2`" for what is not the same in both, sections flattened."""
    before, after = flatten(told), flatten(other)
    names = [name for name in {**before, **after} if normal(before.get(name)) != normal(after.get(name))]
    return ", ".join(f"{code(name)} {code(shown(before.get(name)))} → {code(shown(after.get(name)))}" for name in names)


def _other_code(launch: Mapping[str, Any], ran: Mapping[str, Any]) -> str:
    """What tells the code that ran from that of the launch; "" where it is the same, or nothing is known."""
    known = next((key for key in ("tree", "commit") if launch.get(key) and ran.get(key)), None)
    if known is None or launch[known] == ran[known]:
        return ""
    told = "commit" if launch.get("commit") != ran.get("commit") and launch.get("commit") else "tree"
    before, after = (_short(str(state.get(told) or NOT_SET)) for state in (launch, ran))
    return f"{told} {code(before)} → {code(after)}"


def _short(mark: str) -> str:
    """Enough of a hash to tell it from others."""
    return mark.removeprefix("sha256:")[:12]


def normal(value: Any) -> Any:
    """Equal for 1 and 1.0, which train alike."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def shown(value: Any) -> str:
    """A value of a configuration in words."""
    return NOT_SET if value is None else str(value)
