"""The last line of every screen: the keys that matter there. One line of one widget, drawn when the screen opens."""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.keys import EVERYWHERE, Key, display_of
from detui.tui.language import tr
from detui.tui.output import width
from detui.tui.widgets.palette import DIM

_KEY = Style(bold=True)
_LAST = tuple(key for key in EVERYWHERE if key.shown)


class KeyBar(Widget):
    """Keys and their words, as many as fit; the keys of every screen are always there, at the end."""

    DEFAULT_CSS = "KeyBar { height: 1; width: 1fr; dock: bottom; }"

    def __init__(self, *groups: tuple[Key, ...], remapped: Mapping[str, str], read_only: bool = False) -> None:
        """`remapped`: id of a binding → its keys, where a person chose others."""
        super().__init__()
        self._keys = [key for group in groups for key in group if key.shown and not (read_only and key.writes)]
        self._remapped = remapped
        self._places: list[tuple[int, int, Key]] = []

    def offer(self, key: Key) -> None:
        """Show a key first that this screen has only sometimes."""
        if key not in self._keys:
            self._keys.insert(0, key)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        last = [self._text(key) for key in _LAST]
        fitting = self.fitting(self.size.width)
        segments = [Segment(" ")]
        self._places = []
        for key, (pressed, word) in zip([*self._keys[: len(fitting)], *_LAST], [*fitting, *last], strict=True):
            at = sum(segment.cell_length for segment in segments)
            segments += [Segment(pressed, _KEY), Segment(f" {word}  ", DIM)]
            self._places.append((at, at + _columns((pressed, word)) - 2, key))
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def fitting(self, columns: int) -> list[tuple[str, str]]:
        """Return the keys and words of the screen, in order, that fit into so many columns beside the last ones."""
        room = columns - 1 - sum(_columns(self._text(key)) for key in _LAST)
        found: list[tuple[str, str]] = []
        for text in map(self._text, self._keys):
            room -= _columns(text)
            if room < 0:
                break
            found.append(text)
        return found

    def _text(self, key: Key) -> tuple[str, str]:
        keys = self._remapped.get(key.id, key.keys)
        return display_of(keys.split(",")[0]), tr(key.label)

    async def on_click(self, event: Click) -> None:
        """Do what was clicked."""
        for start, end, key in self._places:
            if start <= event.x < end:
                await self.app.run_action(key.action, self.screen if key not in _LAST else self.app)


def _columns(text: tuple[str, str]) -> int:
    return width(text[0]) + 1 + width(text[1]) + 2
