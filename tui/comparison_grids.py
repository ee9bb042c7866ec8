"""A comparison as tables of plain cells: metrics against the reference, over images, and what differs."""

from __future__ import annotations

from detui.engine.analysis import SeedSummary, summarise
from detui.engine.analysis.interaction import Cell, Contrast, Crossed, Interaction, contrast
from detui.engine.comparison import METRICS, Report, Row, Side, headline
from detui.engine.evaluate.tables import Grid, in_percent
from detui.engine.record import words_aqr
from detui.engine.record.claimed import Claimed
from detui.engine.record.over_images import Images
from detui.engine.record.results import Results
from detui.engine.record.text import one_line, points
from detui.engine.secrets import redacted
from detui.tui import language
from detui.tui.language import tr
from detui.tui.output import DASH, cut
from detui.tui.recipe_page import show


def comparison_grids(report: Report) -> list[Grid]:
    """Return all tables of a comparison."""
    first = [*data_grids(report), *metric_grids(report)]
    return [*first, *map(image_grid, report.images), *claim_grids(report), difference_grid(report)]


def data_grids(report: Report) -> list[Grid]:
    """Return which sides were judged on which images, where those are not the same for all; nothing else."""
    if len(report.groups) == 1:
        return []
    rows = []
    for place, group in enumerate(report.groups):
        names, data = ", ".join(side.name for side in group), group[0].data
        objects = ((data.get("splits") or {}).get("val") or {}).get("objects_per_image") or {}
        density = f"{objects['mean']:.1f}" if objects else DASH
        mark = tr("! other images than above") if place else ""
        rows.append((names, group[0].data_name, str(data.get("name") or ""), density, mark))
    note = tr(
        "The data differ. No side is subtracted from one on other data, and no images are compared: each stands against"
        " the first side that was judged on the same images."
    )
    head = (tr("sides"), tr("data"), tr("name"), tr("objects an image (val)"), "")
    return [Grid(tr("! Not all sides were judged on the same images"), head, tuple(rows), note)]


def metric_grids(report: Report) -> list[Grid]:
    """Return for each side a table of its metrics against its reference, with what the seeds say.

    A side without another one on its data has a table of its own numbers. Arms on several data sets come last.
    """
    found = []
    for reference, side in report.pairs():
        title = tr("{side} against {reference}", side=side.name, reference=reference.name)
        rows = tuple(_row(row) for row in report.rows if row.side == side.name)
        means = (f"{reference.name} (%)", f"{side.name} (%)")
        head = (
            tr("metric"), *means, tr("delta (pp)"), tr("95 % over seeds"), tr("verdict"), tr("seen from (pp)"),
        )  # fmt: skip
        if rows:
            found.append(Grid(title, head, rows, _seeds_note()))
        elif reference.finished and side.finished and (reference.facts.imported or side.facts.imported):
            text = tr("no metric in common: the numbers of an imported run are its framework's own")
            found.append(Grid(title, ("",), ((text,),)))
        else:
            found.append(Grid(title, ("",), ((tr("no finished run of each has been evaluated"),),)))
    found += [_alone(group[0]) for group in report.groups if len(group) == 1]
    return [*found, *([crossed_grid(report.crossed)] if report.crossed else [])]


def _alone(side: Side) -> Grid:
    """A side on whose data there is no other."""
    title = tr("{side}, alone on {data}", side=side.name, data=side.data_name)
    rows = tuple((_metric(name), _spread(summarise(list(points.values()))))
                 for name in (*METRICS, *headline(side)) if (points := side.points(name)))  # fmt: skip
    if not rows:
        return Grid(title, ("",), ((tr("no finished run has been evaluated"),),))
    return Grid(title, (tr("metric"), f"{side.name} (%)"), rows)


