"""The terminal application. It reads run directories and writes requests; closing it never touches a run."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from textual.app import App

from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui import crash
from detui.tui.keys import EVERYWHERE, bindings
from detui.tui.screens.runs import RunsScreen

_TERMINATED = 128 + signal.SIGTERM


class DetuiApp(App[int]):
    """Runs at the bottom, everything else above it."""

    TITLE = "detui"
    # Textual does not load the style sheet of the screen that is there from the start.
    CSS_PATH = ["app.tcss", "screens/runs.tcss"]
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings(EVERYWHERE)

    def __init__(self, workspace: Workspace, *, debug: bool = False, ascii_only: bool = False) -> None:
        super().__init__()
        self.workspace = workspace
        self.ascii_only = ascii_only
        """Whether charts and bars are drawn without Unicode."""
        self.debug_wanted = debug
        self.failure: BaseException | None = None

    def on_mount(self) -> None:
        """Restore the terminal when asked to end: SIGTERM would leave it in the alternate screen.

        SIGHUP is left alone: there is no terminal any more, and a handler that exits would hang.
        """
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, _TERMINATED)
            self._guard_continuing()

    def _guard_continuing(self) -> None:
        """Let Textual take the terminal again only where it has given it away.

        Its handler for SIGCONT starts a second input thread also after a SIGSTOP, which it never saw, and then cannot
        end. Either way the screen is drawn again: the terminal may show something else by now.
        """
        suspend, resume = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
        if not callable(suspend) or not callable(resume):
            return  # without a terminal the driver listens to neither
        away = False

        def suspended(number: int, frame: FrameType | None) -> None:
            nonlocal away
            away = True
            suspend(number, frame)

        def continued(number: int, frame: FrameType | None) -> None:
            nonlocal away
            if away:
                away = False
                resume(number, frame)
            self.call_later(self.refresh, layout=True)

        signal.signal(signal.SIGTSTP, suspended)
        signal.signal(signal.SIGCONT, continued)

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

    def action_go_runs(self) -> None:
        """Show the list of runs."""
        self.go_home()

    def action_go_recipes(self) -> None:
        """Show the recipes."""
        from detui.tui.screens.recipes import RecipesScreen

        self.go_home()
        self.push_screen(RecipesScreen(self.workspace))

    def action_go_record(self) -> None:
        """Show the record of the selected experiment, or of the latest."""
        path = self.home.selected_experiment()
        if path is None:
            self.notify("There is no experiment yet. Press n for the recipes.")
            return
        self.go_home()
        self.open_record(path)

    def action_help(self) -> None:
        """Show all keys."""
        from detui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

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

    def open_record(self, experiment: Path) -> None:
        """Show the record of an experiment."""
        from detui.tui.screens.record import RecordScreen

        self.push_screen(RecordScreen(experiment))

    def open_recipe(self, ref: str) -> None:
        """Show a recipe's page."""
        from detui.tui.screens.recipe import RecipeScreen

        self.push_screen(RecipeScreen(self.workspace, ref))

    def copy(self, text: str) -> None:
        """Copy a text to the terminal's clipboard, and say so."""
        self.copy_to_clipboard(text)
        self.notify(f"Copied: {text}", markup=False)

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


def run_application(workspace: Workspace, debug: bool, ascii_only: bool = False) -> int:
    """Open the application and return its exit code."""
    app = DetuiApp(workspace, debug=debug, ascii_only=ascii_only)
    threading.excepthook = app.thread_failed
    code = app.run()
    if app.failure is not None and not debug:
        crash.report(type(app.failure), app.failure, app.failure.__traceback__)
        return 1
    sys.stdout.flush()
    return code or 0
