"""The terminal application. It reads run directories and writes requests; closing it never touches a run."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.driver import Driver
from textual.events import Key
from textual.screen import Screen

from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui import crash, language, notices, settings
from detui.tui.keys import EVERYWHERE, bindings
from detui.tui.language import tr
from detui.tui.screens.runs import RunsScreen
from detui.tui.settings import Settings
from detui.tui.signals import end_without_terminal, listen
from detui.tui.themes import THEMES
from detui.tui.watching import News
from detui.tui.widgets import palette
from detui.tui.widgets.line_input import take_late
from detui.tui.widgets.title_bar import PLACES

_LOOK = 2.0
"""Seconds between two looks at whether the terminal is still there."""


class DetuiApp(App[int]):
    """Runs at the bottom, everything else above it."""

    TITLE = "detui"
    # Textual does not load the style sheet of the screen that is there from the start.
    CSS_PATH = ["app.tcss", "screens/runs.tcss"]
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings(EVERYWHERE)

    def __init__(
        self,
        workspace: Workspace,
        chosen: Settings | None = None,
        *,
        file: Path | None = None,
        debug: bool = False,
        read_only: bool = False,
    ) -> None:
        """`chosen`: the settings, `file`: where they are kept; without it changes last as long as the application."""
        self.settings = chosen or Settings()
        language.use(self.settings.spoken)
        super().__init__()
        self.workspace = workspace
        self.read_only = read_only
        self.settings_file = file
        self.debug_wanted = debug
        self.failure: BaseException | None = None
        self.marked: dict[str, RunDir] = {}
        """The runs that are marked, by "EXPERIMENT/RUN", in the order in which they were."""
        for theme in THEMES:
            self.register_theme(theme)
        self._apply_settings()

    @property
    def ascii_only(self) -> bool:
        """Whether charts and bars are drawn without Unicode."""
        return self.settings.ascii

    def _apply_settings(self) -> None:
        language.use(self.settings.spoken)
        # A terminal of sixteen colours shows its own; what a theme mixes would be rounded to whichever is near.
        few = self.console.color_system == "standard"
        theme = "terminal" if few else self.settings.theme
        palette.use(theme)
        self.ansi_color = theme == "terminal"
        self.theme = f"detui-{theme}"
        self.set_keymap(dict(self.settings.keys))

    def change_settings(self, changed: Settings) -> None:
        """Use other settings from now on, and keep them. Says so where they cannot be kept."""
        self.settings = changed
        self._apply_settings()
        self.home.restyle()
        for widget in self.screen.walk_children():  # what they have drawn is in the language, or theme, before
            widget.refresh()
        if self.settings_file is not None:
            try:
                settings.save(self.settings_file, changed)
            except OSError as error:
                self.tell(f"{self.settings_file}: {error.strerror}", failed=True)

    def tell(self, text: str, *, failed: bool = False, seconds: float | None = None) -> None:
        """Show a person a short text for a while."""
        self.notify(text, severity="error" if failed else "information", timeout=seconds, markup=False)

    def on_mount(self) -> None:
        """Listen to the signals that concern the terminal."""
        if threading.current_thread() is threading.main_thread():
            listen(self.exit, self._continued)
            if not self.is_headless:
                self.set_interval(_LOOK, end_without_terminal)

    def on_key(self, event: Key) -> None:
        """Take what was typed in one go with the key that opened a line: it was sent before the line had the focus."""
        take_late(self.focused, event)

    def _continued(self) -> None:
        """The terminal may show something else by now."""
        self._forget_terminal()
        self.call_later(self.refresh, layout=True)

    def get_driver_class(self) -> type[Driver]:
        """Return the driver that sends only the cells that changed."""
        from detui.tui.terminal.driver import ChangesDriver

        return ChangesDriver

    def _forget_terminal(self) -> None:
        """Something may have been written over the screen: have all of it sent again."""
        forget = getattr(self._driver, "forget", None)  # the driver of tests without a terminal has none
        if forget is not None:
            forget()

    def get_default_screen(self) -> RunsScreen:
        """Return the list of runs: home."""
        return RunsScreen(self.workspace)

    @property
    def home(self) -> RunsScreen:
        """The list of runs."""
        screen = self.screen_stack[0]
        assert isinstance(screen, RunsScreen)
        return screen

    def go_home(self) -> None:
        """Close everything above the list of runs."""
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def go(self, place: str) -> None:
        """Show one of the five places: "Runs", "Recipes", "Compare", "Devices" or "Record"."""
        screen = self._screen_of(place)
        if screen is None:
            self.tell(tr("There is no experiment yet. Press 2 for the recipes."))
            return
        self.go_home()
        if screen is not self.home:
            self.push_screen(screen)

    def _screen_of(self, place: str) -> Screen[None] | None:
        """Return a new screen; None where there is nothing to show. Screens are loaded when they are first wanted."""
        if place == "Runs":
            return self.home
        if place == "Recipes":
            from detui.tui.screens.recipes import RecipesScreen

            return RecipesScreen(self.workspace)
        if place == "Devices":
            from detui.tui.screens.devices import DevicesScreen

            return DevicesScreen(self.workspace)
        experiment = self.home.selected_experiment()
        runs = list(self.marked.values()) or (self.home.runs_of_experiment(experiment) if experiment else [])
        if place == "Compare" and runs:
            from detui.tui.screens.compare import CompareScreen

            return CompareScreen(runs)
        if place == "Record" and experiment:
            from detui.tui.screens.record import RecordScreen

            return RecordScreen(experiment)
        return None

    def action_go_runs(self) -> None:
        """Show the list of runs."""
        self.go("Runs")

    def action_go_recipes(self) -> None:
        """Show the recipes."""
        self.go("Recipes")

    def action_go_compare(self) -> None:
        """Compare what is marked, or the runs of the selected experiment."""
        self.go("Compare")

    def action_go_devices(self) -> None:
        """Show the devices."""
        self.go("Devices")

    def action_go_record(self) -> None:
        """Show the record of the selected experiment, or of the latest."""
        self.go("Record")

    def action_next_place(self) -> None:
        """Show the place to the right in the title."""
        self._go_by(1)

    def action_previous_place(self) -> None:
        """Show the place to the left in the title."""
        self._go_by(-1)

    def _go_by(self, by: int) -> None:
        here = getattr(self.screen, "PLACE", "Runs")
        self.go(PLACES[(PLACES.index(here) + by) % len(PLACES)])

    def action_redraw(self) -> None:
        """Draw everything again."""
        self._forget_terminal()
        self.refresh(layout=True)

    def action_palette(self) -> None:
        """Find anything by its name."""
        from detui.tui.screens.palette import PaletteScreen

        self.push_screen(PaletteScreen())

    def action_settings(self) -> None:
        """Show the settings."""
        from detui.tui.screens.settings import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.push_screen(SettingsScreen())

    async def run_action(
        self,
        action: str | tuple[str, str, tuple[object, ...]],
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key stands for; refuse what asks something of runs where the application only looks."""
        name = (action if isinstance(action, str) else action[1]).rpartition(".")[2].partition("(")[0]
        groups = getattr(default_namespace, "KEYS", ())
        if self.read_only and any(key.writes and key.action == name for group in groups for key in group):
            self.tell(tr("detui was started with --read-only: nothing is changed."))
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say which keys a person gave to two things."""
        names = ", ".join(sorted(str(binding.id) for binding in clashed_bindings))
        self.tell(tr("Two things have the same key: {names}. See the settings.", names=names), failed=True)

    def action_help(self) -> None:
        """Show all keys."""
        from detui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.settings.keys))

    async def action_back(self) -> None:
        """Close what is on top; on the list of runs, quit."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit(0)

    def open_run(self, run: RunDir) -> None:
        """Show a run live."""
        from detui.tui.screens.run import RunScreen

        self.push_screen(RunScreen(run))

    def open_comparison(self, runs: Sequence[RunDir]) -> None:
        """Show runs side by side."""
        from detui.tui.screens.compare import CompareScreen

        self.push_screen(CompareScreen(runs))

    def open_record(self, experiment: Path) -> None:
        """Show the record of an experiment."""
        from detui.tui.screens.record import RecordScreen

        self.push_screen(RecordScreen(experiment))

    def open_recipe(self, ref: str) -> None:
        """Show a recipe's page."""
        from detui.tui.screens.recipe import RecipeScreen

        self.push_screen(RecipeScreen(self.workspace, ref))

    def announce(self, news: Sequence[News]) -> None:
        """Tell of runs that ended or raised an alarm: on the screen, and as the settings say beyond it."""
        for one in news:
            what = ", ".join(one.alarms) if one.alarms else tr(one.word)
            self.tell(f"{one.run}: {what}", failed=one.bad)
        if news and (driver := self._driver) is not None and not self.is_headless:
            driver.write(notices.sequence(news, self.settings.notify, os.environ))

    def copy(self, text: str) -> None:
        """Copy a text to the terminal's clipboard, and say so."""
        self.copy_to_clipboard(text)
        self.tell(tr("Copied: {text}", text=text))

    def thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        """Say that a reading thread crashed; by itself it would write its traceback over the screen."""
        if failed.exc_value is None:
            return
        path = crash.keep(failed.exc_value)
        text = f"detui: crashed: {failed.exc_type.__name__}: {failed.exc_value}\ntraceback: {path}"
        self.call_from_thread(self.notify, text, severity="error", timeout=30, markup=False)

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print every local variable, arrays included; the terminal is restored first instead.
        self._return_code = 1
        self.failure = error
        if self.debug_wanted or self.is_headless:
            super()._handle_exception(error)
        else:
            self.exit(1)


def run_application(
    workspace: Workspace, chosen: Settings, *, file: Path | None, debug: bool = False, read_only: bool = False
) -> int:
    """Open the application and return its exit code."""
    app = DetuiApp(workspace, chosen, file=file, debug=debug, read_only=read_only)
    threading.excepthook = app.thread_failed
    code = app.run(mouse=chosen.mouse)
    if app.failure is not None and not debug:
        crash.report(type(app.failure), app.failure, app.failure.__traceback__)
        return 1
    sys.stdout.flush()
    return code or 0
