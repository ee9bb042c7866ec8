"""`detui record`: show, fill and export the record of an experiment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from detui.tui.context import Session, complete_experiments, pass_session
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
@_EXPERIMENT
@pass_session
def fill(session: Session, experiment: str) -> None:
    """Evaluate what waits, then bring the record up to date. What you wrote in it stays as it is."""
    for path in _fill(session.workspace.experiment(experiment)):
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
@click.option("--format", "form", type=click.Choice(["md", "html", "csv"]), default="html", show_default=True,
              help="md: with the figures beside it; html: one file; csv: every number with its source.")  # fmt: skip
@click.option("--to", "target", type=click.Path(path_type=Path), default=Path(), metavar="PATH",
              help="File or folder.  [default: here, named after the experiment]")  # fmt: skip
@_LANGUAGE
@pass_session
def export(session: Session, experiment: str, form: str, target: Path, lang: str) -> None:
    """Write a record as one HTML file, as Markdown with its figures, or its numbers as CSV."""
    from detui.engine.record.export import export as write

    found = session.workspace.experiment(experiment)
    _written(found, lang)
    for written in write(found.path, form, target, language=lang):
        click.echo(written)


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
    from detui.engine.errors import DetuiError
    from detui.engine.evaluate import evaluate_run
    from detui.engine.record import fill as fill_record

    problems: list[DetuiError] = []
    for run in experiment.runs():
        evaluate_run(run, problems)
    for problem in problems:
        say(f"detui: warning: {problem}")
    return fill_record(experiment.path)
