"""`detui record`: show, fill and export the record of an experiment."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_experiments, pass_session
from detui.tui.foreign import complete_experiments_and_files, evaluate_waiting, fill_foreign, is_file
from detui.tui.output import say

if TYPE_CHECKING:
    from detui.engine.experiment import Experiment

_EXPERIMENT = click.argument("experiment", default="last", shell_complete=complete_experiments)
_LANGUAGE = click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language.")


@click.group("record", short_help="Show, fill or export the record of an experiment.")
def command() -> None:
    """Show, fill or export the record of an experiment."""


@command.command("show")
@_EXPERIMENT
@_LANGUAGE
@click.option("--raw", is_flag=True, help="Print the Markdown as it is, also on a terminal.")
@pass_session
def show(session: Session, experiment: str, lang: str, raw: bool) -> None:
    """Show a record: rendered on a terminal, as Markdown elsewhere."""
    path = _written(session.workspace.experiment(experiment), lang)
    text = path.read_bytes().decode("utf-8", "replace")
    if raw or not sys.stdout.isatty():
        click.echo(text, nl=not text.endswith("\n"))
        return
    print_rendered(text)
    say(str(path))


def print_rendered(text: str) -> None:
    """Print Markdown for reading on this terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    from detui.tui.markdown import without_comments

    Console().print(Markdown(without_comments(text)))


@command.command("fill")
@click.argument("what", metavar="[EXPERIMENT|FILE]", default="last", shell_complete=complete_experiments_and_files)
@click.option("--experiment", metavar="EXPERIMENT", shell_complete=complete_experiments,
              help="FILE: whose numbers.  [default: last]")  # fmt: skip
@click.option("--arm", metavar="NAME", help="FILE: whose numbers go where it names no arm."
              "  [default: the only arm, or the only one that is no reference]")  # fmt: skip
@click.option("--reference", metavar="NAME", help='FILE: the arm that its "Baseline" means.')
@click.option(
    "--seed", type=int, metavar="N", help="FILE: one seed's numbers.  [default: the mean over finished seeds]"
)
@click.option("--map", "maps", multiple=True, metavar='"LABEL=METRIC"',
              help="FILE: what a label means: a metric (val/AP50) or an arm. Repeatable.")  # fmt: skip
@click.option("--baseline", type=click.Choice(["typed"]),
              help="FILE: fill changes by subtracting the baseline that you typed.")  # fmt: skip
@click.option("--update", is_flag=True, help="FILE: replace what the runs contradict, too.")
@click.option("--dry-run", is_flag=True, help="FILE: show a diff and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="FILE: print the report as JSON.")
@pass_session
def fill(session: Session, /, what: str, **options: Any) -> None:
    """Bring an experiment's record up to date, or fill the placeholders of a Markdown FILE that somebody wrote.

    EXPERIMENT: evaluates what waits, then fills its record; what you wrote in it stays as it is.

    FILE: fills (待填写), ?, TBD, ___ and empty cells in tables and bullets by their labels, prints what it filled and
    from where, and what it left and why. A cell that holds something is never touched without --update.
    """
    if is_file(what):
        fill_foreign(session, Path(what), **options)
        return
    if used := [name for name, value in options.items() if value or (value == 0 and value is not False)]:
        name = {"as_json": "json", "maps": "map"}.get(used[0], used[0].replace("_", "-"))
        raise click.UsageError(f"--{name} is for filling a FILE, and {what!r} is none.")
    for path in _fill(session.workspace.experiment(what)):
        click.echo(path)


@command.command("path")
@_EXPERIMENT
@_LANGUAGE
@pass_session
def path(session: Session, experiment: str, lang: str) -> None:
    """Print where a record is, for an editor: `$EDITOR $(detui record path)`."""
    click.echo(_written(session.workspace.experiment(experiment), lang))


@command.command("export")
@_EXPERIMENT
@click.option("--format", "form", type=click.Choice(["md", "html", "latex", "csv", "tensorboard"]), default="html",
              show_default=True, help="md: with the figures beside it; html: one file; latex: tables for a paper; csv: "
              "every number with its source; tensorboard: event files, a folder a run.")  # fmt: skip
@click.option("--to", "target", type=click.Path(path_type=Path), default=Path(), metavar="PATH",
              help="File or folder.  [default: here, named after the experiment]")  # fmt: skip
@click.option("--standalone", is_flag=True, help="latex: a document that compiles by itself.")
@click.option("--follow", is_flag=True, help="tensorboard: keep the files current until all runs have ended.")
@click.option("--force", is_flag=True, help="Write over a file that detui did not write, or that was changed since.")
@_LANGUAGE
@pass_session
def export(
    session: Session, experiment: str, form: str, target: Path, standalone: bool, follow: bool, force: bool, lang: str
) -> None:
    """Write a record as HTML, Markdown or LaTeX tables, or its numbers as CSV or for TensorBoard."""
    for option, given, of in (("--standalone", standalone, "latex"), ("--follow", follow, "tensorboard")):
        if given and form != of:
            raise click.UsageError(f"{option} goes with --format {of}.")
    found = session.workspace.experiment(experiment)
    if form == "tensorboard":
        _export_events(found, target, follow=follow, force=force)
        return
    from detui.engine.record.export import export as write

    _written(found, lang)
    for written in write(found.path, form, target, language=lang, standalone=standalone, force=force):
        click.echo(written)


def _export_events(experiment: Experiment, target: Path, *, follow: bool, force: bool) -> None:
    """Write event files, and with `follow` stay until the runs have ended; print the folders."""
    from detui.engine.record.tensorboard import Events

    to = Path(f"{experiment.id}.tensorboard") if target == Path() else target
    with Events(experiment.path, to, force=force) as events:
        events.update()
        for folder in events.folders:
            click.echo(folder)
        say(f"  look: tensorboard --logdir {shlex.quote(str(to))}")
        if follow:
            events.follow()


def _written(experiment: Experiment, language: str) -> Path:
    """The record's path; a record that nobody has written yet is written now."""
    from detui.engine.errors import MissingError
    from detui.engine.record import record_path

    path = record_path(experiment.path, language)
    if not path.exists():
        _fill(experiment)
    if not path.exists():
        raise MissingError("The recipe keeps no record in this language.", where=str(path), hint="--lang en | zh")
    return path


def _fill(experiment: Experiment) -> list[Path]:
    from detui.engine.record import fill as fill_record

    evaluate_waiting(experiment)
    return fill_record(experiment.path)
