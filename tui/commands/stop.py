"""`detui stop`: ask runs to save and end."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.control import ask
from detui.tui.requests import report


@click.command("stop", short_help="Ask runs to save a checkpoint and end.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], as_json: bool) -> None:
    """Ask runs to save a checkpoint at the next step and end. `detui resume` continues them."""
    runs = [run for ref in refs for run in session.runs_of(ref)[1]]
    report(ask(runs, "stop"), as_json)
