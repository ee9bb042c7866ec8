"""`detui kill`: end runs at once."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.control import ask, elsewhere
from detui.tui.requests import confirm, report


@click.command("kill", short_help="End runs at once, without a checkpoint.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """End runs at once. What they did since their last checkpoint is lost; `detui stop` saves first."""
    runs = [run for ref in refs for run in session.runs_of(ref)[1]]
    names = ", ".join(run.name for run in runs if elsewhere(run, "kill") is None)
    if names:
        confirm(
            f"Kill {names}? What was done since the last checkpoint is lost.",
            yes,
            grave="what was done since the last checkpoint is lost",
        )
    report(ask(runs, "kill"), as_json)
