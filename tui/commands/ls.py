"""`detui ls`: experiments and their runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from detui.tui.columns import metric_text, several_metrics
from detui.tui.context import Session, complete_experiments, pass_session
from detui.tui.glance import Glance, glance
from detui.tui.output import DASH, duration, number, print_json, say, seconds_since, size, table

if TYPE_CHECKING:
    from detui.engine.experiment import Experiment

_HEAD = ("", "STATE", "RUN", "EPOCH", "LOSS", "AP", "SINCE", "")


@click.command("ls", short_help="List experiments and their runs.")
@click.argument("experiment", required=False, shell_complete=complete_experiments)
@click.option("--active", is_flag=True, help="Only experiments with a run that has not ended.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the newest N experiments.")
@click.option("--sizes", is_flag=True, help="Say what each experiment takes on the disk.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(
    session: Session, experiment: str | None, active: bool, limit: int | None, sizes: bool, as_json: bool
) -> None:
    """List experiments, newest first, and their runs: state, epoch, loss, AP (or NDS) in percent, time in it."""
    workspace = session.workspace
    chosen = [workspace.experiment(experiment)] if experiment else workspace.experiments()[:limit]
    found = [(one, *read(one)) for one in chosen]
    if active:
        found = [entry for entry in found if any(run.live for run in entry[2])]
    bytes_of = {one.id: _disk_size(one) for one, _, _ in found} if sizes else {}
    if as_json:
        print_json([_json(*entry) | ({"bytes": bytes_of[entry[0].id]} if sizes else {}) for entry in found])
        return
    print_list(found, bytes_of)
    if not found:
        say(f"No {'active ' if active else ''}experiments in {workspace.path}.\n  try: detui recipes")


def read(experiment: Experiment) -> tuple[Mapping[str, Any], list[Glance]]:
    """Return an experiment's facts and its runs at a glance; an unreadable experiment.json gives a problem."""
    from detui.engine.errors import DetuiError

    try:
        facts: Mapping[str, Any] = experiment.facts()
    except DetuiError as error:
        facts = {"problem": str(error)}
    return facts, [glance(run, facts) for run in experiment.runs()]


def _disk_size(experiment: Experiment) -> int:
    from detui.engine.run.disk import disk_size

    return disk_size(experiment.path)


def print_list(
    found: list[tuple[Experiment, Mapping[str, Any], list[Glance]]], bytes_of: Mapping[str, int] | None = None
) -> None:
    """Print the experiments, each with a table of its runs, and by its id with what it takes on the disk."""
    every = [run for _, _, runs in found for run in runs]
    named = several_metrics(every)
    rows = [[*_HEAD[:5], "METRIC" if named else "AP", *_HEAD[6:]], *(_row(run, named=named) for run in every)]
    lines = iter(table(rows, right=(3, 4, 5, 6)))
    head = next(lines)
    for index, (experiment, facts, runs) in enumerate(found):
        taken = (bytes_of or {}).get(experiment.id)
        title = _title(experiment.id, facts) + (f"  {size(taken)}" if taken is not None else "")
        click.echo(("\n" if index else "") + title)
        if index == 0 and runs:
            click.echo(head)
        for _ in runs:
            click.echo(next(lines))


def _title(name: str, facts: Mapping[str, Any]) -> str:
    parts = [name, str(facts.get("name") or ""), f"({facts['profile']})" if facts.get("profile") else ""]
    parts += [f"#{tag}" for tag in facts.get("tags") or ()]
    if facts.get("problem"):
        parts.append(f"! {facts['problem'].splitlines()[0]}")
    return "  ".join(part for part in parts if part)


def _row(run: Glance, *, named: bool) -> tuple[str, ...]:
    epoch = f"{run.epoch}/{run.epochs}" if run.epochs else str(run.epoch)
    since = duration(seconds_since(run.since)) if run.since else DASH
    notes = run.problem or "; ".join(run.notes)
    return (f" {run.letter}", run.word, run.name, epoch, number(run.loss), metric_text(run, named=named), since, notes)


def _json(experiment: Experiment, facts: Mapping[str, Any], runs: list[Glance]) -> dict[str, Any]:
    shown = {key: facts.get(key) for key in ("recipe", "profile", "created", "name", "tags", "note", "problem")}
    shown["pulled"] = next((run.host for run in runs), None)
    return {"experiment": experiment.id, **shown, "path": str(experiment.path), "runs": [r.to_json() for r in runs]}
