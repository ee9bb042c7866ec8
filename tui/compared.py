"""The comparison of runs for the screen: which sides they make, and its tables, computed in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.text import Text
from textual.message import Message

from detui.engine.comparison import Report, Side, compare_sides, joined, over_images, sides
from detui.engine.errors import DetuiError, UsageError
from detui.engine.evaluate.tables import Grid
from detui.engine.experiment import Experiment
from detui.tui.comparison_grids import claim_grids, data_grids, difference_grid, image_grid, metric_grids
from detui.tui.curves import Member
from detui.tui.grid_text import grids_text, wrapped
from detui.tui.language import tr


@dataclass(frozen=True, slots=True)
class Tables:
    """What is known of a comparison so far."""

    lead: tuple[str, ...] = ()
    """What is compared with what, and what is left out."""
    metrics: tuple[Grid, ...] = ()
    differences: tuple[Grid, ...] = ()
    problem: str | None = None
    """Why there is no comparison, and what to do."""
    done: bool = False
    """Whether all is there: the intervals over images come last."""


class Compared(Message):
    """A comparison got further."""

    def __init__(self, tables: Tables, work: Comparing) -> None:
        super().__init__()
        self.tables = tables
        self.work = work
        """Which one: an older one's is not shown."""


class Comparing:
    """One comparison at work."""

    def __init__(self, members: Sequence[Member], post: Callable[[Message], bool]) -> None:
        """The first of `members` is the reference. `post`: hands a message to the screen."""
        self._members = tuple(members)
        self._post = post
        self._unwanted = threading.Event()

    def cancel(self) -> None:
        """Compute no further than what is being computed."""
        self._unwanted.set()

    def run(self) -> None:
        """Compare; called in the thread. Posts what is known after every step."""
        try:
            self._compare()
        except DetuiError as error:
            self._tell(Tables(problem=_said(error), done=True))
        except OSError as error:
            self._tell(Tables(problem=f"{error.filename or ''}: {error.strerror or error}", done=True))

    def _compare(self) -> None:
        chosen = sides_of(self._members)
        report = compare_sides(chosen, replicates=0)
        tables = Tables(
            lead=_lead(self._members, report),
            metrics=(*data_grids(report), *metric_grids(report), *claim_grids(report)),
            differences=(difference_grid(report),),
        )
        for reference, side in report.pairs():
            if not self._tell(tables):
                return
            images = image_grid(over_images(reference, side))
            tables = replace(tables, metrics=(*tables.metrics, images))
        self._tell(replace(tables, done=True))

    def _tell(self, tables: Tables) -> bool:
        return not self._unwanted.is_set() and self._post(Compared(tables, self))


def by_arms(members: Sequence[Member]) -> bool:
    """Tell whether the sides are arms with the chosen seeds: all runs of one experiment, in at least two arms."""
    return len({one.run.experiment_dir for one in members}) == 1 and len({one.arm for one in members}) > 1


def sides_of(members: Sequence[Member]) -> list[Side]:
    """Return the sides, the reference's first. Raises UsageError below two, DetuiError for what cannot be read."""
    if len(members) < 2:
        hint = tr("Mark another run in the list of runs with space, then press c.")
        raise UsageError(tr("There is one run only, and nothing to compare it with."), hint=hint)
    experiments = {one.run.experiment_dir: Experiment(one.run.experiment_dir) for one in members}
    found = sides([(experiments[one.run.experiment_dir], one.run) for one in members])
    return joined(found) if by_arms(members) else found


def command(members: Sequence[Member]) -> str:
    """Return the command that prints the same."""
    return f"detui compare {'--by-arm ' if by_arms(members) else ''}{' '.join(member.ref for member in members)}"


def _lead(members: Sequence[Member], report: Report) -> tuple[str, ...]:
    names = ", ".join(side.name for side in report.sides)
    if by_arms(members):
        said = tr("Arms of {experiment} with the seeds that are listed: {names}.",
                  experiment=members[0].run.experiment_dir.name, names=names)  # fmt: skip
    else:
        said = tr("Each run is a side of its own: {names}.", names=names)
    waiting = [run for side in report.sides for run in side.runs if not run.finished]
    lines = [tr("{said} Reference: {name}.", said=said, name=report.sides[0].name)]
    if waiting:
        left = ", ".join(f"{run.name} ({tr(run.state)}, {run.epoch}/{run.total_epochs})" for run in waiting)
        lines.append(tr("Not finished, so left out of the numbers: {runs}.", runs=left))
        if any(run.terminal for run in waiting):
            lines.append(tr("To finish one: enter in the list of runs here, then r to resume it."))
    return tuple(lines)


def _said(error: DetuiError) -> str:
    said = f"{error.where}: {error.message}" if error.where else error.message
    return "\n".join(part for part in (said, error.hint) if part)


def page(tables: Tables | None, metrics: bool, columns: int) -> Text:
    """Return the page of metrics or of differences, in `columns` columns."""
    if tables is None:
        return Text(tr("comparing…"))
    if tables.problem is not None:
        return Text("\n".join(line for said in tables.problem.splitlines() for line in wrapped(said, columns)))
    text = Text("\n".join(line for said in tables.lead for line in wrapped(said, columns)) + "\n\n", no_wrap=True)
    text.append_text(grids_text(tables.metrics if metrics else tables.differences, columns))
    if metrics and not tables.done:
        text.append("\n" + tr("comparing over the validation images…"))
    return text
