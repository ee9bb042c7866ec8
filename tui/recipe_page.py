"""A recipe as a page of text: question, arms, what differs, protocol, data. For `detui show` and the application."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detui.engine.secrets import redacted
from detui.tui.output import cut, table

if TYPE_CHECKING:
    from detui.engine.backends.base import Problem
    from detui.engine.planning import Plan
    from detui.engine.recipe.schema import Claim, Goal

_VALUE = 44


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page."""

    title: str
    lines: tuple[str, ...]


def page(plan: Plan, language: str = "en") -> list[Section]:
    """Return the sections of a recipe's page, as it would be launched with these choices."""
    found = [
        Section("To be mended before it can start", tuple(_problems(plan.errors))),
        Section("Question", (plan.recipe.question.in_language(language),)),
        Section("Arms", tuple(_arms(plan, language))),
        Section("What differs", tuple(_differs(plan))),
        Section("Protocol", tuple(_protocol(plan))),
        Section("Data", tuple(_data(plan))),
        Section("Goals", tuple(_goal(goal) for goal in plan.recipe.file.goals)),
        Section("Claims (stated by documents, not measured here)", tuple(map(_claim, plan.recipe.file.claims))),
        Section("Warnings", tuple(_problems([p for p in plan.problems if p.level == "warning"]))),
    ]
    return [section for section in found if section.lines]


def show_page(plan: Plan, language: str = "en", *, as_plan: bool) -> None:
    """Print a recipe's page, or with `as_plan` what would be run, and the command that runs it."""
    import click

    click.echo(f"{plan.recipe.ref}: {plan.recipe.title.in_language(language)}\n")
    sections = page(plan, language)
    click.echo(as_text(plan_page(plan) if as_plan else sections))
    if as_plan:
        problems = [section for section in sections if section.title.startswith(("To be mended", "Warnings"))]
        click.echo(f"\n{as_text(problems)}" if problems else "", nl=bool(problems))
    click.echo(f"\nRun it\n  {plan.command()}")


def as_text(sections: Sequence[Section]) -> str:
    """Return sections as indented text."""
    return "\n\n".join("\n".join([s.title, *(f"  {line}" for line in s.lines)]) for s in sections)


def _arms(plan: Plan, language: str) -> list[str]:
    return table([(arm.name, arm.title.in_language(language)) for arm in plan.arms])


def _differs(plan: Plan) -> list[str]:
    """Return a table of the fields that differ; one that the recipe does not let vary is marked."""
    found = redacted(plan.differs())
    if not found:
        return ["nothing"] if len(plan.arms) > 1 else []
    undeclared = {finding.field for finding in plan.fairness if finding.level == "confounder"}
    names = [arm.name for arm in plan.arms]
    rows = [("", *names, "")]
    for field, values in found.items():
        mark = "! not in `varies`" if field in undeclared else ""
        rows.append((field, *(cut(show(values.get(name)), 24) for name in names), mark))
    return table(rows)


def _protocol(plan: Plan) -> Iterator[str]:
    seeds = ", ".join(map(str, plan.seeds))
    yield f"{plural(len(plan.arms), 'arm')} × {plural(len(plan.seeds), 'seed')} ({seeds})"
    epochs = {arm.name: arm.epochs for arm in plan.arms}
    if len(set(epochs.values())) == 1:
        yield f"{next(iter(epochs.values()))} epochs"
    else:
        yield "epochs: " + ", ".join(f"{name} {count}" for name, count in epochs.items())
    stages = plan.arms[0].stages
    if len(stages) > 1:
        yield "stages: " + " → ".join(f"{stage.name} ({stage.epochs})" for stage in stages)
    rule = plan.resolved.checkpoint_rule
    yield f"checkpoint: {rule['rule']}" + (f" by {rule['metric']}" if rule["rule"] == "best" else "")
    yield "evaluated after epochs " + ", ".join(map(str, plan.resolved.milestones))
    yield f"profile: {plan.profile}"
    yield f"device: {plan.placement.text}"


def _data(plan: Plan) -> Iterator[str]:
    if plan.data is None:
        yield "the program brings its own"
        return
    yield plan.data.text
    selected = plan.resolved.data
    if selected is not None:
        roles = {"train": selected.train, "val": selected.val, "test": selected.test}
        for role, split in ((role, split) for role, split in roles.items() if split):
            yield f"{role}: " + (f"the first {split.images} images of {split.split}" if split.images else split.split)


def _goal(goal: Goal) -> str:
    arm = goal.arm or "every arm"
    if goal.delta_at_least is not None:
        text = f"{goal.metric}: {arm} at least {goal.delta_at_least:g} above {goal.against}"
    elif goal.at_least is not None:
        text = f"{goal.metric}: {arm} at least {goal.at_least:g}"
    else:
        text = f"{goal.metric}: {arm} at most {goal.at_most:g}"
    title = getattr(goal.title, "en", goal.title)
    return f"{title} – {text}" if title else text


def _claim(claim: Claim) -> str:
    return f"{claim.metric} {claim.value:g}{f' ({claim.arm})' if claim.arm else ''} – {claim.source}"


def _problems(problems: Sequence[Problem]) -> Iterator[str]:
    for problem in problems:
        text = f"{problem.where}: {problem.text}" if problem.where else problem.text
        yield from text.splitlines()
        if problem.hint:
            yield f"  try: {problem.hint}"


def plan_page(plan: Plan) -> list[Section]:
    """Return what would be run, on which device, and every value with its source."""
    differing = plan.differs()
    found = [
        Section("Runs, in the order in which they get a device", tuple(plan.runs)),
        Section("Begins at another run's checkpoint", tuple(_origin(plan))),
        Section("Device", tuple(_devices(plan))),
        Section("Needed before, on such a device", tuple(plan.needs())),
        Section("Built model", tuple(plan.built())),
        Section("Values that all arms share", tuple(_shared(plan, set(differing)))),
    ]
    for arm in plan.arms:
        flat = redacted(arm.flat())
        rows = [(field, cut(show(flat.get(field)), _VALUE), arm.sources.get(field, "")) for field in differing]
        found.append(Section(f"Values of {arm.name}", tuple(table(rows))))
    return [section for section in found if section.lines]


def _origin(plan: Plan) -> Iterator[str]:
    if (origin := plan.origin) is None:
        return
    yield f"{origin.experiment}/{origin.run}, after epoch {origin.epoch} (step {origin.step})"
    yield str(origin.checkpoint)
    yield from (f"{field}: {show(old)} → {show(new)}" for field, (old, new) in redacted(dict(origin.changed)).items())
    if not origin.changed:
        yield "nothing is changed"


def _devices(plan: Plan) -> Iterator[str]:
    yield plan.placement.text
    if plan.placement.kind != "cpu":
        yield from plan.placement.names
    yield f"threads of each worker: {plan.placement.threads}"


def _shared(plan: Plan, differing: set[str]) -> list[str]:
    first = plan.arms[0]
    rows = [
        (f, cut(show(v), _VALUE), first.sources.get(f, ""))
        for f, v in redacted(first.flat()).items()
        if f not in differing
    ]
    return table(sorted(rows))


def show(value: Any) -> str:
    """Return a value as the recipe would write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def plural(count: int, noun: str) -> str:
    """Return "1 arm", "2 arms"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
