"""What a person chooses in the launch form, and the plan that it makes: the same words that `detui run` takes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detui.engine.errors import UsageError
from detui.tui.language import tr

if TYPE_CHECKING:
    from detui.engine.planning import Plan
    from detui.engine.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Choices:
    """The form's content, as it was typed. Text that is empty asks for nothing: the recipe, or the machine, decides."""

    ref: str
    profile: str
    arms: tuple[str, ...] | None = None
    """None: those that the profile runs."""
    data: str = ""
    """Names of data sets, with commas between."""
    seeds: str = ""
    devices: str = ""
    min_free_memory: str = ""
    on_busy: str = "wait"
    cpu_slots: str = ""
    executor: str = "local"
    slurm: str = ""
    """Options of Slurm as words, key=value each, with blanks between."""
    overrides: tuple[str, ...] = ()
    name: str = ""
    tags: str = ""
    """With commas between."""
    note: str = ""
    evaluate: bool = True

    def plan(self, workspace: Workspace) -> Plan:
        """Plan what is chosen. Raises DetuiError; `where` names the option of `detui run` that is at fault."""
        if self.arms == ():
            raise UsageError(tr("Choose at least one arm."), where="--arm")
        return workspace.plan(
            self.ref,
            profile=self.profile,
            arms=self.arms,
            data=[name for name in map(str.strip, self.data.split(",")) if name],
            seeds=_numbers(self.seeds),
            overrides=[text for text in map(str.strip, self.overrides) if text],
            devices=self.devices.strip() or None,
            min_free_memory=self.min_free_memory.strip() or None,
            on_busy=self.on_busy,
            cpu_slots=_number(self.cpu_slots),
            executor=self.executor,
            slurm=_words(self.slurm),
        )

    def about(self) -> dict[str, Any]:
        """Return what `Plan.command` and `Workspace.start` are told beside the plan."""
        tags = tuple(tag for tag in map(str.strip, self.tags.split(",")) if tag)
        name, note = self.name.strip() or None, self.note.strip() or None
        return {"name": name, "tags": tags, "note": note, "evaluate": self.evaluate}

    def command(self, plan: Plan) -> str:
        """Return the command line that does the same as a start of this plan."""
        return plan.command(**self.about())


def _numbers(text: str) -> list[int] | None:
    if not text.strip():
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        message = tr("{text} is not a list of seeds.", text=repr(text.strip()))
        raise UsageError(message, where="--seeds", hint="0,1,2") from None


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        message = tr("A quote is not closed.")
        raise UsageError(message, where="--slurm", hint="partition=gpu time=08:00:00") from None


def _number(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        message = tr("{text} is not a whole number.", text=repr(text.strip()))
        raise UsageError(message, where="--cpu-slots", hint="1") from None
