"""One recipe: its page, and the command that starts it. Starting begins in the form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from detui.engine.errors import DetuiError
from detui.engine.planning import Plan
from detui.engine.recipe.library import find_recipe
from detui.engine.recipe.load import FULL
from detui.engine.workspace import Workspace
from detui.tui import language
from detui.tui.editor import edit
from detui.tui.keys import MOVE, RECIPE, all_keys, bindings, display_of
from detui.tui.language import tr
from detui.tui.messages import ModelsBuilding, ModelsBuilt, PlanRead
from detui.tui.missing import first_profile, missing
from detui.tui.reader import in_thread
from detui.tui.recipe_page import page
from detui.tui.screens.base import DetuiScreen
from detui.tui.screens.moving import PageMoves
from detui.tui.widgets.hanging import Hanging
from detui.tui.widgets.title_bar import TitleBar
from detui.tui.widgets.tones import tone

if TYPE_CHECKING:
    from detui.tui.launch import Choices


class RecipeScreen(PageMoves, DetuiScreen):
    """A recipe's page with one profile at a time."""

    CSS_PATH = "recipe.tcss"
    PLACE = "Recipes"
    KEYS = (RECIPE, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace, ref: str) -> None:
        super().__init__()
        self._workspace = workspace
        self._ref = ref
        self._profile: str | None = None
        self._profiles: list[str] = []
        """Known once it could be planned; one that cannot be does not end the way to the others."""
        self._plan: Plan | None = None
        self._draft: Choices | None = None
        """What was chosen in the form when it was left."""
        self._building = False
        """Whether models are being built for this page."""

    def page(self) -> VerticalScroll:
        """Return the page."""
        return self.query_one(VerticalScroll)

    def compose(self) -> ComposeResult:
        """Lay out title, page, command and keys."""
        yield TitleBar("Recipes", self._ref)
        with VerticalScroll():
            yield Static(tr("Reading the recipe…"), id="page", markup=False)
        yield Static("", id="command", markup=False)
        yield self.key_bar()

    def on_mount(self) -> None:
        """Plan with the first profile."""
        in_thread(lambda: self._read(None), self)

    def _read(self, profile: str | None) -> PlanRead:
        try:
            profile = profile or first_profile(self._workspace, self._ref)
            return PlanRead(profile, self._workspace.plan(self._ref, profile=profile), None)
        except DetuiError as error:
            return PlanRead(profile or FULL, None, str(error))

    def on_plan_read(self, message: PlanRead) -> None:
        """Show the page, or what is wrong."""
        self._profile, self._plan = message.profile, message.plan
        content, command = self.query_one("#page", Static), self.query_one("#command", Static)
        if message.plan is None:
            content.update(Text(message.problem or "", tone("wrong")))
            command.update("")
            return
        self._profiles = profiles(message.plan)
        content.update(Group(*self._lines(message.plan)))
        command.update(Text(f"$ {message.plan.command()}", "bold"))

    def _lines(self, plan: Plan) -> Iterator[RenderableType]:
        yield Hanging(Text(plan.recipe.title.in_language(language.current()), "bold"))
        names = " · ".join(f"[{name}]" if name == plan.profile else name for name in profiles(plan))
        yield Hanging(Text(tr("profile: {name}", name=names), "dim"))
        pressed = self.detui.settings.keys.get("recipe.models", all_keys()["recipe.models"].keys)
        key = None if self.detui.read_only else display_of(pressed.split(",")[0])
        for section in page(plan, missing(plan, self._workspace.configuration), key):
            yield Text("")
            what = "wrong" if section.urgent else "warning" if section.warns else "heading"
            yield Hanging(Text(section.title, tone(what, bold=True)))
            for line in section.lines:
                text = line.lstrip(" ")
                first = 2 + len(line) - len(text)
                yield Hanging(Text(text), first, first + 2)

    def action_profile(self) -> None:
        """Plan with the next profile."""
        names = self._profiles
        if self._profile in names:
            following = names[(names.index(self._profile) + 1) % len(names)]
            self._draft = None  # the form begins with what the page shows
            in_thread(lambda: self._read(following), self)

    def action_models(self) -> None:
        """Build the models in a process of low priority. Who leaves the page finds them when coming back."""
        if self._plan is None:
            return
        if self._building:
            self.detui.tell(tr("The models are being built."))
            return
        self._building = True
        plan = self._plan
        self.on_models_building(ModelsBuilding(0, 0))
        in_thread(lambda: self._build(plan), self)

    def _build(self, plan: Plan) -> ModelsBuilt:
        def progress(_what: str, done: int, count: int) -> None:
            self.post_message(ModelsBuilding(done, count))

        try:
            return ModelsBuilt(plan.profile, self._workspace.describe(plan, progress=progress), None)
        except (DetuiError, OSError) as error:
            return ModelsBuilt(plan.profile, None, str(error))

    def on_models_building(self, message: ModelsBuilding) -> None:
        """Say in the title how far it is."""
        note = tr("building the models…")
        if message.count:
            note = tr("building model {number} of {count}…", number=message.done + 1, count=message.count)
        self.query_one(TitleBar).set_note(note)

    def on_models_built(self, message: ModelsBuilt) -> None:
        """Show what they are made of, with the profile that is shown by now, or say what went wrong."""
        self._building = False
        self.query_one(TitleBar).set_note(self._ref)
        if message.plan is None:
            self.detui.tell(message.problem or "", failed=True)
        elif message.profile == self._profile:
            self.on_plan_read(PlanRead(message.profile, message.plan, None))
            self.detui.tell(tr("The models are built: see Models."))
        else:
            in_thread(lambda: self._read(self._profile), self)

    def action_copy(self) -> None:
        """Copy the command."""
        if self._plan is not None:
            self.detui.copy(self._plan.command())

    def action_edit(self) -> None:
        """Open the recipe's file, then read it again: also a broken one, which is what it is opened for."""
        try:
            path = find_recipe(self._ref)[1]
        except DetuiError as error:
            self.detui.tell(str(error), failed=True)
            return
        edit(self, path)
        in_thread(lambda: self._read(self._profile), self)

    def action_launch(self) -> None:
        """Choose what is run, from the first line on."""
        self._open_form(at_start=False)

    def action_launch_now(self) -> None:
        """Go to the last line of the form, from which it starts."""
        self._open_form(at_start=True)

    def _open_form(self, *, at_start: bool) -> None:
        if self._plan is None:
            return
        from detui.tui.launch import Choices
        from detui.tui.screens.launch import LaunchScreen

        choices = self._draft or Choices(self._ref, profile=self._plan.profile)
        self.app.push_screen(LaunchScreen(self._workspace, choices, self._plan, self._keep, at_start=at_start))

    def _keep(self, choices: Choices) -> None:
        self._draft = choices


def profiles(plan: Plan) -> list[str]:
    """Return the names of a recipe's profiles, in the order in which `p` goes through them."""
    return [FULL, *(name for name in plan.recipe.file.profiles if name != FULL)]
