"""A comparison as tables of plain cells: metrics against the reference, over images, and what differs."""

from __future__ import annotations

from detui.engine.analysis import SeedSummary
from detui.engine.comparison import Report, Row
from detui.engine.evaluate.tables import Grid
from detui.engine.record.over_images import Images
from detui.engine.record.text import points
from detui.engine.secrets import redacted
from detui.tui.language import tr
from detui.tui.output import cut
from detui.tui.recipe_page import show


def comparison_grids(report: Report) -> list[Grid]:
    """Return all tables of a comparison."""
    return [*metric_grids(report), *map(image_grid, report.images), difference_grid(report)]


def metric_grids(report: Report) -> list[Grid]:
    """Return for each side a table of its metrics against the reference, with what the seeds say."""
    reference = report.sides[0].name
    found = []
    for side in report.sides[1:]:
        title = tr("{side} against {reference}", side=side.name, reference=reference)
        rows = tuple(_row(row) for row in report.rows if row.side == side.name)
        means = (f"{reference} (%)", f"{side.name} (%)")
        head = (
            tr("metric"), *means, tr("delta (pp)"), tr("95 % over seeds"), tr("verdict"), tr("seen from (pp)"),
        )  # fmt: skip
        if rows:
            found.append(Grid(title, head, rows, _seeds_note()))
        elif any(one.facts.imported for one in (report.sides[0], side)):
            text = tr("no metric in common: the numbers of an imported run are its framework's own")
            found.append(Grid(title, ("",), ((text,),)))
        else:
            found.append(Grid(title, ("",), ((tr("no finished run of each has been evaluated"),),)))
    return found


def _seeds_note() -> str:
    return tr(
        "mean ± standard deviation (n) of the chosen checkpoints of finished runs. seen from: so large a difference"
        " would show in 80 % of repetitions with as many seeds of this spread; a smaller one would mostly not be seen."
    )


def _row(row: Row) -> tuple[str, ...]:
    found = row.seeds
    interval = f"{points(found.interval[0])} … {points(found.interval[1])}" if found.interval else "–"
    verdict = _judged(found.verdict, found.reason)
    seen = "–" if found.detectable is None else f"{100 * found.detectable:.1f}"
    digits = 1 if row.metric.startswith("val/") else 2  # a framework's log states as many
    sides = (_spread(row.against, digits), _spread(row.summary, digits))
    cells = (*sides, points(found.delta, digits), interval, verdict, seen)
    return (row.metric.removeprefix("val/").replace("_", " "), *cells)


def _judged(verdict: str, reason: str) -> str:
    verdicts = {"inconclusive": tr("inconclusive"), "higher": tr("higher"), "lower": tr("lower")}
    reasons = {
        "too few seeds": tr("too few seeds"),
        "interval holds zero": tr("interval holds zero"),
        "interval excludes zero": tr("interval excludes zero"),
        "runs unfinished": tr("runs unfinished"),
    }
    return f"{verdicts.get(verdict, verdict)} ({reasons.get(reason, reason)})"


def _spread(summary: SeedSummary, digits: int) -> str:
    spread = "" if summary.std is None else f" ± {100 * summary.std:.{digits}f}"
    return f"{100 * summary.mean:.{digits}f}{spread} ({summary.n})"


def image_grid(images: Images) -> Grid:
    """Return what the validation images say of one pair of runs."""
    title = tr("{second} against {first}, over the validation images", second=images.second, first=images.first)
    if images.problem:
        return Grid(title, ("",), ((tr("not compared: {problem}", problem=images.problem),),))
    rows = tuple(
        (
            one.metric.replace("_", " "),
            f"{100 * one.first:.1f}",
            f"{100 * one.second:.1f}",
            points(one.delta),
            f"{points(one.interval[0])} … {points(one.interval[1])}",
        )
        for one in images.deltas
    )
    count = images.deltas[0].images if images.deltas else 0
    note = tr(
        "{count} images of the validation split, paired bootstrap. It is about these two trained models on images like"
        " these, and says nothing of what another seed would give.",
        count=count,
    )
    head = (tr("metric"), tr("first (%)"), tr("second (%)"), tr("delta (pp)"), tr("95 % over images"))
    return Grid(title, head, rows, note)


def difference_grid(report: Report) -> Grid:
    """Return every field and fact in which the sides differ, and whether the recipe declares it."""
    verdicts = {"varies": tr("declared"), "confounder": tr("! not declared"), "note": tr("note")}
    names = [side.name for side in report.sides]
    rows = []
    for one in report.findings:
        values = redacted(one.values)
        cells = [cut(show(values.get(name)), 28) if values else "" for name in names]
        rows.append((one.field, *cells, verdicts[one.level]))
    count = sum(one.level == "confounder" for one in report.findings)
    note = tr("No confounder: nothing differs but what is declared.")
    if count == 1:
        note = tr("1 confounder: the recipe does not declare them in `varies`.")
    elif count == 0 and any(one.field == "configuration" for one in report.findings):
        note = tr("How an imported side was configured is not known: nobody can say here that nothing else differs.")
    elif count:
        note = tr("{count} confounders: the recipe does not declare them in `varies`.", count=count)
    return Grid(tr("What differs"), (tr("field"), *names, ""), tuple(rows), note)
