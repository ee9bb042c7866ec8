"""`detui hold`: let others pass a run that waits."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.queueing import hold
from detui.tui.requests import report


@click.command("hold", short_help="Let others pass a run that waits in the queue.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], as_json: bool) -> None:
    """Let others pass runs that wait: they keep their places. `detui release` ends it, `detui stop` cancels them."""
    report(hold(run for ref in refs for run in session.runs_of(ref)[1]), as_json)
