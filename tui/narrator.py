"""One line on standard error that says how far a reading is."""

from __future__ import annotations

import shutil

import click

from detui.tui.output import cut


class Narrator:
    """One line on standard error that says how far the reading is; silent where nobody looks."""

    def __init__(self, visible: bool) -> None:
        """`visible`: whether somebody looks at standard error."""
        self._visible = visible
        self._last = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what is being done and how much of it."""
        text = f"{what} {100 * done // max(total, 1)} %"
        if self._visible and text != self._last:
            self._last = text
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)

    def end(self) -> None:
        """Clear the line."""
        if self._visible:
            click.echo("\r\x1b[K", err=True, nl=False)


class Line:
    """What a program that runs for long says: its last line, replaced by the next, and steps that stay."""

    def __init__(self, visible: bool) -> None:
        """`visible`: whether somebody looks at standard error; nobody sees what passes otherwise."""
        self._visible = visible

    def show(self, text: str) -> None:
        """Show a line until the next, in the width of the terminal."""
        if self._visible:
            shown = cut(text, shutil.get_terminal_size().columns - 3)
            click.echo(f"\r\x1b[K  {shown}", err=True, nl=False)

    def say(self, text: str) -> None:
        """Say something that stays."""
        self.end()
        click.echo(text, err=True)

    def end(self) -> None:
        """Clear the line that would have been replaced."""
        if self._visible:
            click.echo("\r\x1b[K", err=True, nl=False)
