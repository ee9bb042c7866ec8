"""`detui compare`: runs, or the arms of experiments, side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.grids import formatted, print_grids
from detui.tui.output import print_json

if TYPE_CHECKING:
    from detui.engine.comparison import Report


@click.command("compare", short_help="Compare runs, or the arms of experiments.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--replicates", metavar="N", type=click.IntRange(min=0), default=1000, show_default=True,
              help="Of the bootstrap over the validation images; 0 leaves it out.")  # fmt: skip
@click.option("--by-arm", is_flag=True, help="Take named runs as the seeds of their arms, and compare the arms.")
@formatted
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], replicates: int, by_arm: bool, form: str, as_json: bool) -> None:
    """Compare runs, or the arms of experiments, with the first one named.

    Metrics of the chosen checkpoints with their difference: over seeds (Welch's interval; nothing is concluded below
    three a side) and, for one pair of runs, over the validation images (paired bootstrap). Then every field and fact in
    which the sides differ, and whether the recipe declares it.
    """
    from detui.engine.comparison import compare_sides, joined, sides
    from detui.engine.experiment import Experiment
    from detui.tui.comparison_grids import comparison_grids

    chosen = []
    for ref in refs:
        experiment, runs = session.runs_of(ref)
        chosen.append((experiment, None) if experiment else (Experiment(runs[0].experiment_dir), runs[0]))
    found = sides(chosen)
    report = compare_sides(joined(found) if by_arm else found, replicates=replicates)
    if as_json:
        print_json(_json(report))
        return
    print_grids(comparison_grids(report), form)


def _json(report: Report) -> dict[str, Any]:
    return {
        "schema": 1,
        "reference": report.sides[0].name,
        "sides": [
            {"name": s.name, "experiment": s.facts.info["id"], "arm": s.arm, "runs": [run.name for run in s.runs]}
            for s in report.sides
        ],
        "metrics": [asdict(row) for row in report.rows],
        "images": [asdict(images) for images in report.images],
        "findings": [asdict(finding) for finding in report.findings],
    }
