"""`detui retry`: repeat the runs that ended by an accident."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.control import losses, not_retried, retry
from detui.tui.options import launched_options
from detui.tui.options import slurm as slurm_option
from detui.tui.requests import confirm, report


@click.command("retry", short_help="Repeat the runs of an experiment that failed, and no others.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--fresh", is_flag=True, help="Begin again instead of going on from the last checkpoint.")
@slurm_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(
    session: Session, refs: tuple[str, ...], fresh: bool, slurm: tuple[str, ...], yes: bool, as_json: bool
) -> None:
    """Repeat what failed, crashed, ran out of memory or was lost, in a new attempt of the same run.

    Goes on from the last whole checkpoint where there is one. Runs that finished, or that were stopped or killed on
    request, are left alone. A run that failed with the settings it has will fail again: read why first.
    """
    options = launched_options(slurm)
    runs = [run for ref in refs for run in session.runs_of(ref)[1]]
    able = [run for run in runs if not_retried(run) is None]
    if able:
        names = ", ".join(run.name for run in able)
        confirm(f"Retry {names}? {'Each begins again.' if fresh else losses(able)}", yes)
    report(retry(runs, fresh=fresh, slurm=options), as_json)
