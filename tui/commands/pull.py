"""`detui pull`: copy an experiment of another host, for reading here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from detui.tui.context import Session, complete_hosts, pass_session
from detui.tui.narrator import Line
from detui.tui.output import print_json, say, size

_WITH = click.Choice(["checkpoints", "predictions"])


@click.command("pull", short_help="Copy an experiment of another host, for reading it here.")
@click.argument("experiment")
@click.option("--host", metavar="HOST", shell_complete=complete_hosts,
              help="Where it lies: a name of the configuration's `hosts`, or user@server.")  # fmt: skip
@click.option("--to", metavar="DIR", type=click.Path(path_type=Path),
              help="The workspace that it is copied into.  [default: as configured, or ./logs]")  # fmt: skip
@click.option("--with", "kinds", type=_WITH, multiple=True, help="Copy these, too, which are large. Repeatable.")
@click.option("--all", "everything", is_flag=True, help="Copy everything.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(
    session: Session, experiment: str, host: str | None, to: Path | None, kinds: tuple[str, ...], everything: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Copy the records, measurements, figures, plan and logs of EXPERIMENT on HOST, with rsync over your ssh.

    EXPERIMENT is what HOST itself understands: an id, its beginning, a name, `last`. Checkpoints and predictions stay
    there unless they are asked for. The same command again copies only what has changed. The copy is listed, compared
    and exported like any experiment; its runs are asked for anything only where they are: detui --host HOST stop …
    """
    from detui.engine.configuration import Configuration
    from detui.engine.remote import KINDS, find_host, pull

    name = host or session.host
    if name is None:
        raise click.UsageError("Say where the experiment lies: --host user@server.")
    chosen = find_host(Configuration.load(), name)
    workspace = session.workspace.path if to is None else to.expanduser()
    say(f"pulling {experiment} from {chosen.name}")
    line = Line(sys.stderr.isatty())

    def copied(name: str, count: int) -> None:
        line.show(f"{size(count)}  {name}")

    try:
        done = pull(chosen, experiment, workspace, kinds=tuple(KINDS) if everything else kinds, progress=copied)
    finally:
        line.end()
    for path in done.kept:
        say(f"what was written here is kept: {path}")
    if as_json:
        about = {"experiment": done.experiment.id, "path": str(done.experiment.path), "host": chosen.name}
        print_json({**about, "files": done.files, "bytes": done.bytes, "kept": [str(path) for path in done.kept]})
        return
    say(f"{done.files} files that were new or had changed, {size(done.bytes)}")
    click.echo(done.experiment.path)
