"""Anything by its name: what the keys do, the runs, the experiments, the recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key as Pressed
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from detui.engine.run.directory import RunDir
from detui.tui.keys import EVERYWHERE, display_of
from detui.tui.language import tr
from detui.tui.output import pad
from detui.tui.screens.base import DetuiScreen
from detui.tui.widgets.line_input import LineInput
from detui.tui.widgets.line_list import Line, LineList
from detui.tui.widgets.palette import DIM

if TYPE_CHECKING:
    from detui.tui.app import DetuiApp

_MOST = 200
_NAME = Style(bold=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be done."""

    name: str
    """What is searched, and shown first."""
    note: str
    """Its key, or what it is."""
    do: Callable[[], object]


class PaletteScreen(ModalScreen[None]):
    """A line to type in, and what fits below it."""

    CSS_PATH = "palette.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []

    def compose(self) -> ComposeResult:
        """Lay out the line and the list."""
        with Vertical():
            yield LineInput(placeholder=tr("a command, a run, a recipe"), compact=True)
            yield LineList()

    def on_mount(self) -> None:
        """Gather what there is."""
        app = cast("DetuiApp", self.app)
        self._entries = [*_commands(app, app.screen_stack[-2]), *_recipes(app), *_runs(app)]
        self.set_focus(self.query_one(Input))  # at once: what was typed after the key that opened this is meant for it
        self._show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what fits."""
        self._show(event.value)
        self.query_one(LineList).to_end(last=False)  # what fits best, and not where the cursor happened to be

    def on_line_list_resized(self) -> None:
        """Show what fits in the new width."""
        self._show(self.query_one(Input).value)

    def _show(self, text: str) -> None:
        found = [(text.lower() not in one.name.lower(), i) for i, one in enumerate(self._entries) if fits(one, text)]
        lines = [_line(self._entries[i], i) for _, i in sorted(found)]  # what has it in its name comes first
        nothing = Line((Segment(tr("Nothing has that name."), DIM),))
        self.query_one(LineList).set_lines(lines[:_MOST] or [nothing])

    def on_key(self, event: Pressed) -> None:
        """Move in the list while the person types above it; enter does it, escape leaves."""
        shown = self.query_one(LineList)
        moves = {"down": 1, "ctrl+n": 1, "tab": 1, "up": -1, "ctrl+p": -1, "shift+tab": -1}
        if event.key in moves:
            shown.move(moves[event.key])
        elif event.key in ("pagedown", "pageup"):
            shown.page(1 if event.key == "pagedown" else -1)
        elif event.key == "escape":
            self.dismiss()
        elif event.key == "enter":
            self._do()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_line_list_chosen(self) -> None:
        """Do what was clicked."""
        self._do()

    def _do(self) -> None:
        line = self.query_one(LineList).selected
        self.dismiss()
        if line is not None:
            # After this screen has gone: what is done may open another, or ask something of the one below.
            self.app.call_later(self._entries[int(line.key)].do)


def _line(entry: Entry, index: int) -> Line:
    return Line((Segment(pad(entry.name, 36), _NAME), Segment(f" {entry.note}", DIM)), key=str(index))


def fits(entry: Entry, text: str) -> bool:
    """Tell whether every word that was typed is in the entry, in any case of letters."""
    whole = f"{entry.name} {entry.note}".lower()
    return all(word in whole for word in text.lower().split())


def _commands(app: DetuiApp, below: Screen[object]) -> Sequence[Entry]:
    """Return what the keys of the screen below do, then those of everywhere."""
    groups = below.KEYS if isinstance(below, DetuiScreen) else ()
    found = []
    for keys, target in (*((group, below) for group in groups), (EVERYWHERE, app)):
        for key in keys:
            shown = display_of(app.settings.keys.get(key.id, key.keys))
            if key.id != "app.palette" and not key.id.startswith("move."):
                found.append(Entry(tr(key.label), f"{shown}  {tr(key.tooltip)}", _action(app, key.action, target)))
    return found


def _action(app: DetuiApp, action: str, target: object) -> Callable[[], object]:
    return lambda: app.run_action(action, target)  # type: ignore[arg-type]  # a screen, or the application


def _recipes(app: DetuiApp) -> Sequence[Entry]:
    from detui.engine.recipe.library import recipe_files

    return [Entry(ref, tr("recipe"), partial(app.open_recipe, ref)) for ref, _ in recipe_files()]


def _runs(app: DetuiApp) -> Sequence[Entry]:
    runs = app.home.all_runs()
    experiments = {run.experiment: run.path.parent.parent for run in runs}
    records = [Entry(name, tr("record"), partial(app.open_record, path)) for name, path in experiments.items()]
    shown = [Entry(run.ref, tr(run.word), partial(app.open_run, RunDir(run.path))) for run in runs]
    return [*records, *shown]
