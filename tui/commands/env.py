"""`detui env`: named environments, made from pins, checked and removed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from detui.tui.context import Session, pass_session
from detui.tui.narrator import Line
from detui.tui.output import print_json, say, size, table


@click.group("env", short_help="Make and look at the environments that frameworks need of their own.")
def command() -> None:
    """Make and look at the environments that frameworks need of their own.

    `detui env create` is the only command of detui that installs anything, and the only one that uses the network:
    through uv or pip, as they are configured for you.
    """


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from detui.engine.configuration import Configuration
    from detui.engine.environment.pin_file import known_names

    return [name for name in known_names(Configuration.load()) if name.startswith(incomplete)]


_name = click.argument("name", shell_complete=_complete)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def list_environments(session: Session, as_json: bool) -> None:
    """List the environments that have pins or that the configuration names, and how each stands."""
    from detui.engine.environment.standing import standings
    from detui.tui import environments

    found, needed = standings(session.workspace.configuration), environments.needed_by()
    if as_json:
        print_json([environments.as_json(one, needed.get(one.name, ())) for one in found])
        return
    rows = [environments.row(one, needed.get(one.name, ())) for one in found]
    click.echo("\n".join(table([environments.HEAD, *rows], right=(3,))))


@command.command("create")
@_name
@click.option("--python", metavar="PATH", help="The Python to make it with.  [default: detui's own, or one that fits]")
@click.option("--installer", type=click.Choice(("uv", "pip")), help="[default: uv where it is on the PATH, else pip]")
@click.option("--recreate", is_flag=True, help="Make it anew although it is whole.")
@pass_session
def create_environment(session: Session, name: str, python: str | None, installer: str | None, recreate: bool) -> None:
    """Make the environment NAME from its pins; prints the path of its interpreter.

    One that is whole is left as it is. Packages come from wherever uv or pip are configured to take them. Ctrl-C
    leaves nothing half made.
    """
    from detui.engine.environment.making import create

    line = Line(sys.stderr.isatty())
    try:
        found = create(name, session.workspace.configuration, python=python, installer=installer, recreate=recreate,
                       tell=lambda text, passing: line.show(text) if passing else line.say(text))  # fmt: skip
    finally:
        line.end()
    note = found.note or {}
    say(f"{name} is ready: Python {note.get('python')}, {size(note.get('bytes'))}, made in {note.get('seconds')} s")
    if found.older:
        count = f"{len(found.older)} older one{'s' if len(found.older) > 1 else ''}"
        say(f"{count} from other pins stay: detui env remove {name} --older")
    click.echo(str(found.python))


@command.command("check")
@_name
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def check_environment(session: Session, name: str, as_json: bool) -> None:
    """Run the environment NAME: its interpreter, the versions of its pins, the imports that must work.

    Exits with 0 when all is as pinned, 1 when something differs, 3 when it is not there.
    """
    from detui.engine.environment.checking import check_interpreter
    from detui.engine.environment.standing import standing
    from detui.engine.errors import MissingError

    found = standing(name, session.workspace.configuration)
    if found.problem is not None or found.python is None:
        raise MissingError(found.problem or "", where=found.source, hint=found.hint)
    checked = check_interpreter(found.python, found.pins)
    differences = checked.differences
    if as_json:
        about = {"name": name, "interpreter": found.python, "python": checked.python, "ok": not differences}
        print_json({**about, "packages": dict(checked.packages), "differences": [asdict(one) for one in differences]})
    else:
        click.echo(f"{name}: {found.python}")
        rows = [(one.what, f"asked: {one.asked}", f"found: {one.found}") for one in differences]
        lines = [f"  {text}" for text in table(rows)]
        imports = len(found.pins.file.check.imports) if found.pins else 0
        good = f"  Python {checked.python}, packages as pinned: {len(checked.packages)}, imports that work: {imports}"
        click.echo("\n".join(lines or [good]))
    if differences:
        if found.state == "ready" or found.through:
            say(f"try: detui env create {found.through or name} --recreate")
        sys.exit(1)


@command.command("remove")
@_name
@click.option("--older", is_flag=True, help="Only those made from other pins than the present ones.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def remove_environment(session: Session, name: str, older: bool, yes: bool) -> None:
    """Remove what `detui env create` made of NAME. Runs that were started in it cannot be resumed without it."""
    from detui.engine.environment.making import remove
    from detui.tui.requests import confirm

    which = f"the environments {name} of other pins" if older else f"the environment {name}"
    confirm(f"Remove {which}?", yes, grave="runs that were started in it could not be resumed")
    removed = remove(name, session.workspace.configuration, older_only=older)
    for one in removed:
        say(f"removed {one.path}")
    say(f"freed {size(sum(one.bytes for one in removed))}")
