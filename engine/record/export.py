"""A record in other shapes: Markdown with its figures beside it, one HTML file, LaTeX tables, a long CSV of numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detui.engine.errors import MissingError, UsageError
from detui.engine.record.exported import write_exports
from detui.engine.record.facts import ExperimentFacts, Measured, RunFacts, Source, record_path
from detui.engine.record.gather import gather
from detui.engine.record.words import Words

_LINK = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
COLUMNS = ("arm", "seed", "metric", "value", "epoch", "run", "attempt", "file", "role", "profile", "state")


@dataclass(frozen=True, slots=True)
class Options:
    """What an export may be asked for besides its format."""

    language: str = "en"
    """Of the record: "en" or "zh"."""
    standalone: bool = False
    """Whether the LaTeX is a document that compiles by itself."""


def export(
    experiment_dir: Path, form: str, to: Path, *, language: str = "en", standalone: bool = False, force: bool = False
) -> list[Path]:
    """Write the record to `to` as "md", "html", "latex" or "csv"; return what was written.

    A folder for `to` gets a file named after the experiment. A file that detui
    did not write, or that was changed since, is only written over by `force`.
    `standalone` is for LaTeX. Raises UsageError, MissingError, RunError.
    """
    if form not in FORMS:
        raise UsageError(f"There is no format {form!r}.", where="--format", hint=" | ".join(FORMS))
    if to.is_dir():
        to = to / f"{experiment_dir.name}.{SUFFIXES.get(form, form)}"
    if not to.parent.is_dir():
        raise MissingError("There is no such folder.", where=str(to.parent), hint=f"mkdir -p {to.parent}")
    files = FORMS[form](experiment_dir, to, Options(language, standalone))
    return write_exports(experiment_dir, files, force=force)


def _markdown(experiment: Path, to: Path, options: Options) -> dict[Path, bytes]:
    text = _record(experiment, options.language)
    folder = to.with_name(f"{to.stem}-figures")
    figures: dict[Path, bytes] = {}
    for name in sorted(set(_LINK.findall(text))):
        figure = experiment / name
        if not figure.is_file() or not figure.resolve().is_relative_to(experiment.resolve()):
            continue
        text = text.replace(f"]({name})", f"](<{folder.name}/{figure.name}>)")
        figures[folder / figure.name] = figure.read_bytes()
    return {to: text.encode("utf-8", "surrogateescape"), **figures}


def _html(experiment: Path, to: Path, options: Options) -> dict[Path, bytes]:
    from detui.engine.record.page import page

    text = page(experiment, _record(experiment, options.language), options.language)
    return {to: text.encode("utf-8", "replace")}


def _latex(experiment: Path, to: Path, options: Options) -> dict[Path, bytes]:
    from detui.engine.record.latex import tables

    text = tables(gather(experiment), options.language, standalone=options.standalone)
    return {to: text.encode("utf-8", "replace")}


def _csv(experiment: Path, to: Path, options: Options) -> dict[Path, bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(gather(experiment)))
    return {to: buffer.getvalue().encode("utf-8", "replace")}


def _rows(facts: ExperimentFacts) -> Iterator[tuple[object, ...]]:
    """One row a number: every evaluation of every run, the chosen one marked, its cost, means of its statistics."""
    profile = facts.info.get("profile")
    for run in facts.runs:
        for line in run.evaluations:
            role = "chosen" if run.chosen and line["epoch"] == run.chosen["epoch"] else "milestone"
            for metric in line["values"]:
                if found := run.value(metric, line):
                    yield _row(run, metric, found, role, profile)
        for metric, found in run.cost.items():
            yield _row(run, metric, found, "cost", profile)
        for metric, samples in run.statistics.items():
            attempt = samples.attempts[-1]
            source = Source(run.name, attempt, None, f"runs/{run.name}/attempts/{attempt}/metrics.jsonl")
            yield _row(run, metric, Measured(samples.mean, source), "statistic", profile)


def _row(run: RunFacts, metric: str, found: Measured, role: str, profile: object) -> tuple[object, ...]:
    source = found.source
    return (
        run.arm,
        run.seed,
        metric,
        repr(found.value),
        source.epoch,
        source.run,
        source.attempt,
        source.file,
        role,
        profile,
        run.state,
    )


def _record(experiment: Path, language: str) -> str:
    """The record as it stands, with a first line that says so while the experiment has not ended well."""
    path = record_path(experiment, language)
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise MissingError(
            "This experiment has no record yet.", where=str(path), hint=f"detui record fill {experiment.name}"
        ) from None
    facts = gather(experiment)
    if not facts.unfinished(*facts.arms):
        return text
    return f"> {Words(language)('unfinished')}\n\n{text}"


FORMS: dict[str, Callable[[Path, Path, Options], dict[Path, bytes]]] = {
    "md": _markdown,
    "html": _html,
    "latex": _latex,
    "csv": _csv,
}
SUFFIXES = {"latex": "tex"}
