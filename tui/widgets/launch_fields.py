"""The lines of the launch form, what stands in them, and what is said below each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from detui.engine.errors import DetuiError
from detui.engine.executor import EXECUTORS, SLURM
from detui.engine.planning import Plan
from detui.engine.recipe.load import FULL
from detui.tui import language, overrides
from detui.tui.language import tr
from detui.tui.launch import Choices
from detui.tui.launch_text import data_choices
from detui.tui.widgets.fields import Choice, Completing, Line, Row, Tick

_OPTIONS = {
    "--arm": "arm-0",
    "--data": "data",
    "--seeds": "seeds",
    "--devices": "devices",
    "--min-free-memory": "min-free-memory",
    "--on-busy": "on-busy",
    "--cpu-slots": "cpu-slots",
    "--executor": "executor",
    "--slurm": "slurm",
}
"""The option that an error names → the line at fault."""


@dataclass(frozen=True, slots=True)
class Devices:
    """What may be typed for devices: the words, and what each means."""

    words: Sequence[tuple[str, str]] = ()
    partitions: Sequence[str] = ()
    """Names of Slurm's partitions; none where this machine belongs to no cluster."""

    @classmethod
    def here(cls) -> Devices:
        """Look at this machine. Takes a while where drivers are slow: called in a thread."""
        from detui.engine.devices.nvml import visible_gpus
        from detui.engine.executor.slurm.cluster import view

        gpus = visible_gpus(os.environ)
        several = [(str(len(gpus)), tr("all GPUs for each run"))] if len(gpus) > 1 else []
        named = [(f"{gpu.index},", gpu.name or "GPU") for gpu in gpus]
        cluster = view()
        partitions = [one.name for one in cluster.partitions] if cluster is not None else []
        return cls([("auto", ""), ("cpu", ""), *several, *named], partitions)

    def completed(self, text: str) -> str | None:
        """Return the word that a text begins."""
        return next((word for word, _ in self.words if text and word.startswith(text) and word != text), None)

    @property
    def text(self) -> str:
        """All of them in a line."""
        return "   ".join(f"{word} {meaning}".strip() for word, meaning in self.words)


