"""The form from which a recipe is started: what is chosen, the command that it stands for, and what that would run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from detui.engine.errors import DetuiError
from detui.engine.planning import Plan
from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui.keys import LAUNCH, MOVE, bindings
from detui.tui.language import tr
from detui.tui.launch import Choices
from detui.tui.launch_text import question, report, start_note, state
from detui.tui.messages import Preparing, Started
from detui.tui.missing import absent_environments
from detui.tui.reader import in_thread
from detui.tui.recipe_page import counted
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.screens.form import Form, FormScreen
from detui.tui.widgets.fields import Choice, Chosen, Press
from detui.tui.widgets.hanging import Hanging
from detui.tui.widgets.launch_fields import Devices, LaunchFields
from detui.tui.widgets.title_bar import TitleBar
from detui.tui.widgets.tones import tone

if TYPE_CHECKING:
    from detui.engine.environment.standing import Standing

_PAUSE = 0.15
"""Seconds without typing after which it is planned."""


class Planned(Message):
    """What was chosen has been planned, or could not be."""

    def __init__(self, number: int, plan: Plan | None, base: Plan | None, error: DetuiError | None) -> None:
        super().__init__()
        self.number = number
        """Which change it answers."""
        self.plan = plan
        self.base = base
        """The same without other values."""
        self.error = error


class DevicesFound(Message):
    """What there is to train on was looked for."""

    def __init__(self, devices: Devices) -> None:
        super().__init__()
        self.devices = devices


class LaunchScreen(FormScreen):
    """Profile, arms, seeds, devices, values; planned anew at each change, in a thread."""

    CSS_PATH = "launch.tcss"
    PLACE = "Recipes"
    KEYS = (LAUNCH, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(
        self, workspace: Workspace, choices: Choices, plan: Plan, keep: Callable[[Choices], None], *, at_start: bool
    ) -> None:
        """`plan`: of the recipe with any choices. `keep`: told of every change, so that leaving loses nothing.

        `at_start`: whether the cursor is on the line that starts, rather than on the first.
        """
        super().__init__()
        self._workspace = workspace
        self._choices = choices
        self._known = plan
        """What the fields begin with."""
        self._plan: Plan | None = plan if choices == Choices(choices.ref, profile=plan.profile) else None
        """The plan of what is chosen, once it is made."""
        self._error: DetuiError | None = None
        self._keep = keep
        self._at_start = at_start
        self._wanted = 0
        """How often something was changed."""
        self._shown = 0
        """Up to which change the form shows what it comes to."""
        self._planning = False
        self._pause: Timer | None = None
        self._start_when_planned = False
        self._starting = False

    def compose(self) -> ComposeResult:
        """Lay out title, fields, command, start and keys."""
        yield TitleBar("Recipes", self._choices.ref)
        with Form(id="form"):
            yield LaunchFields(self._choices, self._known)
            yield Static("", id="report", markup=False)
        with Vertical(id="panel"):
            yield Press(tr("Start"), id="start")
            yield Static("", id="command", markup=False)
            yield Static("", id="state", markup=False)
        yield self.key_bar()

    def on_mount(self) -> None:
        """Show the plan there is, or make one."""
        if self._at_start:
            self.query_one(Press).focus()
        else:
            self.query_one(Choice).focus()
        if self._plan is None:
            self._plan_soon()
        else:
            self._show()
        in_thread(lambda: DevicesFound(Devices.here()), self)

    @property
    def plan(self) -> Plan | None:
        """The plan of what stands in the form; None while it is being made, or where it cannot be."""
        return self._plan if self._shown == self._wanted else None

    @property
    def _fields(self) -> LaunchFields:
        return self.query_one(LaunchFields)

    def on_devices_found(self, message: DevicesFound) -> None:
        """Offer them."""
        self._fields.offer(message.devices)
        self._fields.hint(self._error)

    def on_descendant_focus(self) -> None:
        """Say what belongs to the line under the cursor."""
        self._fields.hint(self._error)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Plan again."""
        self._changed()

    def on_chosen(self, message: Chosen) -> None:
        """Plan again."""
        self._fields.touched(message.field)
        self._changed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the next line."""
        self.action_next_field()

    def on_line_left(self) -> None:
        """Go to the start: there the keys of every screen work."""
        self.query_one(Press).focus()

    async def on_press_pressed(self) -> None:
        """Start."""
        await self.run_action("start")

    def _changed(self) -> None:
        found = self._fields.choices()
        self._fields.hint(self._error)
        if found != self._choices:
            self._choices = found
            self._keep(found)
            self._plan_soon()

    def _plan_soon(self) -> None:
        """Plan once the typing pauses; while a plan is being made, after that."""
        self._wanted += 1
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._plan_now)

    def _plan_now(self) -> None:
        if self._planning:
            return
        self._planning = True
        number, choices = self._wanted, self._choices

        def work() -> None:
            plan = base = error = None
            try:
                base = replace(choices, overrides=()).plan(self._workspace)
                plan = choices.plan(self._workspace) if choices.overrides else base
            except DetuiError as found:
                error = found
            finally:  # whatever happens, the next change must be planned
                self.post_message(Planned(number, plan, base, error))

        in_thread(work, self)

    def on_planned(self, message: Planned) -> None:
        """Show it, unless something was changed meanwhile."""
        self._planning = False
        if message.number != self._wanted:
            self._plan_now()
            return
        self._shown = message.number
        self._plan, self._error = message.plan, message.error
        if message.base is not None:
            self._fields.complete_with(message.base)
        if message.plan is not None:
            self._fields.show(message.plan)
            self._changed()  # a line that does not apply to these devices counts as empty now
        self._show()
        if self._start_when_planned:
            self._start_when_planned = False
            self._ask()

    def _show(self) -> None:
        plan = self._plan
        self._fields.hint(self._error)
        command = f"$ {self._choices.command(plan)}" if plan is not None else "$ …"
        self._put("command", command, "bold")
        self._put("state", *self._state())
        self.query_one("#report", Static).update(report(plan) if plan is not None else "")
        start = tr("Start {runs}", runs=counted(len(plan.runs), "run")) if plan is not None else tr("Start")
        self.query_one(Press).put(start, start_note(plan) if plan is not None else "")

    def _state(self) -> tuple[str, Style]:
        return state(self._plan, self._error, self._absent())

    def _absent(self) -> Standing | None:
        if self._plan is None:
            return None
        return next(iter(absent_environments(self._plan, self._workspace.configuration)), None)

    def _put(self, id: str, text: str, style: str | Style) -> None:
        self.query_one(f"#{id}", Static).update(Hanging(Text(text, style), 0, 2) if text else "")

    def action_copy(self) -> None:
        """Copy the command."""
        if self.plan is not None:
            self.detui.copy(self._choices.command(self.plan))

    def action_start(self) -> None:
        """Start what is chosen, after a question; what was typed a moment ago is planned first."""
        if self._starting:
            return
        if self._shown == self._wanted and self._plan is not None and any(one.missing for one in self._plan.errors):
            self._plan_soon()  # what was missing may be there by now
        if self._shown != self._wanted:
            self._start_when_planned = True
            return
        self._ask()

    def _ask(self) -> None:
        """Ask whether to start what was planned just now, or say why it cannot be."""
        plan, choices = self._plan, self._choices
        if plan is None or plan.errors:
            self.detui.tell(self._state()[0], failed=True)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._start(plan, choices)

        self.app.push_screen(ConfirmScreen(question(plan, choices.command(plan))), answered)

    def _start(self, plan: Plan, choices: Choices) -> None:
        """Start in a thread: data may have to be prepared first."""
        self._starting = True
        self._form.disabled = True
        app = self.detui

        def progress(what: str, done: int, total: int) -> None:
            self.post_message(Preparing(f"{what} {done}/{total}" if total else what))

        def work() -> None:
            try:
                experiment = self._workspace.start(plan, **choices.about(), progress=progress)
                answer = Started(experiment.path, None)
            except DetuiError as error:
                answer = Started(None, str(error))
            if not self.post_message(answer):  # the form was left meanwhile
                app.call_from_thread(app.tell, _outcome(answer), failed=answer.experiment is None)

        self._put("state", tr("Starting…"), tone("busy"))
        in_thread(work, self)

    def on_preparing(self, message: Preparing) -> None:
        """Say what is being prepared."""
        self._put("state", message.text, tone("busy"))

    def on_started(self, message: Started) -> None:
        """Show the first run live, or what is wrong."""
        self._starting = False
        self._form.disabled = False
        self.detui.tell(_outcome(message), failed=message.experiment is None, seconds=20 if message.problem else None)
        if message.experiment is None or self._plan is None:
            self._show()
        elif self.app.screen is self:
            self.detui.go_home()
            self.detui.open_run(RunDir(message.experiment / "runs" / self._plan.runs[0]))


def _outcome(message: Started) -> str:
    if message.experiment is None:
        return message.problem or ""
    return tr("Started {experiment}.", experiment=message.experiment.name)
