"""The settings: changed with one key, in use at once, kept for the next time."""

from __future__ import annotations

import json
from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult

from detui.tui.keys import CATEGORIES, MOVE, SETTINGS, Key, all_keys, bindings, display_of
from detui.tui.language import tr
from detui.tui.output import pad, width
from detui.tui.screens.base import DetuiScreen
from detui.tui.screens.moving import ListMoves
from detui.tui.screens.press import PressScreen
from detui.tui.settings import CHOICES, Settings
from detui.tui.widgets.line_list import Line, LineList
from detui.tui.widgets.palette import DIM
from detui.tui.widgets.title_bar import TitleBar

_HEAD = Style(bold=True)
_NAMES: dict[str, Callable[[], tuple[str, str]]] = {
    "language": lambda: (tr("Language"), tr("auto: as the locale says. Records exist in both.")),
    "theme": lambda: (tr("Theme"), tr("terminal: the sixteen colours of the terminal itself.")),
    "ascii": lambda: (tr("ASCII"), tr("Charts and bars without Unicode.")),
    "refresh": lambda: (tr("Refresh, seconds"), tr("Longer where the link is slow.")),
    "mouse": lambda: (tr("Mouse"), tr("From the next start on. Without it the terminal selects text.")),
    "notify": lambda: (tr("Notice"), tr("When a run ends or raises an alarm. message: OSC 9, on the desktop.")),
}
"""Setting → its name and what is to be known of it."""
_KEY = "key:"


class SettingsScreen(ListMoves, DetuiScreen):
    """Every setting and every key, one a line."""

    PLACE = "Runs"
    CSS_PATH = "settings.tcss"
    KEYS = (SETTINGS, MOVE)
    BINDINGS = bindings(*KEYS)

    def compose(self) -> ComposeResult:
        """Lay out title, lines and keys."""
        file = self.detui.settings_file
        yield TitleBar("Settings", str(file) if file else "")
        yield LineList()
        yield self.key_bar()

    def on_line_list_resized(self) -> None:
        """Show the lines for the new width."""
        self._show()

    def on_line_list_chosen(self) -> None:
        """Change what was clicked."""
        self.action_change()

    def _show(self) -> None:
        self.query_one(LineList).set_lines(_lines(self.detui.settings))

    @property
    def _chosen(self) -> str:
        line = self.query_one(LineList).selected
        return line.key if line else ""

    def action_change(self) -> None:
        """Take the next value, or ask for a new key."""
        if self._chosen.startswith(_KEY):
            key = all_keys()[self._chosen.removeprefix(_KEY)]
            self.app.push_screen(PressScreen(key), lambda pressed: self._remap(key, pressed))
        else:
            self._turn(1)

    def action_change_back(self) -> None:
        """Take the value before."""
        if not self._chosen.startswith(_KEY):
            self._turn(-1)

    def _turn(self, by: int) -> None:
        settings, name = self.detui.settings, self._chosen
        if name not in CHOICES:
            return
        choices, present = CHOICES[name], getattr(settings, name)
        at = choices.index(present) if present in choices else 0
        self._change(settings.with_value(name, choices[(at + by) % len(choices)]))

    def _remap(self, key: Key, pressed: str | None) -> None:
        if pressed is None:
            return
        others = [one for one in _beside(key) if pressed in self.detui.settings.keys.get(one.id, one.keys).split(",")]
        if others:
            names = ", ".join(f"{one.id} ({tr(one.label)})" for one in others)
            self.detui.tell(tr("{key} is taken: {names}", key=display_of(pressed), names=names), failed=True)
            return
        self._change(self.detui.settings.with_value("keys", {**self.detui.settings.keys, key.id: pressed}))

    def action_reset(self) -> None:
        """Take the default of the line under the cursor."""
        settings, name = self.detui.settings, self._chosen
        if name.startswith(_KEY):
            kept = {ident: keys for ident, keys in settings.keys.items() if ident != name.removeprefix(_KEY)}
            self._change(settings.with_value("keys", kept))
        elif name in CHOICES:
            self._change(settings.with_value(name, getattr(Settings(), name)))

    def _change(self, changed: Settings) -> None:
        self.detui.change_settings(changed)
        self._show()
        self.refresh(layout=True)


def _beside(key: Key) -> list[Key]:
    """Return the keys that may be there on the same screen: those of its group, of moving, of everywhere."""
    own = next(name for name, group in CATEGORIES.items() if key in group)
    if own in ("Everywhere", "Moving", "Tabs", "Charts"):  # these are there with all others
        return [one for one in all_keys().values() if one.id != key.id]
    groups = (own, "Everywhere", "Moving", "Tabs", "Charts")
    return [one for name in groups for one in CATEGORIES[name] if one.id != key.id]


def _lines(settings: Settings) -> list[Line]:
    lines = [Line((Segment(tr("Settings"), _HEAD),))]
    names = {name: text() for name, text in _NAMES.items()}
    left = max(width(title) for title, _ in names.values())
    for name, (title, note) in names.items():
        value = _said(getattr(settings, name))
        cells = (Segment(f"  {pad(title, left)}  "), Segment(pad(value, 10), _HEAD), Segment(note, DIM))
        lines.append(Line(cells, key=name))
    for category, keys in CATEGORIES.items():
        lines += [Line(()), Line((Segment(f"{tr('Keys')}: {tr(category)}", _HEAD),))]
        for key in keys:
            own = key.id in settings.keys
            shown = pad(display_of(settings.keys.get(key.id, key.keys)) + (" *" if own else ""), 16)
            cells = (Segment(f"  {pad(key.id, 24)} "), Segment(shown, _HEAD), Segment(tr(key.label), DIM))
            lines.append(Line(cells, key=_KEY + key.id))
    return lines


def _said(value: object) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    return tr(value) if isinstance(value, str) else json.dumps(value)
