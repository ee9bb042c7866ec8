"""`detui rm`: remove experiments."""

from __future__ import annotations

import click

from detui.tui.context import Session, complete_experiments, pass_session
from detui.tui.output import print_json, say, size


@click.command("rm", short_help="Remove experiments, their records included.")
@click.argument("refs", metavar="EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_experiments)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove experiments with everything in them: runs, checkpoints, the record. There is no way back.

    Refused while a run is live. One run alone is not removed: the record would name what is no longer there; to free
    space and keep the numbers, use `detui gc`.
    """
    from detui.engine.errors import UsageError
    from detui.engine.housekeeping import check_removable, remove_experiment
    from detui.engine.run.disk import disk_size
    from detui.tui.requests import confirm

    for ref in refs:
        if "/" in ref.strip("/") and not (session.workspace.path / ref).is_dir() and not ref.startswith(("/", ".")):
            raise UsageError(f"{ref!r} is one run of an experiment; whole experiments are removed.", hint="detui gc")
    found = {one.path: one for one in (session.workspace.experiment(ref) for ref in refs)}
    for one in found.values():
        check_removable(one)
    listed = "\n".join(f"  {one.id}  {size(disk_size(one.path))}" for one in found.values())
    confirm(f"Remove for good?\n{listed}\n", yes, grave="what is removed cannot be had back")
    freed = {one.id: remove_experiment(one) for one in found.values()}
    if as_json:
        print_json([{"experiment": name, "bytes": count} for name, count in freed.items()])
    else:
        say(f"removed {len(freed)}, {size(sum(freed.values()))}")
