"""One recipe: its page, the command that starts it, and the start."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from detui.engine.errors import DetuiError
from detui.engine.planning import Plan
from detui.engine.recipe.library import find_recipe
from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui.editor import edit
from detui.tui.keys import MOVE, RECIPE, bindings
from detui.tui.messages import PlanRead, Preparing, Started
from detui.tui.reader import in_thread
from detui.tui.recipe_page import Section, page, plural
from detui.tui.screens.base import PageScreen
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.widgets.title_bar import TitleBar


class RecipeScreen(PageScreen):
    """A recipe's page with one profile at a time."""

    CSS_PATH = "recipe.tcss"
    PLACE = "Recipes"
    KEYS = (RECIPE, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace, ref: str) -> None:
        super().__init__()
        self._workspace = workspace
        self._ref = ref
        self._plan: Plan | None = None
        self._starting = False

    def compose(self) -> ComposeResult:
        """Lay out title, page, command and keys."""
        yield TitleBar("Recipes", self._ref)
        with VerticalScroll():
            yield Static("Reading the recipe…", id="page", markup=False)
        yield Static("", id="command", markup=False)
        yield self.key_bar()

    def on_mount(self) -> None:
        """Plan with the first profile."""
        in_thread(lambda: self._read(None), self)

    def _read(self, profile: str | None) -> PlanRead:
        try:
            if profile is None:
                profile = _first_profile(self._workspace, self._ref)
            return PlanRead(profile, self._workspace.plan(self._ref, profile=profile), None)
        except DetuiError as error:
            return PlanRead(profile or "full", None, str(error))

    def on_plan_read(self, message: PlanRead) -> None:
        """Show the page, or what is wrong."""
        self._plan = message.plan
        content = self.query_one("#page", Static)
        if message.plan is None:
            content.update(Text(message.problem or "", "bright_red"))
            self._say("")
            return
        content.update(_page(message.plan))
        self._say(message.plan.command())

    def _say(self, text: str) -> None:
        self.query_one("#command", Static).update(Text(f"$ {text}" if text else "", "bold"))

    def action_profile(self) -> None:
        """Plan with the next profile."""
        if self._plan is None or self._starting:
            return
        names = profiles(self._plan)
        following = names[(names.index(self._plan.profile) + 1) % len(names)]
        in_thread(lambda: self._read(following), self)

    def action_copy(self) -> None:
        """Copy the command."""
        if self._plan is not None:
            self.detui.copy(self._plan.command())

    def action_edit(self) -> None:
        """Open the recipe's file, then read it again."""
        if self._plan is None:
            return
        profile = self._plan.profile
        edit(self, find_recipe(self._ref)[1])
        in_thread(lambda: self._read(profile), self)

    def action_start(self) -> None:
        """Start all runs, after a question."""
        plan = self._plan
        if plan is None or self._starting:
            return
        if plan.errors:
            problem = plan.errors[0]
            hint = f"\ntry: {problem.hint}" if problem.hint else ""
            self.notify(problem.text + hint, severity="error", markup=False)
            return
        text = f"Start {plural(len(plan.runs), 'run')} on {plan.placement.text}?\n\n  {plan.command()}"

        def answered(yes: bool | None) -> None:
            if yes:
                self._starting = True
                in_thread(lambda: self._start(plan), self)

        self.app.push_screen(ConfirmScreen(text), answered)

    def _start(self, plan: Plan) -> Message:
        """Start in a thread: data may have to be prepared first."""

        def progress(what: str, done: int, total: int) -> None:
            self.post_message(Preparing(f"{what} {done}/{total}" if total else what))

        try:
            experiment = self._workspace.start(plan, progress=progress)
        except DetuiError as error:
            return Started(None, str(error))
        return Started(experiment.path, None)

    def on_preparing(self, message: Preparing) -> None:
        """Say what is being prepared."""
        self.query_one("#command", Static).update(Text(message.text, "cyan"))

    def on_started(self, message: Started) -> None:
        """Show the first run live, or what is wrong."""
        self._starting = False
        if message.experiment is None:
            self.notify(message.problem or "", severity="error", timeout=20, markup=False)
            self._say(self._plan.command() if self._plan else "")
            return
        self.notify(f"Started {message.experiment.name}.", markup=False)
        first = self._plan.runs[0] if self._plan else ""
        if self.app.screen is self:
            self.detui.go_home()
            self.detui.open_run(RunDir(message.experiment / "runs" / first))


def profiles(plan: Plan) -> list[str]:
    """Return the names of a recipe's profiles, in the order in which `p` goes through them."""
    return ["full", *(name for name in plan.recipe.file.profiles if name != "full")]


def _first_profile(workspace: Workspace, ref: str) -> str:
    """Return the profile to show first: `quick` where there is no GPU, since the full one takes days there."""
    from detui.engine.placement import place

    quick = "quick" in workspace.recipe(ref).file.profiles
    return "quick" if quick and place().kind == "cpu" else "full"


def _page(plan: Plan) -> Text:
    text = Text()
    text.append(f"{plan.recipe.title.en}\n", "bold")
    names = " · ".join(f"[{name}]" if name == plan.profile else name for name in profiles(plan))
    text.append(f"profile: {names}\n", "grey62")
    for section in page(plan):
        text.append(f"\n{section.title}\n", "bold cyan" if not _urgent(section) else "bold bright_red")
        for line in section.lines:
            text.append(f"  {line}\n")
    return text


def _urgent(section: Section) -> bool:
    return section.title.startswith("To be mended")
