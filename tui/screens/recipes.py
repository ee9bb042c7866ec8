"""The recipes by family: what can be started, and what is missing to start it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from detui.engine.errors import DetuiError
from detui.engine.recipe.library import recipe_files
from detui.engine.workspace import Workspace
from detui.tui import language
from detui.tui.keys import MOVE, RECIPES, bindings
from detui.tui.language import tr
from detui.tui.missing import first_profile, missing
from detui.tui.reader import in_thread
from detui.tui.screens.base import DetuiScreen
from detui.tui.widgets.ask_line import AskLine
from detui.tui.widgets.hanging import Hanging
from detui.tui.widgets.title_bar import TitleBar
from detui.tui.widgets.tones import tone


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipe of the list, in the language in use."""

    ref: str
    family: str
    title: str
    question: str
    problem: str | None
    """Why it cannot be read or planned, if it cannot."""
    missing: Sequence[str] | None = None
    """What must be there before it can run; None before that was looked for."""

    def fits(self, words: Sequence[str]) -> bool:
        """Return whether all words, in small letters, stand in its name, title or question."""
        text = f"{self.ref} {self.title} {self.question}".lower()
        return all(word in text for word in words)


class EntriesRead(Message):
    """All recipes were read."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self.entries = entries


class EntryPlanned(Message):
    """It was found out what one recipe needs."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


class RecipesScreen(DetuiScreen):
    """Families and their recipes, each with its question and what is missing."""

    CSS_PATH = "recipes.tcss"
    PLACE = "Recipes"
    KEYS = (RECIPES, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._entries: dict[str, Entry] = {}
        self._words: Sequence[str] = ()

    def compose(self) -> ComposeResult:
        """Lay out title, list, filter and keys."""
        yield TitleBar("Recipes")
        yield Static(tr("Reading the recipes…"), classes="empty", id="nothing", markup=False)
        yield OptionList(markup=False)
        yield AskLine(tr("Filter"))
        yield self.key_bar()

    def on_mount(self) -> None:
        """Read the recipes once."""
        self._list.focus()
        in_thread(self._read, self)

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    def _read(self) -> None:
        """Read all recipes, then plan one after the other; called in a thread."""
        entries = list(read_entries())
        self.post_message(EntriesRead(entries))
        for entry in entries:
            if entry.problem is None and not self.post_message(EntryPlanned(_planned(self._workspace, entry))):
                return  # the screen was left

    def on_entries_read(self, message: EntriesRead) -> None:
        """Show them."""
        self._entries = {entry.ref: entry for entry in message.entries}
        self._show()
        self._list.action_first()

    def on_entry_planned(self, message: EntryPlanned) -> None:
        """Say what is missing, where the recipe stands."""
        entry = message.entry
        self._entries[entry.ref] = entry
        if entry.fits(self._words):
            self._list.replace_option_prompt(entry.ref, _prompt(entry))
            self._list.scroll_to_highlight()  # what grew above the cursor must not push it out of view

    def _show(self) -> None:
        """List what fits the filter; the cursor stays on its recipe where that is still there."""
        options, chosen = self._list, self._chosen()
        fitting = [entry for entry in self._entries.values() if entry.fits(self._words)]
        options.clear_options()
        options.add_options(_options(fitting))
        nothing = self.query_one("#nothing", Static)
        nothing.update(tr("No recipe fits. esc takes the filter away."))
        nothing.display, options.display = not fitting, bool(fitting)
        if any(entry.ref == chosen for entry in fitting):
            options.highlighted = options.get_option_index(str(chosen))
        else:
            options.action_first()

    def _chosen(self) -> str | None:
        option = self._list.highlighted_option
        return option.id if option is not None else None

    def action_filter(self) -> None:
        """Type a filter; what fits is shown at once."""
        self.query_one(AskLine).ask()

    def on_ask_line_changed(self, message: AskLine.Changed) -> None:
        """List what fits by now."""
        self._words = message.text.lower().split()
        self._show()

    def on_ask_line_done(self) -> None:
        """Go back to the list; the filter stays."""
        self._list.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the page of a recipe."""
        if event.option.id is not None:
            self._open(event.option.id)

    def action_open(self) -> None:
        """Open the page of the recipe under the cursor."""
        self._list.action_select()

    def _open(self, ref: str) -> None:
        problem = self._entries[ref].problem
        if problem is None:
            self.detui.open_recipe(ref)
        else:
            self.detui.tell(problem, failed=True)

    def action_down(self) -> None:
        """One recipe down."""
        self._list.action_cursor_down()

    def action_up(self) -> None:
        """One recipe up."""
        self._list.action_cursor_up()

    def action_top(self) -> None:
        """To the first recipe."""
        self._list.action_first()

    def action_bottom(self) -> None:
        """To the last recipe."""
        self._list.action_last()

    def action_page_down(self) -> None:
        """A page down."""
        self.call_later(self._list.run_action, "page_down")

    def action_page_up(self) -> None:
        """A page up."""
        self.call_later(self._list.run_action, "page_up")


def read_entries() -> Iterator[Entry]:
    """Yield every recipe that ships with detui; a broken one with its problem."""
    from detui.engine.recipe.load import read_recipe

    spoken = language.current()
    for ref, path in recipe_files():
        try:
            recipe = read_recipe(ref, path)
        except DetuiError as error:
            yield Entry(ref, ref.split("/")[0], "", "", str(error))
            continue
        title, question = recipe.title.in_language(spoken), recipe.question.in_language(spoken)
        yield Entry(ref, recipe.family, title, question, None)


def _planned(workspace: Workspace, entry: Entry) -> Entry:
    """Return the entry with what is missing to run it with the profile that its page shows first."""
    about = (entry.ref, entry.family, entry.title, entry.question)
    try:
        plan = workspace.plan(entry.ref, profile=first_profile(workspace, entry.ref))
    except DetuiError as error:
        return Entry(*about, str(error))
    return Entry(*about, None, missing(plan, workspace.configuration))


def _options(entries: Iterable[Entry]) -> Iterator[Option]:
    family = None
    for entry in sorted(entries, key=lambda entry: entry.family):
        if entry.family != family:
            family = entry.family
            yield Option(Text(family, "bold"), disabled=True)
        yield Option(_prompt(entry), id=entry.ref)


def _prompt(entry: Entry) -> Group:
    lines = [Hanging(Text.assemble((entry.ref, "bold"), f"  {entry.title}"), 2, 4)]
    if entry.problem is not None:
        lines.append(Hanging(Text(f"! {entry.problem.splitlines()[0]}", tone("wrong")), 4, 6))
    else:
        lines.append(Hanging(Text(entry.question, "dim"), 4, 4))
    if entry.missing:
        lines.append(Hanging(Text(tr("missing: {things}", things=", ".join(entry.missing)), tone("warning")), 4, 6))
    return Group(*lines)