def crossed_grid(crossed: Crossed) -> Grid:
    """Return AP of arms by data sets, their differences, and how much those differ from one data set to another."""
    first, *others = crossed.data_sets
    head = (tr("AP (%)"), *crossed.data_sets, *(f"{first} − {other} (pp)" for other in others))
    rows, notes = [], []
    for arm in crossed.arms:
        cells = [crossed.cells.get((arm, data)) for data in crossed.data_sets]
        rows.append((arm, *map(_cell, cells), *(DASH for _ in others)))
    for arm in crossed.arms[1:]:
        name = f"{arm} − {crossed.arms[0]} (pp)"
        both = [[crossed.cells.get((one, data)) for one in (arm, crossed.arms[0])] for data in crossed.data_sets]
        told = [one for one in crossed.interactions if one.arm == arm]
        rows.append((name, *(_difference(*pair) for pair in both), *(_contrast(one.contrast) for one in told)))
        notes += [tr("{name} by {first} against {other}: {said}.", name=name, first=one.data_set, other=one.against,
                     said=_concluded(one)) for one in told]  # fmt: skip
    said = tr(
        "Differences between arms on the same data, and at the right how much those differ from one data set to"
        " another, with their 95 % intervals over seeds."
    )
    return Grid(tr("Arms by data"), head, tuple(rows), " ".join([said, *notes]))


def _cell(cell: Cell | None) -> str:
    return _spread(summarise(list(cell.points.values()))) if cell and cell.points else DASH


def _difference(one: Cell | None, other: Cell | None) -> str:
    if not one or not other or not one.points or not other.points:
        return DASH
    return _contrast(contrast([list(one.points.values()), list(other.points.values())], (1, -1)))


def _contrast(found: Contrast | None) -> str:
    if found is None:
        return DASH
    interval = f" [{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else ""
    return f"{points(found.value)}{interval}"


def _concluded(one: Interaction) -> str:
    """What the interval says of 0, or why nothing is concluded."""
    if one.contains_zero is None:
        return _judged("inconclusive", "not measured" if one.reason == "missing" else one.reason)
    return tr("interval holds zero") if one.contains_zero else tr("interval excludes zero")


def claim_grids(report: Report) -> list[Grid]:
    """Return what documents state of the sides, each number beside what was measured; nothing where none does."""
    if not report.claims:
        return []
    iterations = any(claim.iteration is not None for claim in report.claims)
    rows = tuple(_claim(claim, iterations=iterations) for claim in report.claims)
    moments = (tr("epoch"), tr("iteration")) if iterations else (tr("epoch"),)
    head = (tr("side"), tr("metric"), *moments, tr("claimed"), tr("measured"), tr("source of the claim"))
    note = tr(
        "Claimed: what a document states, and nothing that was measured here. No difference is computed and no verdict"
        " rests on it. Without an epoch or iteration, measured is that of the chosen checkpoints, or the last that"
        " a program told of its own: mean ± standard"
        " deviation (n)."
    )
    return [Grid(tr("Claimed elsewhere"), head, rows, note)]


def _claim(claim: Claimed, *, iterations: bool) -> tuple[str, ...]:
    """Return a row; with a column for the iteration where any claim names one."""
    form = Results.form(claim.metric)
    unit = " (%)" if in_percent(claim.metric) else ""
    measured = DASH
    if claim.measured is not None:
        spread = "" if claim.measured.std is None else f" ± {form(claim.measured.std)}"
        measured = f"{form(claim.measured.mean)}{spread} ({claim.measured.n})"
    source = f"{claim.source} ({claim.note})" if claim.note else claim.source
    moments = (claim.epoch, claim.iteration) if iterations else (claim.epoch,)
    at = (DASH if moment is None else str(moment) for moment in moments)
    return (
        claim.side,
        _metric(claim.metric) + unit,
        *at,
        Results.stated(claim.metric)(claim.value),
        measured,
        one_line(source),
    )


def _metric(name: str) -> str:
    if told := words_aqr.label(name, language.current()):
        return told
    return name.removeprefix("val/").replace("_", " ")


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
    return (_metric(row.metric), *cells)


def _judged(verdict: str, reason: str) -> str:
    verdicts = {"inconclusive": tr("inconclusive"), "higher": tr("higher"), "lower": tr("lower")}
    reasons = {
        "too few seeds": tr("too few seeds"),
        "interval holds zero": tr("interval holds zero"),
        "interval excludes zero": tr("interval excludes zero"),
        "runs unfinished": tr("runs unfinished"),
        "not measured": tr("not measured"),
    }
    return f"{verdicts.get(verdict, verdict)} ({reasons.get(reason, reason)})"


def _spread(summary: SeedSummary, digits: int = 1) -> str:
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
