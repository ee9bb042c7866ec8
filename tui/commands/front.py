"""`detui front`: move a waiting run to the front."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.queueing import front
from detui.tui.requests import report


@click.command("front", short_help="Move a waiting run before the other runs of its user.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], as_json: bool) -> None:
    """Move waiting runs before all other runs of the same user. Runs of other people keep their turn."""
    report(front(run for ref in refs for run in session.runs_of(ref)[1]), as_json)
