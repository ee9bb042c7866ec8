"""The recipes by family: what can be started."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from detui.engine.workspace import RecipeSummary, Workspace
from detui.tui.keys import MOVE, RECIPES, bindings
from detui.tui.messages import RecipesRead
from detui.tui.reader import in_thread
from detui.tui.screens.base import DetuiScreen
from detui.tui.widgets.title_bar import TitleBar


class RecipesScreen(DetuiScreen):
    """Families and their recipes, each with its question."""

    CSS_PATH = "recipes.tcss"
    PLACE = "Recipes"
    KEYS = (RECIPES, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._recipes: dict[str, RecipeSummary] = {}

    def compose(self) -> ComposeResult:
        """Lay out title, list and keys."""
        yield TitleBar("Recipes")
        yield Static("Reading the recipes…", classes="empty", id="nothing", markup=False)
        yield OptionList(markup=False)
        yield self.key_bar()

    def on_mount(self) -> None:
        """Read the recipes once."""
        self.query_one(OptionList).focus()
        in_thread(lambda: RecipesRead(self._workspace.recipes()), self)

    def on_recipes_read(self, message: RecipesRead) -> None:
        """Show them."""
        self._recipes = {recipe.ref: recipe for recipe in message.recipes}
        self.query_one("#nothing").display = False
        options = self.query_one(OptionList)
        options.add_options(_options(message.recipes))
        options.action_first()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the page of a recipe."""
        if event.option.id is not None:
            self._open(event.option.id)

    def action_open(self) -> None:
        """Open the page of the recipe under the cursor."""
        self.query_one(OptionList).action_select()

    def _open(self, ref: str) -> None:
        recipe = self._recipes[ref]
        if recipe.problem is None:
            self.detui.open_recipe(ref)
        else:
            self.notify(recipe.problem, severity="error", markup=False)

    def action_down(self) -> None:
        """One recipe down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """One recipe up."""
        self.query_one(OptionList).action_cursor_up()

    def action_top(self) -> None:
        """To the first recipe."""
        self.query_one(OptionList).action_first()

    def action_bottom(self) -> None:
        """To the last recipe."""
        self.query_one(OptionList).action_last()

    def action_page_down(self) -> None:
        """A page down."""
        self._page(1)

    def action_page_up(self) -> None:
        """A page up."""
        self._page(-1)

    def _page(self, direction: int) -> None:
        options = self.query_one(OptionList)
        for _ in range(max(1, options.size.height // 3)):
            options.action_cursor_down() if direction > 0 else options.action_cursor_up()


def _options(recipes: Sequence[RecipeSummary]) -> list[Option]:
    options: list[Option] = []
    family = None
    for recipe in recipes:
        if recipe.family != family:
            family = recipe.family
            options.append(Option(Text(family, "bold"), disabled=True))
        options.append(Option(_text(recipe), id=recipe.ref))
    return options


def _text(recipe: RecipeSummary) -> Text:
    text = Text(overflow="fold")
    text.append(f"  {recipe.ref}", "bold cyan")
    text.append(f"  {recipe.title}\n")
    if recipe.problem is not None:
        text.append(f"    ! {recipe.problem.splitlines()[0]}", "bright_magenta")
    else:
        text.append(f"    {recipe.question}", "grey62")
    return text
