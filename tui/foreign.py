"""Filling a record that somebody else wrote, from the command line: what it was told, and what it reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_experiments
from detui.tui.output import cut, print_json, say, table

if TYPE_CHECKING:
    from detui.engine.experiment import Experiment
    from detui.engine.record.facts import ExperimentFacts, Source
    from detui.engine.record.foreign import Entry, Filled

LABEL, TEXT = 44, 40
"""Columns that a label, and what a cell holds, get in the report."""


def complete_experiments_and_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete the id of an experiment, or leave it to the shell to complete a file."""
    from click.shell_completion import CompletionItem

    return complete_experiments(ctx, param, incomplete) or [CompletionItem(incomplete, type="file")]


def is_file(what: str) -> bool:
    """Tell whether an argument is a file rather than an experiment.

    Raises MissingError for what can only be a file and is absent, UsageError for a directory that is no experiment.
    """
    from detui.engine.errors import MissingError, UsageError

    path = Path(what)
    if path.is_dir() and not (path / "experiment.json").is_file():
        raise UsageError("This is a directory, and no experiment.", where=what, hint="detui record fill FILE")
    if not path.exists() and path.suffix.lower() in (".md", ".markdown", ".txt"):
        raise MissingError("There is no such file.", where=what, hint="detui record fill EXPERIMENT, or another FILE")
    return path.exists() and not path.is_dir()


def evaluate_waiting(experiment: Experiment) -> None:
    """Evaluate the predictions of an experiment that wait for it; say what could not be."""
    from detui.engine.errors import DetuiError
    from detui.engine.evaluate import evaluate_run

    problems: list[DetuiError] = []
    for run in experiment.runs():
        evaluate_run(run, problems)
    for problem in problems:
        say(f"detui: warning: {problem}")


def fill_foreign(session: Session, path: Path, *, experiment: str | None, maps: Sequence[str], baseline: str | None,
                 dry_run: bool, as_json: bool, **choices: Any) -> None:  # fmt: skip
    """Fill a file from an experiment and report it; the report goes to stderr where a diff takes stdout."""
    from detui.engine.record.foreign import choose, fill_file
    from detui.engine.record.gather import gather

    found = session.workspace.experiment(experiment or "last")
    evaluate_waiting(found)
    facts = gather(found.path)
    options = choose(facts, maps=maps, typed_baseline=baseline == "typed", **choices)
    filled = fill_file(path, facts, options, write=not dry_run)
    if facts.quick:
        say(f"detui: warning: {found.id} is a {facts.info.get('profile')} run: its numbers are no result")
    if as_json:
        print_json(_json(path, facts, filled))
        return
    if dry_run:
        sys.stdout.write(_diff(path, filled))
        sys.stdout.flush()
    for line in report(filled.filling.entries):
        click.echo(line, err=dry_run)
    say(_summary(path, found.id, filled, dry_run))


def report(entries: Sequence[Entry]) -> list[str]:
    """What was filled with its provenance, what the runs contradict, and what was left and why, as lines."""
    lines: list[str] = []
    for what, title in (("filled", "filled"), ("updated", "updated"), ("contradicted", "contradicted, left as it is")):
        rows = [_row(entry) for entry in entries if entry.what == what]
        if rows:
            head = ["line", title, "now" if what != "contradicted" else "by the runs", "metric", "source", "note"]
            lines += [*table([head, *rows], right=(0,)), ""]
    rows = _left([entry for entry in entries if entry.what == "left"])
    if rows:
        lines += table([["line", "left", "why"], *rows])
    return lines


def _row(entry: Entry) -> list[str]:
    was = "" if entry.what == "filled" else f"{cut(entry.was, 20)} → "
    who = f"{entry.quantity} ({entry.arm})" if entry.arm else entry.quantity
    return [str(entry.line), cut(entry.label, LABEL), was + cut(entry.text, TEXT), who, _sources(entry.sources),
            entry.note]  # fmt: skip


def _sources(sources: Sequence[Source]) -> str:
    """ "no-mosaic-s0 1 epoch 24 evaluations.jsonl": run, attempt, epoch and file; how many more there are."""
    if not sources:
        return ""
    first = sources[0]
    epoch = "" if first.epoch is None else f" epoch {first.epoch}"
    run = f"{first.run} attempt {first.attempt}{epoch} " if first.run and first.file != "experiment.json" else ""
    more = f" (+{len(sources) - 1})" if len(sources) > 1 else ""
    return f"{run}{first.file.rsplit('/', 1)[-1] if run else first.file}{more}"


def _left(entries: Sequence[Entry]) -> list[list[str]]:
    """Places that are left for one reason, together."""
    reasons: dict[str, list[Entry]] = {}
    for entry in entries:
        reasons.setdefault(entry.note, []).append(entry)
    return [
        [
            _some([str(one.line) for one in found], 24),
            _some([one.label or cut(one.was, 20) for one in found], LABEL),
            why,
        ]
        for why, found in reasons.items()
    ]


def _some(names: Sequence[str], columns: int) -> str:
    return cut(", ".join(dict.fromkeys(names)), columns)


def _summary(path: Path, experiment: str, filled: Filled, dry_run: bool) -> str:
    counts = {what: sum(entry.what == what for entry in filled.filling.entries)
              for what in ("filled", "updated", "contradicted", "left")}  # fmt: skip
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no placeholder in it"
    done = "nothing written" if dry_run or not filled.written else "written"
    return f"{path}: {said}, from {experiment}; {done}"


def _diff(path: Path, filled: Filled) -> str:
    import difflib

    before, after = (text.splitlines(keepends=True) for text in (filled.before, filled.filling.text))
    lines = difflib.unified_diff(before, after, str(path), f"{path} (filled)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _json(path: Path, facts: ExperimentFacts, filled: Filled) -> dict[str, Any]:
    entries = [asdict(entry) for entry in filled.filling.entries]
    by = {what: [{k: v for k, v in entry.items() if k != "what"} for entry in entries if entry["what"] == what]
          for what in ("filled", "updated", "contradicted", "left")}  # fmt: skip
    return {"schema": 1, "file": str(path), "experiment": facts.path.name, "profile": facts.info.get("profile"),
            "written": filled.written, **by}  # fmt: skip
