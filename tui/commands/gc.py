"""`detui gc`: free the space of checkpoints that nobody will need."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from detui.tui.context import Session, complete_experiments, pass_session
from detui.tui.output import print_json, say, size, table

if TYPE_CHECKING:
    from detui.engine.housekeeping import Removal


@click.command("gc", short_help="Free the space of checkpoints that nobody will need.")
@click.argument("refs", metavar="[EXPERIMENT...]", nargs=-1, shell_complete=complete_experiments)
@click.option("--keep", metavar="KINDS", help="best, last, milestones, all.  [default: the recipe's]")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], keep: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove checkpoints of ended runs that are not to be kept, of the experiments named or of all.

    Kept are the best and the last checkpoint of a run, unless its recipe says otherwise (`keep_checkpoints`), and those
    that an unfinished run would be resumed from. Of live runs nothing is touched; what was measured always stays. For
    all experiments, prepared data that none of them uses goes, too. What would go is shown first.
    """
    from detui.engine.housekeeping import remove, superfluous, unused_data
    from detui.tui.requests import confirm

    workspace = session.workspace
    chosen = [workspace.experiment(ref) for ref in refs] if refs else workspace.experiments()
    kinds = None if keep is None else [kind.strip() for kind in keep.split(",")]
    going = [removal for one in chosen for removal in superfluous(one, kinds)]
    going += [] if refs else unused_data(workspace.path)
    freed, left = 0, list[str]()
    if not as_json:
        _show(going)
    if going and not dry_run:
        confirm(f"Remove {len(going)} files?", yes, grave="what is removed cannot be had back")
        freed, left = remove(going)
    if as_json:
        listed = [{"path": str(one.path), "bytes": one.bytes, "why": one.why} for one in going]
        print_json({"removed": not dry_run, "files": listed, "freed": freed, "left": left})
    for line in left:
        say(f"left: {line}")
    if freed:
        say(f"freed {size(freed)}")
    sys.exit(1 if left else 0)


def _show(going: Sequence[Removal]) -> None:
    if not going:
        say("There is nothing to free.")
        return
    rows = [(size(one.bytes), _place(one), one.why) for one in going]
    click.echo("\n".join(table(rows, right=(0,))))
    say(f"{size(sum(one.bytes for one in going))} in {len(going)} files")


def _place(removal: Removal) -> str:
    """The path as a person knows it: below the workspace."""
    if removal.run is None:
        return str(removal.path.name)
    return str(removal.path.relative_to(removal.run.experiment_dir.parent))
