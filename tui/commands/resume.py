"""`detui resume`: continue runs that ended before they had finished."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.control import losses, not_resumable, resume
from detui.tui.options import launched_options
from detui.tui.options import slurm as slurm_option
from detui.tui.requests import confirm, report


@click.command("resume", short_help="Continue runs from their last checkpoint.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@slurm_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], slurm: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Continue runs from their last checkpoint, in a new attempt. Of an experiment: all that are not finished."""
    options = launched_options(slurm)
    runs = [run for ref in refs for run in session.runs_of(ref)[1]]
    able = [run for run in runs if not_resumable(run) is None]
    if able:
        confirm(f"Resume {', '.join(run.name for run in able)}? {losses(able)}", yes)
    report(resume(runs, options), as_json)
