"""Every key of the application, as data: bindings, the help screen and the tests are made from it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """One binding."""

    id: str
    """Name by which a person can remap it: "runs.stop"."""
    keys: str
    """Textual's names of the keys, with commas between; the first is shown."""
    action: str
    """Method `action_<name>` of the screen or the application."""
    label: str
    """One word for the line of keys at the bottom."""
    tooltip: str
    """One sentence for the help screen."""
    shown: bool = False
    """Whether the line of keys at the bottom shows it."""

    def binding(self) -> Binding:
        """Return it as Textual knows it."""
        return Binding(
            self.keys,
            self.action,
            self.label,
            show=self.shown,
            key_display=self.display,
            tooltip=self.tooltip,
            id=self.id,
        )

    @property
    def display(self) -> str:
        """The first key as a person would write it."""
        return _display(self.keys.split(",")[0])

    @property
    def displays(self) -> str:
        """All keys as a person would write them."""
        return " ".join(_display(key) for key in self.keys.split(","))


_NAMES = {
    "question_mark": "?", "plus": "+", "left_square_bracket": "[", "right_square_bracket": "]",
    "up": "↑", "down": "↓", "left": "←", "right": "→", "escape": "esc", "pageup": "PgUp", "pagedown": "PgDn",
}  # fmt: skip


def _display(key: str) -> str:
    if key.startswith("ctrl+"):
        return f"^{key[5:]}"
    return _NAMES.get(key, key)


MOVE = (
    Key("move.down", "j,down", "down", "Down", "One line down."),
    Key("move.up", "k,up", "up", "Up", "One line up."),
    Key("move.top", "g,home", "top", "Top", "To the first line."),
    Key("move.bottom", "G,end", "bottom", "Bottom", "To the last line."),
    Key("move.page_down", "pagedown,ctrl+d", "page_down", "Page down", "One page down."),
    Key("move.page_up", "pageup,ctrl+u", "page_up", "Page up", "One page up."),
)
EVERYWHERE = (
    Key("app.runs", "1", "go_runs", "Runs", "The list of all runs."),
    Key("app.recipes", "n,2", "go_recipes", "New", "The recipes: start something new.", True),
    Key("app.record", "3", "go_record", "Record", "The record of the selected experiment, or of the latest."),
    Key("app.help", "question_mark", "help", "Keys", "This list of keys.", True),
    Key("app.back", "q,escape", "back", "Back", "Back; on the list of runs: quit. Runs go on without detui.", True),
    Key("app.suspend", "ctrl+z", "suspend_process", "Suspend", "Back to the shell; fg returns."),
)
RUNS = (
    Key("runs.open", "enter", "open", "Open", "Open the selected run, or the record of the selected experiment.", True),
    Key("runs.record", "o", "record", "Record", "Open the record of the selected experiment.", True),
    Key("runs.stop", "x", "stop", "Stop", "Stop with a checkpoint: the run, or all runs of the experiment.", True),
    Key("runs.kill", "X", "kill", "Kill", "Kill without a checkpoint: the run, or all runs of the experiment."),
    Key("runs.resume", "r", "resume", "Resume", "Resume from the last checkpoint.", True),
    Key("runs.hold", "h", "hold", "Hold", "Hold what waits, so that others pass; pressed again: let it take part."),
    Key("runs.front", "F", "front", "Front", "Move what waits before your other runs in the queue."),
    Key("runs.copy", "y", "copy", "Copy", "Copy the name of the run to the clipboard."),
)
RUN = (
    Key("run.stop", "x", "stop", "Stop", "Stop this run with a checkpoint.", True),
    Key("run.kill", "X", "kill", "Kill", "Kill this run without a checkpoint."),
    Key("run.resume", "r", "resume", "Resume", "Resume this run from its last checkpoint.", True),
    Key("run.record", "o", "record", "Record", "Open the record of the experiment.", True),
    Key("run.log_y", "L", "log_y", "Log-Y", "Logarithmic scale for the chart that is shown, and back.", True),
    Key("run.next", "right_square_bracket,tab", "next_chart", "Chart", "The next chart.", True),
    Key("run.previous", "left_square_bracket,shift+tab", "previous_chart", "Previous", "The chart before."),
    Key("run.maximise", "plus", "maximise", "All/one", "One chart large, or all of them."),
    Key("run.follow", "f", "follow", "Follow", "Follow the end of the log, or stay where it is.", True),
    Key("run.copy", "y", "copy", "Copy", "Copy the command that prints this run to the clipboard."),
)
RECIPES = (Key("recipes.open", "enter", "open", "Open", "Open the recipe's page.", True),)
RECIPE = (
    Key("recipe.start", "s", "start", "Start", "Start all runs with the command that is shown.", True),
    Key("recipe.profile", "p", "profile", "Profile", "The next profile: full, quick, …", True),
    Key("recipe.copy", "y", "copy", "Copy", "Copy the command to the clipboard.", True),
    Key("recipe.edit", "e", "edit", "Edit", "Open the recipe's file in $EDITOR.", True),
)
RECORD = (
    Key("record.language", "l", "language", "English/中文", "The record in the other language.", True),
    Key("record.edit", "e", "edit", "Edit", "Open the record in $EDITOR.", True),
    Key("record.copy", "y", "copy", "Copy", "Copy the path of the record to the clipboard.", True),
)
CONFIRM = (
    Key("confirm.yes", "y,enter", "yes", "Yes", "Do it.", True),
    Key("confirm.no", "n,escape,q", "no", "No", "Leave it.", True),
)
CATEGORIES = {
    "Everywhere": EVERYWHERE,
    "Moving": MOVE,
    "Runs": RUNS,
    "One run": RUN,
    "Recipes": RECIPES,
    "A recipe": RECIPE,
    "Record": RECORD,
    "Questions": CONFIRM,
}
"""All keys, as the help screen shows them."""


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """Return the bindings of a screen."""
    return [key.binding() for group in groups for key in group]
