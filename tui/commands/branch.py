"""`detui branch`: a new run from another run's checkpoint, with changed settings."""

from __future__ import annotations

from typing import Any

import click

from detui.tui.commands.run import launch, launching
from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.options import WHERE, devices, overriding


@click.command("branch", short_help="Start a new run from another run's checkpoint, with changed settings.")
@click.argument("run", shell_complete=complete_runs)
@click.option(
    "--at", metavar="last|best|EPOCH", default="last", show_default=True,
    help="The checkpoint to begin at: the newest, the one that counts by the recipe's rule, or that of an epoch.",
)  # fmt: skip
@overriding
@devices
@click.option("--plan", "as_plan", is_flag=True, help="Only show what would be run.")
@launching
@pass_session
def command(session: Session, /, run: str, at: str, overrides: tuple[str, ...], as_plan: bool, **options: Any) -> None:
    """Start a new run of RUN's arm and seed at one of its checkpoints: --set train.epochs=400, or another train.lr0.

    The branch is an experiment of its own. Steps and epochs go on counting, and its record says where it came from.
    The model, the optimizer's kind and the data stay. Waits and shows the record as `detui run` does.
    """
    chosen = {name: options.pop(name) for name in WHERE}
    plan = session.workspace.branch(run, at=at, overrides=overrides, **chosen)
    if as_plan:
        from detui.tui.recipe_page import show_page

        show_page(plan, as_plan=True)
        return
    launch(session, plan, **options)
