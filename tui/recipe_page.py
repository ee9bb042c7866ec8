"""A recipe as a page of text: question, arms, what differs, protocol, goals. For `detui show` and the application."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from detui.engine.evaluate.tables import in_percent, is_setting, unit_of
from detui.engine.secrets import redacted
from detui.tui import language
from detui.tui.gain_lines import gain_lines
from detui.tui.language import tr
from detui.tui.model_table import describable, missing_models, model_lines
from detui.tui.output import cut, table
from detui.tui.plan_text import built, confounder_hint, device_text, finding_text, needs, share_lines
from detui.tui.plan_text import counted as counted
from detui.tui.rate_lines import rate_lines

if TYPE_CHECKING:
    from detui.engine.analysis.fairness import Finding
    from detui.engine.backends.base import Problem
    from detui.engine.planning import Plan
    from detui.engine.recipe.schema import Claim, DataSelection, Goal

_VALUE = 44


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page."""

    title: str
    lines: tuple[str, ...]
    urgent: bool = False
    """Whether it says what keeps the recipe from starting."""
    warns: bool = False
    """Whether it says what to know before a start."""


def page(plan: Plan, missing: Sequence[str] = (), key: str | None = None) -> list[Section]:
    """Return the sections of a recipe's page, as it would be launched with these choices, in the language in use.

    `missing`: what must be there first, in a few words each. `key`: what a person presses to have the models built;
    None where there is nothing to press, and a command does it.
    """
    from detui.engine.plan_text import of_runs

    file = plan.recipe.file
    found = [
        Section(tr("Missing"), tuple(missing), urgent=True),
        Section(tr("To be mended before it can start"), tuple(problems(plan.errors)), urgent=True),
        Section(tr("Question"), (plan.recipe.question.in_language(language.current()),)),
        Section(tr("Arms"), tuple(_arms(plan))),
        Section(tr("What differs"), tuple(_differs(plan))),
        Section(tr("Gain of AQR, computed"), tuple(gain_lines(plan))),
        Section(tr("Learning rates by part"), tuple(rate_lines(plan))),
        Section(tr("Protocol"), tuple(_protocol(plan))),
        Section(tr("Data"), tuple(_data(plan))),
        Section(tr("Models"), tuple(_models(plan, key))),
        Section(tr("Goals"), tuple(map(goal_text, of_runs(plan, file.goals)))),
        Section(tr("Claimed (stated by documents, not measured here)"), tuple(claim_lines(of_runs(plan, file.claims)))),
        Section(tr("Is the comparison fair?"), tuple(_fairness(plan)), warns=bool(_confounders(plan))),
        Section(tr("Memory and time"), tuple(needs(plan))),
        Section(tr("Built model"), () if describable(plan) and not _told_by_runs(plan) else tuple(built(plan))),
        Section(tr("Warnings"), tuple(problems(_other_warnings(plan))), warns=True),
    ]
    return [section for section in found if section.lines]


def warnings(plan: Plan) -> list[Problem]:
    """Return what is to be known before a start, but does not stop it."""
    said = {finding.text: finding for finding in _confounders(plan)}
    found = [problem for problem in plan.problems if problem.level == "warning"]
    return [_worded(problem, said[problem.text]) if problem.text in said else problem for problem in found]


def _worded(problem: Problem, finding: Finding) -> Problem:
    return replace(problem, text=finding_text(finding), hint=confounder_hint(finding))


def _confounders(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.fairness if finding.level == "confounder"]


def _other_warnings(plan: Plan) -> list[Problem]:
    """Return the warnings that the audit of fairness has not said."""
    said = {finding_text(finding) for finding in _confounders(plan)}
    return [problem for problem in warnings(plan) if problem.text not in said]


def show_page(plan: Plan, spoken: str = "en", *, as_plan: bool) -> None:
    """Print a recipe's page in English ("en") or Chinese ("zh"), or with `as_plan` what would be run.

    The command that runs it comes last.
    """
    import click

    language.use(spoken)
    click.echo(f"{plan.recipe.ref}: {plan.recipe.title.in_language(spoken)}\n")
    sections = page(plan)
    click.echo(as_text(plan_page(plan) if as_plan else sections))
    if as_plan:
        told = [section for section in sections if section.urgent or section.warns]
        click.echo(f"\n{as_text(told)}" if told else "", nl=bool(told))
    click.echo(f"\n{tr('Run it')}\n  {plan.command()}")


