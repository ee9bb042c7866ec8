"""`detui release`: let a held run take part in the queue again."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.queueing import release
from detui.tui.requests import report


@click.command("release", short_help="Let a held run take part in the queue again.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], as_json: bool) -> None:
    """Let held runs take part in the queue again, at the places that they kept."""
    report(release(run for ref in refs for run in session.runs_of(ref)[1]), as_json)
