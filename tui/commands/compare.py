"""`detui compare`: runs, or the arms of experiments, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.grids import formatted, print_grids
from detui.tui.output import print_json

if TYPE_CHECKING:
    from detui.engine.analysis import SeedSummary
    from detui.engine.comparison import Report, Row
    from detui.engine.evaluate.tables import Grid
    from detui.engine.record.over_images import Images

_VERDICTS = {"varies": "declared", "confounder": "CONFOUNDER", "note": "note"}


@click.command("compare", short_help="Compare runs, or the arms of experiments.")
@click.argument("refs", metavar="RUN|EXPERIMENT...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--replicates", metavar="N", type=click.IntRange(min=0), default=1000, show_default=True,
              help="Of the bootstrap over the validation images; 0 leaves it out.")  # fmt: skip
@formatted
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, refs: tuple[str, ...], replicates: int, form: str, as_json: bool) -> None:
    """Compare runs, or the arms of experiments, with the first one named.

    Metrics of the chosen checkpoints with their difference: over seeds (Welch's interval; nothing is concluded below
    three a side) and, for one pair of runs, over the validation images (paired bootstrap). Then every field and fact in
    which the sides differ, and whether the recipe declares it.
    """
    from detui.engine.comparison import compare_sides, sides
    from detui.engine.experiment import Experiment

    chosen = []
    for ref in refs:
        experiment, runs = session.runs_of(ref)
        chosen.append((experiment, None) if experiment else (Experiment(runs[0].experiment_dir), runs[0]))
    report = compare_sides(sides(chosen), replicates=replicates)
    if as_json:
        print_json(_json(report))
        return
    print_grids(list(_grids(report)), form)


def _grids(report: Report) -> Iterator[Grid]:
    from detui.engine.evaluate.tables import Grid

    reference = report.sides[0].name
    for side in report.sides[1:]:
        title = f"{side.name} against {reference}"
        rows = tuple(_row(row) for row in report.rows if row.side == side.name)
        means = (f"{reference} (%)", f"{side.name} (%)")
        head = ("metric", *means, "delta (pp)", "95 % over seeds", "verdict", "seen from (pp)")
        if rows:
            yield Grid(title, head, rows, _SEEDS)
        else:
            yield Grid(title, ("",), (("no finished run of each has been evaluated",),))
    for images in report.images:
        yield _image_grid(images)
    yield _differences(report)


_SEEDS = (
    "mean ± standard deviation (n) of the chosen checkpoints of finished runs. seen from: so large a difference would"
    " show in 80 % of repetitions with as many seeds of this spread; a smaller one would mostly not be seen."
)


def _row(row: Row) -> tuple[str, ...]:
    found = row.seeds
    interval = f"{_points(found.interval[0])} … {_points(found.interval[1])}" if found.interval else "–"
    verdict = f"{found.verdict} ({found.reason})"
    seen = "–" if found.detectable is None else f"{100 * found.detectable:.1f}"
    cells = (_spread(row.against), _spread(row.summary), _points(found.delta), interval, verdict, seen)
    return (row.metric.removeprefix("val/").replace("_", " "), *cells)


def _spread(summary: SeedSummary) -> str:
    spread = "" if summary.std is None else f" ± {100 * summary.std:.1f}"
    return f"{100 * summary.mean:.1f}{spread} ({summary.n})"


def _points(value: float) -> str:
    from detui.engine.record.text import points

    return points(value)


def _image_grid(images: Images) -> Grid:
    from detui.engine.evaluate.tables import Grid

    title = f"{images.second} against {images.first}, over the validation images"
    if images.problem:
        return Grid(title, ("",), ((f"not compared: {images.problem}",),))
    rows = tuple(
        (
            one.metric.replace("_", " "),
            f"{100 * one.first:.1f}",
            f"{100 * one.second:.1f}",
            _points(one.delta),
            f"{_points(one.interval[0])} … {_points(one.interval[1])}",
        )
        for one in images.deltas
    )
    count = images.deltas[0].images if images.deltas else 0
    note = (
        f"{count} images of the validation split, paired bootstrap. It is about these two trained models on images like"
        " these, and says nothing of what another seed would give."
    )
    return Grid(title, ("metric", "first (%)", "second (%)", "delta (pp)", "95 % over images"), rows, note)


def _differences(report: Report) -> Grid:
    from detui.engine.evaluate.tables import Grid
    from detui.engine.secrets import redacted
    from detui.tui.output import cut
    from detui.tui.recipe_page import show

    names = [side.name for side in report.sides]
    rows = []
    for one in report.findings:
        values = redacted(one.values)
        cells = [cut(show(values.get(name)), 28) if values else "" for name in names]
        rows.append((one.field, *cells, _VERDICTS[one.level]))
    count = sum(one.level == "confounder" for one in report.findings)
    note = "No confounder: nothing differs but what is declared."
    if count:
        note = f"{count} confounder{'' if count == 1 else 's'}: the recipe does not declare them in `varies`."
    return Grid("What differs", ("field", *names, ""), tuple(rows), note)


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
