"""`detui run`: from a recipe to its record."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_recipes, pass_session
from detui.tui.options import F, added, choices, make_plan
from detui.tui.output import print_json, say
from detui.tui.plan_text import counted, device_text, needs, share_lines
from detui.tui.watch import Presses

if TYPE_CHECKING:
    from detui.engine.experiment import Experiment
    from detui.engine.planning import Plan
    from detui.engine.run.directory import RunDir
    from detui.tui.glance import Glance
    from detui.tui.watch import View

_LOG_LINES = 12


LAUNCH = ("name", "tags", "note", "detach", "no_evaluate", "strict", "yes", "as_json")
"""The parameters of these options."""


def launching(function: F) -> F:
    """Add the options of a launch: shared by `run` and `branch`."""
    options = (
        click.option("--name", metavar="NAME", help="A name for the experiment, beside its time stamp."),
        click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag. Repeatable."),
        click.option("--note", metavar="TEXT", help="A note that goes into the record."),
        click.option("--detach", is_flag=True, help="Return when the runs are started; print the experiment's id."),
        click.option("--no-evaluate", is_flag=True, help="Train only: predictions wait for `detui record fill`."),
        click.option("--strict", is_flag=True, help="Refuse to start where arms differ in what is not declared."),
        click.option("--yes", is_flag=True, help="Do not ask when the plan has warnings."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the record."),
    )
    return added(function, options)


@click.command("run", short_help="Run a recipe: every arm with every seed, then the record.")
@click.argument("recipe", shell_complete=complete_recipes)
@choices
@click.option("--preflight", is_flag=True, help="Measure what has no history with a few steps first.")
@launching
@pass_session
def command(session: Session, /, recipe: str, preflight: bool, **options: Any) -> None:
    """Run RECIPE: every arm with every seed, each a process of its own that outlives this terminal.

    Waits and shows the progress; Ctrl-C once stops the runs with a checkpoint; twice does not wait for it.
    Ends with the record on stdout. Exit code: 0 when all runs finished and are evaluated, 1 otherwise, 130 when
    interrupted.
    """
    about = {name: options.pop(name) for name in LAUNCH}
    plan = make_plan(session, recipe, **options)
    if preflight:
        plan.raise_errors()
        plan = preflighted(session, plan)
    launch(session, plan, **about)


def launch(
    session: Session,
    plan: Plan,
    *,
    name: str | None,
    tags: tuple[str, ...],
    note: str | None,
    detach: bool,
    no_evaluate: bool,
    strict: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Start a plan; wait and show its record unless detached. Ends the process with the exit code of `detui run`."""
    plan.raise_errors()
    if strict:
        plan.raise_confounders()
    for line in (*share_lines(plan), *needs(plan)):
        say(line)
    _warn(plan, yes)
    about = {"name": name, "tags": tags, "note": note, "evaluate": not no_evaluate}
    if detach:
        _detached(_start(session, plan, Presses(), **about), as_json)
        return
    presses = Presses()
    with presses.counted():
        experiment = _start(session, plan, presses, **about)
        code = _attend(experiment, as_json, presses, evaluated=not no_evaluate)
    sys.exit(code)


def _warn(plan: Plan, yes: bool) -> None:
    """Show the plan's warnings; on a terminal, ask whether to go on all the same."""
    warnings = [problem for problem in plan.problems if problem.level == "warning"]
    for problem in warnings:
        say(f"detui: warning: {problem.text}" + (f"\n  try: {problem.hint}" if problem.hint else ""))
    if warnings and not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Run it all the same? The record will say so.", abort=True, default=True, err=True)


def _start(session: Session, plan: Plan, presses: Presses, **about: Any) -> Experiment:
    with preparing() as progress:
        experiment = session.workspace.start(plan, **about, progress=progress)
        presses.counting = True  # from here on a Ctrl-C is for the runs
    say(f"{experiment.id}: {counted(len(plan.runs), 'run')} on {device_text(plan)}")
    return experiment


def preflighted(session: Session, plan: Plan) -> Plan:
    """Measure the arms without history, and say what goes on."""
    with preparing() as progress:
        return session.workspace.preflight(plan, progress)


@contextmanager
def preparing() -> Iterator[_Preparing]:
    """Say on standard error what is being prepared, as long as it takes."""
    progress = _Preparing()
    try:
        yield progress
    finally:
        progress.end()


