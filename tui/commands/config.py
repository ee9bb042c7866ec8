"""`detui config`: the configuration of this machine."""

from __future__ import annotations

import click

from detui.tui.context import Session, pass_session
from detui.tui.output import print_json, say, table


@click.group("config", short_help="Show the configuration, and where each value came from.")
def command() -> None:
    """Show the configuration of this machine."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def show(session: Session, as_json: bool) -> None:
    """Show every setting with its value and where that came from."""
    from detui.engine.configuration import Configuration

    configuration = Configuration.load(workspace=session.given)
    settings = dict(sorted(configuration.settings.items()))
    if as_json:
        print_json({name: {"value": one.value, "source": one.source} for name, one in settings.items()})
        return
    for line in table([(name, _text(one.value), one.source) for name, one in settings.items()]):
        click.echo(line)
    absent = "" if configuration.file.is_file() else " (there is none)"
    say(f"File: {configuration.file}{absent}")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "–" if isinstance(value, list) else str(value)
