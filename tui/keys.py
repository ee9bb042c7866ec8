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
    writes: bool = False
    """Whether it asks something of runs, or changes a file: refused with --read-only."""

    def binding(self) -> Binding:
        """Return it as Textual knows it."""
        return Binding(self.keys, self.action, self.label, id=self.id)


_NAMES = {
    "question_mark": "?", "plus": "+", "left_square_bracket": "[", "right_square_bracket": "]",
    "less_than_sign": "<", "greater_than_sign": ">", "slash": "/", "colon": ":", "comma": ",",
    "up": "↑", "down": "↓", "left": "←", "right": "→", "escape": "esc", "pageup": "PgUp", "pagedown": "PgDn",
}  # fmt: skip


def display_of(keys: str) -> str:
    """Return Textual's names of keys, with commas between, as a person would write them."""
    return " ".join(map(_display, keys.split(",")))


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
    Key("app.recipes", "2", "go_recipes", "Recipes", "The recipes: start something new."),
    Key("app.compare", "3", "go_compare", "Compare", "Marked runs side by side, or the runs of one experiment."),
    Key("app.devices", "4", "go_devices", "Devices", "GPUs, who is on them, and the queue."),
    Key("app.record", "5", "go_record", "Record", "The record of the selected experiment, or of the latest."),
    Key("app.previous", "left_square_bracket", "previous_place", "Previous", "The place to the left in the title."),
    Key("app.next", "right_square_bracket", "next_place", "Next", "The place to the right in the title."),
    Key("app.help", "question_mark", "help", "Keys", "This list of keys.", True),
    Key("app.palette", "colon,ctrl+p", "palette", "Commands", "Find anything by its name: commands, runs, recipes."),
    Key("app.settings", "comma", "settings", "Settings", "Language, theme, keys, notifications."),
    Key("app.redraw", "ctrl+l", "redraw", "Redraw", "Draw the whole screen again, after something else wrote on it."),
    Key("app.back", "q,escape", "back", "Back", "Back; on the list of runs: quit. Runs go on without detui.", True),
    Key("app.suspend", "ctrl+z", "suspend_process", "Suspend", "Back to the shell; fg returns."),
)
TABS = (
    Key("tabs.next", "tab", "next_tab", "Tab", "The next tab.", True),
    Key("tabs.previous", "shift+tab", "previous_tab", "Previous tab", "The tab before."),
)
CHART = (
    Key("chart.next", "m", "next_chart", "Metric", "The next chart or metric.", True),
    Key("chart.previous", "M", "previous_chart", "Previous", "The chart or metric before."),
    Key("chart.log", "L", "log_y", "Log-Y", "Logarithmic scale, and back.", True),
    Key("chart.right", "right", "cursor_right", "Cursor right", "Move the cursor to the right and read the values."),
    Key("chart.left", "left", "cursor_left", "Cursor left", "Move the cursor to the left and read the values."),
    Key("chart.zoom_in", "z", "zoom_in", "Zoom", "Zoom in: around the cursor, or to the end of the curve."),
    Key("chart.zoom_out", "Z", "zoom_out", "Zoom out", "Zoom out; once more takes the cursor away."),
    Key("chart.axis", "a", "x_axis", "Axis", "The other x axis: steps, epochs, time."),
    Key("chart.smooth", "w", "smooth", "Smooth", "Smooth the curves more, then not at all."),
)
RUNS = (
    Key("runs.open", "enter", "open", "Open", "Open the selected run, or the record of the selected experiment.", True),
    Key("runs.new", "n", "new", "New", "Choose a recipe and start it.", True),
    Key("runs.mark", "space", "mark", "Mark", "Mark the run, or all runs of the experiment, and go on.", True),
    Key("runs.unmark", "u", "unmark", "Unmark", "Take all marks away."),
    Key("runs.compare", "c", "compare", "Compare", "Compare what is marked; without marks, the experiment.", True),
    Key("runs.filter", "slash", "filter", "Filter", "Show only what fits: words, or state:running, arm:…", True),
    Key("runs.sort", "s", "sort", "Sort", "Sort by the next column."),
    Key("runs.reverse", "S", "reverse", "Reverse", "Turn the order round."),
    Key("runs.group", "t", "group", "Group", "Group by experiment, or one flat list."),
    Key("runs.preview", "v", "preview", "Preview", "Show the chart and the log of the selected run, or not."),
    Key("runs.pin", "p", "pin", "Pin", "Keep the preview on this run while the cursor moves on."),
    Key("runs.record", "o", "record", "Record", "Open the record of the selected experiment."),
    Key("runs.stop", "x", "stop", "Stop", "Stop with a checkpoint: the marked, or the selected.", True, True),
    Key("runs.kill", "X", "kill", "Kill", "Kill without a checkpoint.", writes=True),
    Key("runs.resume", "r", "resume", "Resume", "Resume from the last checkpoint.", True, True),
    Key("runs.hold", "h", "hold", "Hold", "Let others pass what waits; again: let it take part.", writes=True),
    Key("runs.front", "F", "front", "Front", "Move what waits before your other runs in the queue.", writes=True),
    Key("runs.earlier", "less_than_sign", "earlier", "Earlier", "Move what waits one place forward.", writes=True),
    Key("runs.later", "greater_than_sign", "later", "Later", "Move what waits one place back.", writes=True),
    Key("runs.copy", "y", "copy", "Copy", "Copy the name of the run to the clipboard."),
)
RUN = (
    Key("run.stop", "x", "stop", "Stop", "Stop this run with a checkpoint.", True, True),
    Key("run.kill", "X", "kill", "Kill", "Kill this run without a checkpoint.", writes=True),
    Key("run.resume", "r", "resume", "Resume", "Resume this run from its last checkpoint.", True, True),
    Key("run.record", "o", "record", "Record", "Open the record of the experiment.", True),
    Key("run.compare", "c", "compare", "Compare", "Compare with the other runs of the experiment."),
    Key("run.maximise", "plus", "maximise", "All/one", "One chart large, or all of them."),
    Key(
        "run.aqr", "v", "aqr", "AQR", "The panel of AQR of a run that reports it: weights, maps, change, gain; or not."
    ),
    Key("run.follow", "f", "follow", "Follow", "Follow the end of the log, or stay where it is.", True),
    Key("run.search", "slash", "search", "Search", "Search the log.", True),
    Key("run.match", "n", "next_match", "Next match", "The next line that was searched for."),
    Key("run.match_before", "N", "previous_match", "Match before", "The line before that was searched for."),
    Key("run.edit", "e,enter", "edit", "Open", "Open the selected file, or the log, in $EDITOR."),
    Key("run.copy", "y", "copy", "Copy", "Copy the command that prints this run, or the path of the selected file."),
)
RECIPES = (
    Key("recipes.open", "enter", "open", "Open", "Open the recipe's page.", True),
    Key("recipes.filter", "slash", "filter", "Filter", "Show only recipes in which all of these words stand.", True),
)
RECIPE = (
    Key("recipe.launch", "enter", "launch", "Choose", "Choose arms, seeds, devices and values, then start.", True),
    Key("recipe.start", "s", "launch_now", "Start", "Start it as it is: enter, then the question.", True),
    Key("recipe.profile", "p", "profile", "Profile", "The next profile: full, quick, …", True),
    Key("recipe.models", "m", "models", "Models", "Build the models, and show what they are made of.", True, True),
    Key("recipe.copy", "y", "copy", "Copy", "Copy the command to the clipboard.", True),
    Key("recipe.edit", "e", "edit", "Edit", "Open the recipe's file in $EDITOR.", True, True),
)
LAUNCH = (
    Key("launch.enter", "enter", "enter", "Go on", "The next line; on the last: start. esc: leave the line.", True),
    Key("launch.choose", "space,right", "choose", "Change", "The next profile; take an arm in, or leave it out.", True),
    Key("launch.choose_back", "left", "choose_back", "Before", "The profile before; take an arm in, or leave it out."),
    Key("launch.start", "ctrl+r", "start", "Start", "Start what the command says, after a question.", True, True),
    Key("launch.copy", "ctrl+y", "copy", "Copy", "Copy the command to the clipboard.", True),
    Key("launch.next", "tab", "next_field", "Next", "The next line of the form; after the last, the first."),
    Key("launch.previous", "shift+tab", "previous_field", "Previous", "The line of the form before."),
)
COMPARE = (
    Key("compare.band", "b", "band", "Mean/runs", "A line for each run, or each arm's mean with its spread.", True),
    Key("compare.reference", "r", "reference", "Reference", "Compare all others with the run under the cursor.", True),
    Key("compare.drop", "d", "drop", "Take out", "Take the run under the cursor out of the comparison.", True),
    Key("compare.open", "enter", "open", "Open", "Open the run under the cursor.", True),
    Key("compare.record", "o", "record", "Record", "Open the record of the run under the cursor."),
    Key("compare.copy", "y", "copy", "Copy", "Copy the command that prints this comparison."),
)
DEVICES = (
    Key("devices.open", "enter", "open", "Open", "Open the run under the cursor.", True),
    Key("devices.earlier", "less_than_sign", "earlier", "Earlier", "Move what waits one place forward.", True, True),
    Key("devices.later", "greater_than_sign", "later", "Later", "Move what waits one place back.", True, True),
    Key("devices.hold", "h", "hold", "Hold", "Let others pass what waits; again: let it take part.", True, True),
    Key("devices.front", "F", "front", "Front", "Move what waits before your other runs in the queue.", writes=True),
    Key("devices.stop", "x", "stop", "Stop", "Stop the run under the cursor with a checkpoint.", True, True),
    Key("devices.kill", "X", "kill", "Kill", "Kill the run under the cursor without a checkpoint.", writes=True),
    Key("devices.copy", "y", "copy", "Copy", "Copy the name of the run to the clipboard."),
)
RECORD = (
    Key("record.next", "n", "next_place_holder", "Next gap", "To the next placeholder.", True),
    Key("record.previous", "N", "previous_place_holder", "Gap before", "To the placeholder before."),
    Key("record.language", "l", "language", "English/中文", "The record in the other language.", True),
    Key("record.edit", "e", "edit", "Edit", "Open the record in $EDITOR.", True, True),
    Key("record.fill", "f", "fill", "Fill", "Fill in what is measured by now.", True, True),
    Key("record.export", "x", "export", "Export", "Write it as HTML, LaTeX, CSV or TensorBoard files.", True, True),
    Key("record.copy", "y", "copy", "Copy", "Copy the path of the record to the clipboard.", True),
)
SETTINGS = (
    Key("settings.change", "enter,space,right", "change", "Change", "The next value, or a new key.", True),
    Key("settings.back", "left", "change_back", "Before", "The value before."),
    Key("settings.reset", "d", "reset", "Default", "Back to what it was without settings.", True),
)
HELP = (Key("help.close", "q,escape,question_mark", "close", "Close", "Close the list of keys.", True),)
CONFIRM = (
    Key("confirm.yes", "y,enter", "yes", "Yes", "Do it.", True),
    Key("confirm.no", "n,escape,q", "no", "No", "Leave it.", True),
)
CATEGORIES = {
    "Everywhere": EVERYWHERE,
    "Moving": MOVE,
    "Tabs": TABS,
    "Charts": CHART,
    "Runs": RUNS,
    "One run": RUN,
    "Recipes": RECIPES,
    "A recipe": RECIPE,
    "Launch form": LAUNCH,
    "Compare": COMPARE,
    "Devices": DEVICES,
    "Record": RECORD,
    "Settings": SETTINGS,
    "Questions": CONFIRM,
    "Help": HELP,
}
"""All keys, as the help screen shows them."""


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """Return the bindings of a screen."""
    return [key.binding() for group in groups for key in group]


def all_keys() -> dict[str, Key]:
    """Return every key by its id."""
    return {key.id: key for group in CATEGORIES.values() for key in group}


FORBIDDEN = ("ctrl+b", "ctrl+a", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+c", "ctrl+s", "ctrl+q")
"""The prefixes of tmux and screen, and what terminals send for backspace, tab and enter or keep for themselves."""


def forbidden(keys: str) -> str | None:
    """Return the first of some keys that never reaches the application, None where all may."""
    return next((display_of(key) for key in keys.split(",") if key in FORBIDDEN), None)