class _Preparing:
    """Says what is being prepared: on a terminal a line that counts, elsewhere each thing once with its size."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._moves = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._moves:
            click.echo(f"\r\x1b[K{what} {done}/{total}" if total else f"\r\x1b[K{what}", err=True, nl=False)
        elif what not in self._said:
            self._said.add(what)
            say(f"{what}{f' ({total})' if total else ''}")

    def end(self) -> None:
        """Take the line away."""
        if self._moves:
            click.echo("\r\x1b[K", err=True, nl=False)


def _detached(experiment: Experiment, as_json: bool) -> None:
    if as_json:
        print_json({"experiment": experiment.id, "path": str(experiment.path), "runs": _names(experiment)})
    else:
        click.echo(experiment.id)
    say(_how_to_find(experiment))


def _names(experiment: Experiment) -> list[str]:
    return [run.name for run in experiment.runs()]


def _how_to_find(experiment: Experiment) -> str:
    return f"  follow: detui ls {experiment.id}   stop: detui stop {experiment.id}   look: detui"


def _attend(experiment: Experiment, as_json: bool, presses: Presses, *, evaluated: bool) -> int:
    """Wait for the runs, show the record, and return the exit code."""
    from detui.tui.watch import Left, wait

    try:
        with _view() as view:
            found, stopped = wait(experiment.runs(), experiment.facts(), view, presses)
    except Left:
        say("The runs are left to themselves: they save a checkpoint and end, without this terminal.")
        say(_how_to_find(experiment))
        return 130
    presses.counting = False  # nothing is left to stop
    waiting = _not_evaluated(experiment.runs(), found) if evaluated else {}
    if evaluated and all(run.word == "finished" for run in found):
        _measure_speed(experiment)
    _conclude(experiment, found, waiting, as_json)
    if all(run.word == "finished" for run in found):
        return 1 if waiting else 0
    return 130 if stopped else 1


def _measure_speed(experiment: Experiment) -> None:
    """Measure the speeds that goals, or the recipe, ask for; one that cannot be measured now stays a placeholder."""
    from detui.engine.speed import measure_at_end

    try:
        problems = [problem.message for problem in measure_at_end(experiment.path, say)]
    except KeyboardInterrupt:  # while it waits for a device, for one; the runs have ended, and their record is there
        problems = ["interrupted"]
    for message in problems:
        say(f"detui: warning: the speed was not measured: {message}\n  try: detui speed {experiment.id}/RUN")


def _not_evaluated(runs: Sequence[RunDir], found: Sequence[Glance]) -> dict[str, list[str]]:
    """Return what a record without gaps lacks: for each run, its predictions without numbers and failed evaluations."""
    from detui.engine.errors import DetuiError
    from detui.engine.evaluate.pending import pending

    lacking: dict[str, list[str]] = {}
    for run, seen in zip(runs, found, strict=True):
        try:
            waiting = [f"{a.number}/{line.get('path')}" for a in run.attempts() for line in pending(a)]
        except DetuiError as error:
            waiting = [str(error)]
        waiting += [note for note in seen.notes if note.startswith("evaluation failed")]
        if waiting:
            lacking[run.name] = waiting
    return lacking


def _view() -> AbstractContextManager[View]:
    from detui.tui.watch import BarView, PlainView

    return BarView.open() if sys.stderr.isatty() else nullcontext(PlainView())


def _conclude(experiment: Experiment, found: Sequence[Glance], waiting: dict[str, list[str]], as_json: bool) -> None:
    record = experiment.record_path()
    figures = sorted(experiment.path.glob("figures/*.png"))
    if as_json:
        paths = {"path": experiment.path, "record": record if record.is_file() else None}
        runs = [run.to_json() for run in found]
        figures_json = [str(figure) for figure in figures]
        about = {"experiment": experiment.id, **paths, "figures": figures_json, "not_evaluated": waiting}
        print_json({**about, "runs": runs})
    elif record.is_file():
        _print_record(record)
    sys.stdout.flush()
    for run in found:
        if run.word not in ("finished", "stopped"):
            _explain(run)
    for name, lacking in waiting.items():
        say(f"\n{name}: not evaluated: {', '.join(lacking)}\n  try: detui record fill {experiment.id}")
    if resumable := [run for run in found if run.word in ("stopped", "killed")]:
        say(f"{len(resumable)} can go on: detui resume {experiment.id}")
    say(f"experiment  {experiment.path}")
    say(f"record      {record if record.is_file() else 'not written'}")
    for figure in figures:
        say(f"figure      {figure}")


def _print_record(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        click.echo(text, nl=not text.endswith("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from detui.tui.markdown import without_comments

    Console().print(Markdown(without_comments(text)))


def _explain(run: Glance) -> None:
    """Say how a run ended and what it said last."""
    from detui.engine.run.directory import RunDir
    from detui.tui.console import ConsoleReader

    reason = run.problem or getattr(run.state, "reason", None)
    say(f"\n{run.name} {run.word}{f': {reason}' if reason else ''}")
    for text in ConsoleReader(RunDir(run.path)).poll()[-_LOG_LINES:]:
        say(f"  | {text}")
    say(f"  try: detui tail {run.ref} --log")
