"""`detui compare`: runs, or the arms of experiments, side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_sides, find_side, pass_session
from detui.tui.grids import formatted, print_grids
from detui.tui.output import print_json

if TYPE_CHECKING:
    from detui.engine.comparison import Report


@click.command("compare", short_help="Compare runs, or the arms of experiments.")
@click.argument("refs", metavar="EXPERIMENT[/ARM|/RUN]...", nargs=-1, required=True, shell_complete=complete_sides)
@click.option("--replicates", metavar="N", type=click.IntRange(min=0), default=1000, show_default=True,
              help="Of the bootstrap over the validation images; 0 leaves it out.")  # fmt: skip
@click.option("--by-arm", is_flag=True, help="Take named runs as the seeds of their arms, and compare the arms.")
@formatted
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], replicates: int, by_arm: bool, form: str, as_json: bool) -> None:
    """Compare runs, arms, or all arms of experiments, with the first one named.

    Metrics of the chosen checkpoints with their difference: over seeds (Welch's interval; nothing is concluded below
    three a side) and, for one pair of runs, over the validation images (paired bootstrap). Then what documents claim of
    the sides, beside what was measured, and every field and fact in which the sides differ, and whether the recipe
    declares it. Numbers on different validation images are not subtracted: each side is compared with the first one
    that was judged on the same.
    """
    from detui.engine.comparison import compare_sides, joined, sides
    from detui.tui.comparison_grids import comparison_grids

    found = sides([find_side(session.workspace, ref) for ref in refs])
    report = compare_sides(joined(found) if by_arm else found, replicates=replicates)
    if as_json:
        print_json(_json(report))
        return
    print_grids(comparison_grids(report), form)


def _json(report: Report) -> dict[str, Any]:
    references = {side.name: group[0].name for group in report.groups for side in group}
    return {
        "schema": 1,
        "reference": report.sides[0].name,
        "sides": [
            {
                "name": s.name,
                "experiment": s.facts.info["id"],
                "arm": s.arm,
                "runs": [run.name for run in s.runs],
                "data": s.data_name,
                "fingerprint": s.data.get("fingerprint"),
                "reference": references[s.name],
            }
            for s in report.sides
        ],
        "metrics": [asdict(row) for row in report.rows],
        "images": [asdict(images) for images in report.images],
        "findings": [asdict(finding) for finding in report.findings],
        "claims": [asdict(claim) for claim in report.claims],
        "interactions": [asdict(one) for one in report.crossed.interactions] if report.crossed else [],
    }