class LaunchFields(Vertical):
    """All lines but the one that starts."""

    DEFAULT_CSS = "LaunchFields, LaunchFields #overrides { height: auto; }"

    def __init__(self, choices: Choices, plan: Plan) -> None:
        super().__init__()
        self._first = choices
        self._plan = plan
        self._base = plan
        self._arms = [arm.name for arm in plan.recipe.arms]
        self._arms_chosen = choices.arms is not None
        self.devices = Devices()
        """What can be offered for the devices."""

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        first, recipe = self._first, self._plan.recipe
        names = [FULL, *(name for name in recipe.file.profiles if name != FULL)]
        yield Row(tr("Profile"), Choice(names, first.profile, id="profile"))
        taken = self._default_arms(self._plan, first.profile) if first.arms is None else first.arms
        for index, arm in enumerate(recipe.arms):
            text = f"{arm.name}  {arm.title.in_language(language.current())}"
            yield Row(tr("Arms") if index == 0 else "", Tick(text, arm.name in taken, id=f"arm-{index}"))
        yield Row(tr("Data"), self._line("data", first.data))
        yield Row(tr("Seeds"), self._line("seeds", first.seeds))
        yield Row(tr("Executor"), Choice(EXECUTORS, first.executor, id="executor"))
        yield Row("Slurm", self._line("slurm", first.slurm, "partition=gpu time=08:00:00"))
        yield Row(tr("Devices"), Line(first.devices, placeholder="auto", compact=True, id="devices",
                                      suggester=Completing(lambda text: self.devices.completed(text))))  # fmt: skip
        yield Row(tr("Free memory"), self._line("min-free-memory", first.min_free_memory, "20G"))
        yield Row(tr("When busy"), Choice(("wait", "fail"), first.on_busy, id="on-busy"))
        yield Row(tr("CPU slots"), self._line("cpu-slots", first.cpu_slots))
        with Vertical(id="overrides"):
            for index, text in enumerate([*first.overrides, ""]):
                yield self._override(text, index == 0)
        yield Row(tr("Name"), self._line("name", first.name))
        yield Row(tr("Tags"), self._line("tags", first.tags, tr("with commas between")))
        yield Row(tr("Note"), self._line("note", first.note, tr("goes into the record")))
        yield Row(tr("Evaluate"), Tick(tr("after training"), first.evaluate, id="evaluate"))

    @staticmethod
    def _line(id: str, text: str, placeholder: str = "") -> Line:
        return Line(text, placeholder=placeholder, compact=True, id=id)

    def _override(self, text: str, first: bool) -> Row:
        line = Line(
            text,
            placeholder="train.lr0=0.0005",
            compact=True,
            classes="override",
            suggester=Completing(lambda text: overrides.completed(self._base, text)),
        )
        return Row(tr("Other values") if first else "", line)

    def on_mount(self) -> None:
        """Show the lines that apply."""
        self.show(self._plan)

    @staticmethod
    def _default_arms(plan: Plan, profile: str) -> Sequence[str]:
        return list(plan.recipe.profile(profile).arms or [arm.name for arm in plan.recipe.arms])

    def touched(self, field: Widget) -> None:
        """Take note of what a person changed: arms that were chosen stay when the profile changes."""
        if (field.id or "").startswith("arm-"):
            self._arms_chosen = True
        if field.id == "executor":
            self._show_executor(gpus=self._plan.placement.kind != "cpu")

    def offer(self, devices: Devices) -> None:
        """Take note of what there is to train on; without a cluster, nothing is said of one."""
        self.devices = devices
        self._show_executor(gpus=self._plan.placement.kind != "cpu")

    @property
    def _in_slurm(self) -> bool:
        return self.query_one("#executor", Choice).value == SLURM

    def _show_executor(self, *, gpus: bool) -> None:
        """Show the lines that apply to where the runs go: the queue of this machine is not that of Slurm."""
        slurm = self._in_slurm
        self._row("executor").display = slurm or bool(self.devices.partitions)
        self._row("slurm").display = slurm
        self._row("on-busy").display = not slurm
        self._row("min-free-memory").display = gpus and not slurm
        self._row("cpu-slots").display = not gpus and not slurm

    def choices(self) -> Choices:
        """Return what stands in the lines; those that do not apply count as empty. Adds a line for another value."""
        self._another_override()
        profile = self.query_one("#profile", Choice).value
        arms = None
        if self._arms_chosen:
            ticked = tuple(name for name, tick in self._ticks() if tick.value)
            default = self._default_arms(self._plan, profile)
            arms = None if set(ticked) == set(default) else ticked
        return Choices(
            self._first.ref,
            profile,
            arms,
            data=self._text("data"),
            seeds=self._text("seeds"),
            devices=self._text("devices"),
            min_free_memory=self._text("min-free-memory"),
            on_busy="wait" if self._in_slurm else self.query_one("#on-busy", Choice).value,
            cpu_slots=self._text("cpu-slots"),
            executor=self.query_one("#executor", Choice).value,
            slurm=self._text("slurm"),
            overrides=tuple(line.value.strip() for line in self.query(".override").results(Line) if line.value.strip()),
            name=self._text("name"),
            tags=self._text("tags"),
            note=self._text("note"),
            evaluate=self.query_one("#evaluate", Tick).value,
        )

    def _ticks(self) -> Iterator[tuple[str, Tick]]:
        for index, name in enumerate(self._arms):
            yield name, self.query_one(f"#arm-{index}", Tick)

    def _text(self, id: str) -> str:
        row = self._row(id)
        return self.query_one(f"#{id}", Line).value.strip() if row.display else ""

    def _row(self, id: str) -> Row:
        return next(row for row in self.query(Row) if row.field.id == id)

    def _another_override(self) -> None:
        """Keep one empty line for a further value."""
        lines = list(self.query(".override").results(Line))
        if all(line.value for line in lines):
            self.query_one("#overrides").mount(self._override("", False))

    def complete_with(self, base: Plan) -> None:
        """Complete other values with what a plan without them says."""
        self._base = base

    def show(self, plan: Plan) -> None:
        """Show the lines that apply to a plan's devices, and what stands for an empty line."""
        self._plan = plan
        self._show_executor(gpus=plan.placement.kind != "cpu")
        self._row("data").display = bool(plan.data)
        self.query_one("#data", Line).placeholder = ",".join(
            state.role or state.name for state in plan.data if state.role in plan.resolved.roles
        )
        self.query_one("#seeds", Line).placeholder = ",".join(map(str, plan.seeds))
        self.query_one("#devices", Line).placeholder = (
            str(plan.resolved.devices) if plan.resolved.devices > 1 else "auto"
        )
        self.query_one("#cpu-slots", Line).placeholder = str(len(plan.placement.candidates))
        if not self._arms_chosen:
            taken = {arm.of for arm in plan.arms}
            for name, tick in self._ticks():
                tick.put(name in taken)

    def hint(self, error: DetuiError | None) -> None:
        """Say below each line what is wrong with it, or what may stand there while the cursor is on it."""
        for row in self.query(Row):
            help = self._about(row.field) if row.field.has_focus else ""
            # A key that is being typed is not wrong yet, as long as one begins so.
            typing = help and not self._complete(row.field)
            if error is not None and not typing and self._at_fault(row.field, error):
                hint = "\n" + tr("try: {hint}", hint=error.hint) if error.hint else ""
                row.say(f"! {error.message}{hint}", wrong=True)
            else:
                row.say(help)

    @staticmethod
    def _complete(field: Widget) -> bool:
        return not (isinstance(field, Line) and field.has_class("override") and "=" not in field.value)

    def _at_fault(self, field: Widget, error: DetuiError) -> bool:
        where = error.where or ""
        if field.has_class("override") and isinstance(field, Line):
            return bool(field.value.strip()) and where == f"--set {field.value.strip()}"
        option = "--slurm" if where.startswith("--slurm ") else where
        return field.id is not None and _OPTIONS.get(option) == field.id

    def _about(self, field: Widget) -> str:
        if field.has_class("override") and isinstance(field, Line):
            return overrides.about(self._base, field.value.strip())
        partitions = ", ".join(self.devices.partitions)
        helps = {
            "devices": self.devices.text,
            "data": data_choices(self._plan),
            "slurm": tr("partitions: {names}", names=partitions) if partitions else "",
        }
        return helps.get(field.id or "", "")
