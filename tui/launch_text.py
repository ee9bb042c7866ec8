"""What the launch form says of a plan: how long, on what, what is wrong, and the question before the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from detui.engine.errors import DetuiError
from detui.engine.planning import Plan
from detui.tui.language import tr
from detui.tui.missing import environment_problem
from detui.tui.output import duration
from detui.tui.plan_text import counted, device_text, needs, share_lines
from detui.tui.recipe_page import problems, warnings
from detui.tui.widgets.hanging import Hanging
from detui.tui.widgets.palette import DIM
from detui.tui.widgets.tones import tone

if TYPE_CHECKING:
    from detui.engine.environment.standing import Standing

_NAMED = 12
"""Runs that the question names; of more, how many there are."""


def data_choices(plan: Plan) -> str:
    """Return what may stand in the line of the data: of several data sets each, with its name under the profile."""
    file, laid = plan.recipe.file, plan.recipe.profile(plan.profile).data_sets
    roles = [file.data] if isinstance(file.data, str) else file.data
    if not isinstance(roles, list):
        return tr("another data set in place of the recipe's")
    return "   ".join(f"{role} ({laid.get(role, {}).get('name', file.data_sets[role].name)})" for role in roles)


def start_note(plan: Plan) -> str:
    """Return where it would run and how long that takes, in one short line."""
    count = counted(len(plan.arms), "arm") + " × " + counted(len(plan.seeds), "seed")
    seconds = _seconds(plan)
    time = tr("time not yet known") if seconds is None else tr("about {time}", time=duration(seconds))
    return " · ".join((time, device_text(plan), count))


def _seconds(plan: Plan) -> float | None:
    """Return the seconds that all runs take together, None where one arm was never measured.

    They share the devices: as many run at once as there are devices for.
    """
    if plan.placement.slurm is not None:  # how many run at once is Slurm's to say
        return None
    known = [plan.estimates[arm.name].seconds for arm in plan.arms]
    if None in known:
        return None
    at_once = max(1, len(plan.placement.candidates) // plan.placement.count)
    each = [seconds for seconds in known if seconds is not None]
    return max(*each, sum(each) * len(plan.seeds) / at_once, 0.0)


def state(plan: Plan | None, error: DetuiError | None, environment: Standing | None) -> tuple[str, Style]:
    """Return the worst that is to be said, and its style. `environment`: the one that is needed and cannot be used."""
    if error is not None:
        return _with_hint(str(error.message), error.hint), tone("wrong")
    if plan is None:
        return tr("Planning…"), DIM
    if environment is not None:
        hint = environment.command or environment.hint
        return _with_hint(environment_problem(environment), hint), tone("wrong")
    for found, style in ((plan.errors, tone("wrong")), (warnings(plan), tone("warning"))):
        if found:
            more = len(found) - 1
            first = _with_hint(found[0].text, found[0].hint)
            return f"{first}  (+{more})" if more else first, style
    return tr("Ready."), tone("fine")


def _with_hint(text: str, hint: str | None) -> str:
    line = " ".join(text.split())
    return f"! {line} " + tr("try: {hint}", hint=hint) if hint else f"! {line}"


def report(plan: Plan) -> RenderableType:
    """Return all that is wrong, to be known, and expected of each arm."""
    return Group(*_report(plan))


def _report(plan: Plan) -> Iterator[RenderableType]:
    sections = (
        (tr("To be mended before it can start"), problems(plan.errors), tone("wrong", bold=True)),
        (tr("Warnings"), problems(warnings(plan)), tone("warning", bold=True)),
        (tr("Several devices"), share_lines(plan), tone("heading", bold=True)),
        (tr("Memory and time"), needs(plan), tone("heading", bold=True)),
    )
    for title, lines, style in sections:
        found = list(lines)
        if found:
            yield Text(title, style)
            yield from (Hanging(Text(line.strip()), 2, 4) for line in found)


def question(plan: Plan, command: str) -> str:
    """Return what is asked before a start: the runs, the devices, the warnings and the command."""
    runs = plan.runs
    start = tr("Start {runs} on {device}?", runs=counted(len(runs), "run"), device=device_text(plan))
    names = [f"  {name}" for name in runs[:_NAMED]]
    if len(runs) > _NAMED:
        names.append("  " + tr("and {count} more", count=len(runs) - _NAMED))
    told = [f"! {problem.text}" for problem in warnings(plan)]
    return "\n".join([start, "", *names, "", *told, *([""] if told else []), f"  {command}"])
