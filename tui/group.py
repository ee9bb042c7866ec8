"""A click group that loads a command's module only when that command runs."""

from __future__ import annotations

import difflib
from collections.abc import Container, Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Commands named in a table; each is `command` in the module of its name."""

    def __init__(
        self,
        *args: Any,
        commands_at: str,
        summaries: Mapping[str, str],
        elsewhere: str | None = None,
        here: Container[str] = (),
        **kwargs: Any,
    ) -> None:
        """`commands_at`: the package of the modules. `summaries`: name → line in the list of commands.

        `elsewhere`: the module whose `command` takes every command line that has --host, as the other host may know
        commands that this detui does not; but for the commands in `here`.
        """
        super().__init__(*args, **kwargs)
        self._elsewhere = elsewhere
        self._here = here
        self._package = commands_at
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table: the order in which one needs them."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load and return a command, or None where the table has no such name."""
        if cmd_name not in self._summaries:
            return None
        command = import_module(f"{self._package}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to run. Raises UsageError with the nearest name."""
        name = args[0]
        if self._elsewhere and ctx.params.get("host") and not ctx.resilient_parsing and name not in self._here:
            return name, import_module(self._elsewhere).command, args
        if name not in self._summaries and not name.startswith("-"):
            close = difflib.get_close_matches(name, self._summaries, 1)
            also = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"There is no command {name!r}.{also}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))