def as_text(sections: Sequence[Section]) -> str:
    """Return sections as indented text."""
    return "\n\n".join("\n".join([s.title, *(f"  {line}".rstrip() for line in s.lines)]) for s in sections)


def _arms(plan: Plan) -> list[str]:
    return table([(arm.name, arm.title.in_language(language.current())) for arm in plan.arms])


def _differs(plan: Plan) -> list[str]:
    """Return a table of the fields that differ; one that the recipe does not let vary is marked."""
    found = redacted(plan.differs())
    if not found:
        return [tr("nothing")] if len(plan.arms) > 1 else []
    undeclared = {finding.field for finding in _confounders(plan)}
    columns = _columns(plan, found)
    rows = [("", *columns, "")]
    for field, values in found.items():
        mark = tr("! not in `varies`") if field in undeclared else ""
        rows.append((field, *(cut(_cell(field, values.get(name)), 24) for name in columns.values()), mark))
    return table(rows)


def _cell(field: str, value: Any) -> str:
    """Return a value that differs; stages, which are texts, one after the other."""
    return " → ".join(value) if field == "stages" and isinstance(value, list) else show(value)


def _columns(plan: Plan, found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what a column is called, and an arm that it shows: arms that are alike on each data set share one."""
    sides: dict[str, list[str]] = {}
    for arm in plan.arms:
        sides.setdefault(arm.of, []).append(arm.name)
    alike = all(len({show(values.get(name)) for name in names}) == 1 for names in sides.values()
                for values in found.values())  # fmt: skip
    return {of: names[0] for of, names in sides.items()} if alike else {arm.name: arm.name for arm in plan.arms}


def _models(plan: Plan, key: str | None) -> Iterator[str]:
    """Yield what the models are made of, and how to know it of those that nobody has built yet."""
    yield from model_lines(plan)
    if (unknown := missing_models(plan)) and key:
        yield tr("not built yet: {arms}; {key} builds them, without weights", arms=", ".join(unknown), key=key)
    elif unknown:
        command = f"detui show {plan.recipe.name} --models"
        yield tr(
            "not built yet: {arms}; {command} builds them, without weights", arms=", ".join(unknown), command=command
        )


def _told_by_runs(plan: Plan) -> bool:
    """Return whether runs, or a preflight, have said what they built of any arm."""
    return any(known.measured is not None and known.measured.built for known in plan.estimates.values())


def _protocol(plan: Plan) -> Iterator[str]:
    seeds = ", ".join(map(str, plan.seeds))
    yield f"{counted(len(plan.arms), 'arm')} × {counted(len(plan.seeds), 'seed')} ({seeds})"
    epochs = {arm.name: arm.epochs for arm in plan.arms}
    if len(set(epochs.values())) == 1:
        yield counted(next(iter(epochs.values())), "epoch")
    else:
        yield tr("epochs: {each}", each=", ".join(f"{name} {count}" for name, count in epochs.items()))
    staged = {arm.name: " → ".join(f"{s.name} ({s.epochs})" for s in arm.stages) for arm in plan.arms
              if len(arm.stages) > 1}  # fmt: skip
    if len(staged) == len(plan.arms) and len(set(staged.values())) == 1:
        yield tr("stages: {each}", each=next(iter(staged.values())))
    else:
        yield from (tr("stages of {arm}: {each}", arm=name, each=each) for name, each in staged.items())
    rule = plan.resolved.checkpoint_rule
    if rule["rule"] == "best":
        yield tr("checkpoint: the best by {metric}", metric=rule["metric"])
    else:
        yield tr("checkpoint: the last")
    yield tr("evaluated after epochs {epochs}", epochs=", ".join(map(str, plan.resolved.milestones)))
    yield tr("profile: {name}", name=plan.profile)
    yield tr("device: {device}", device=device_text(plan))
    yield from share_lines(plan)


def _data(plan: Plan) -> Iterator[str]:
    if not plan.data:
        yield tr("the program brings its own")
    for state in plan.data:
        yield state.text
        indent = "  " if state.role else ""  # of several data sets, what belongs to which
        yield from (f"{indent}{line}" for line in _selected(plan, plan.resolved.data_sets[state.role]))


def _selected(plan: Plan, data: DataSelection) -> Iterator[str]:
    frames = plan.recipe.backend.trains_on == "frames"
    splits = {"train": data.train, "val": data.val, "test": data.test}
    for role, split in ((role, split) for role, split in splits.items() if split):
        name, count = split.split, split.images
        chosen = {"role": role, "count": count, "split": name}
        if count is None:
            yield f"{role}: {name}"
        elif frames:
            yield tr("{role}: the first {count} frames of {split}", **chosen)
        else:
            yield tr("{role}: the first {count} images of {split}", **chosen)
    if data.depth:
        yield tr("with a depth map for every image")


def goal_text(goal: Goal) -> str:
    """Return what is to be reached: metrics in percent, differences in percentage points, errors in their unit."""
    from detui.engine.recipe.schema import words

    arm = goal.arm or tr("every arm")
    if goal.delta_at_least is not None:
        by = _difference(goal.metric, abs(goal.delta_at_least))
        sides = {"arm": arm, "by": by, "against": goal.against}
        if goal.delta_at_least < 0:
            reached = tr("{arm} at most {by} below {against}", **sides)
        else:
            reached = tr("{arm} at least {by} above {against}", **sides)
    elif goal.at_least is not None and goal.at_most is not None:
        reached = tr("{arm} from {low} to {high}", arm=arm, **_band(goal.metric, goal.at_least, goal.at_most))
    elif goal.at_least is not None:
        reached = tr("{arm} at least {value}", arm=arm, value=_value(goal.metric, goal.at_least))
    elif goal.unchanged:
        reached = tr("{arm} as in {against}", arm=arm, against=goal.against)
    else:
        reached = tr("{arm} at most {value}", arm=arm, value=_value(goal.metric, goal.at_most or 0.0))
    title = words(goal.title).in_language(language.current()) if goal.title else None
    name = _named(goal.metric)
    if goal.iteration is not None:
        name = f"{name}, {tr('iteration {iteration}', iteration=goal.iteration)}"
    return f"{title} – {name}: {reached}" if title else f"{name}: {reached}"


def claim_lines(claims: Sequence[Claim]) -> Iterator[str]:
    """Return what documents state, labelled as claimed; what they state of one metric over time is one line."""
    alike: dict[tuple[object, ...], list[Claim]] = {}
    for claim in claims:
        final = claim.epoch is None and claim.iteration is None
        moment = id(claim) if final else "epoch" if claim.iteration is None else "iteration"
        alike.setdefault((claim.metric, claim.arm, claim.data_set, claim.note, moment), []).append(claim)
    return map(_claim_line, alike.values())


def _claim_line(claims: Sequence[Claim]) -> str:
    first = claims[0]
    value = "; ".join(_value(claim.metric, claim.value) for claim in claims)
    epochs, iterations = (", ".join(str(at) for claim in claims if (at := getattr(claim, name)) is not None)
                          for name in ("epoch", "iteration"))  # fmt: skip
    said = [first.arm or "", tr("epoch {epoch}", epoch=epochs) if epochs else "",
            tr("iteration {iteration}", iteration=iterations) if iterations else ""]  # fmt: skip
    arm = f" ({', '.join(filter(None, said))})" if any(said) else ""
    note = f" – {first.note}" if first.note else ""
    source = "; ".join(dict.fromkeys(claim.source for claim in claims))
    return tr("claimed: {metric} {value}{arm} – {source}{note}", metric=_named(first.metric), value=value, arm=arm,
              source=source, note=note)  # fmt: skip


_LARGE = 10_000
"""From here on a number is written out, in thousands: parameters are counted so."""


def _is_share(metric: str) -> bool:
    """Whether a metric is our evaluator's and 0–1: shown in percent, as everywhere else."""
    return in_percent(metric)


def _value(metric: str, value: float) -> str:
    if _is_share(metric):
        return f"{round(100 * value, 6):g} %"
    return f"{value:,.0f}" if value >= _LARGE else f"{value:g}{_unit(metric)}"


def _unit(metric: str) -> str:
    """Behind a number: " m", " (1 − IoU)", or nothing."""
    from detui.engine.record.words import Words

    unit = "" if _is_share(metric) else unit_of(metric)
    word = Words(language.current()).known(unit) if unit else ""
    return f" ({word})" if " " in word else word and f" {word}"


def _band(metric: str, low: float, high: float) -> dict[str, str]:
    """The two ends, with the unit behind the second: 25 and 30 %."""
    from detui.engine.record.text import band

    scale, unit = (100, " %") if _is_share(metric) else (1, _unit(metric))
    first, second = band(scale * low, scale * high)
    return {"low": first, "high": f"{second}{unit}"}


def _named(metric: str) -> str:
    """A metric as the recipe calls it; one that says little with what it is, a field with whose value."""
    from detui.engine.record import words_aqr, words_finetune

    if told := words_aqr.label(metric, language.current()) or words_finetune.label(metric, language.current()):
        return f"{metric} ({told})"
    return tr("{field} as the training used it", field=metric) if is_setting(metric) else metric


def _difference(metric: str, value: float) -> str:
    if not _is_share(metric):
        return f"{value:g}{_unit(metric)}"
    points = f"{round(100 * value, 6):g}"
    return tr("1 percentage point") if points == "1" else tr("{points} percentage points", points=points)


def _fairness(plan: Plan) -> Iterator[str]:
    """Return the audit in words: what is declared, what is not, and what nobody knows before the models are built."""
    if len(plan.arms) < 2:
        return
    for finding in plan.fairness:
        text = finding_text(finding)
        yield f"! {text}" if finding.level == "confounder" else text
        if finding.level == "confounder":
            yield "  " + tr("try: {hint}", hint=confounder_hint(finding))
    if not _confounders(plan):
        yield tr("nothing differs that `varies` does not declare")
    told = [name for name, known in plan.estimates.items() if known.measured and known.measured.built]
    known = told if len(told) == len(plan.arms) else list(plan.models)
    if unknown := [arm.name for arm in plan.arms if arm.name not in known]:
        yield tr("not yet known: parameters, FLOPs and layers of {arms}", arms=", ".join(unknown))


def problems(found: Sequence[Problem]) -> Iterator[str]:
    """Return problems as lines, each with what to try."""
    for problem in found:
        text = f"{problem.where}: {problem.text}" if problem.where else problem.text
        yield from text.splitlines()
        if problem.hint:
            yield "  " + tr("try: {hint}", hint=problem.hint)


def plan_page(plan: Plan) -> list[Section]:
    """Return what would be run, on which device, and every value with its source."""
    from detui.engine.planning import stage_texts

    differing = plan.differs()
    found = [
        Section(tr("Runs, in the order in which they get a device"), tuple(plan.runs)),
        Section(tr("Begins at another run's checkpoint"), tuple(_origin(plan))),
        Section(tr("Device"), tuple(_devices(plan))),
        Section(tr("Needed before, on such a device"), tuple(needs(plan))),
        Section(tr("Built model"), tuple(built(plan))),
        Section(tr("Values that all arms share"), tuple(_shared(plan, set(differing)))),
    ]
    for arm in plan.arms:
        flat = redacted(arm.flat())
        fields = [field for field in differing if field != "stages"]
        rows = [(field, cut(show(flat.get(field)), _VALUE), arm.sources.get(field, "")) for field in fields]
        found.append(Section(tr("Values of {arm}", arm=arm.name), tuple(table(rows))))
        found.append(Section(tr("Stages of {arm}", arm=arm.name), tuple(redacted(stage_texts(plan.recipe, arm)))))
    return [section for section in found if section.lines]


def _origin(plan: Plan) -> Iterator[str]:
    if (origin := plan.origin) is None:
        return
    run = f"{origin.experiment}/{origin.run}"
    yield tr("{run}, after epoch {epoch} (step {step})", run=run, epoch=origin.epoch, step=origin.step)
    yield str(origin.checkpoint)
    yield from (f"{field}: {show(old)} → {show(new)}" for field, (old, new) in redacted(dict(origin.changed)).items())
    if not origin.changed:
        yield tr("nothing is changed")


def _devices(plan: Plan) -> Iterator[str]:
    yield device_text(plan)
    if plan.placement.kind != "cpu":
        yield from plan.placement.names
    yield from share_lines(plan)
    yield tr("threads of each worker: {count}", count=plan.threads)


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
