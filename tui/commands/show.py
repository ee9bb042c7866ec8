"""`detui show`: a recipe as a page, and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from detui.tui.context import Session, complete_recipes, pass_session
from detui.tui.options import choices, make_plan
from detui.tui.output import print_json

if TYPE_CHECKING:
    from detui.engine.planning import Plan


@click.command("show", short_help="Show a recipe: its question, its arms, what differs, and the plan.")
@click.argument("recipe", required=False, shell_complete=complete_recipes)
@choices
@click.option("--plan", "as_plan", is_flag=True, help="What would be run, on what, with every value and its source.")
@click.option("--preflight", is_flag=True, help="Measure memory and time of what has no history with a few steps.")
@click.option("--models", is_flag=True, help="What each arm's model is made of: it is built, without weights, once.")
@click.option("--speed", is_flag=True, help="With --models: memory and time of a pass, too, on the planned device.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of recipe files, for editors.")
@pass_session
def command(
    session: Session,
    /,
    recipe: str | None,
    as_plan: bool,
    preflight: bool,
    models: bool,
    speed: bool,
    language: str,
    as_json: bool,
    schema: bool,
    **chosen: Any,
) -> None:
    """Show RECIPE: its question, its arms, what differs between them, the protocol and the data.

    RECIPE is family/name, a name where that is unique, or the path of a recipe file. Nothing is started,
    but for the few steps that --preflight asks for, in a place of their own, and the building of --models.
    """
    if schema:
        from detui.engine.recipe.load import recipe_json_schema

        print_json(recipe_json_schema())
        return
    if recipe is None:
        raise click.UsageError("Which recipe? `detui recipes` lists them.")
    if speed and not models:
        raise click.UsageError("--speed measures the models that --models builds.")
    plan = make_plan(session, recipe, **chosen)
    if models:
        _show_models(session, plan, language, speed=speed, as_json=as_json)
        return
    if preflight:
        from detui.tui.commands.run import preflighted

        plan, as_plan = preflighted(session, plan), True
    if as_json:
        from detui.engine.plan_text import plan_json

        print_json(plan_json(plan))
        return
    from detui.tui.recipe_page import show_page

    show_page(plan, language, as_plan=as_plan)


def _show_models(session: Session, plan: Plan, spoken: str, *, speed: bool, as_json: bool) -> None:
    """Build the models that nobody has built yet, and print what all are made of."""
    from detui.tui import language
    from detui.tui.commands.run import preparing
    from detui.tui.model_table import model_lines, models_json
    from detui.tui.recipe_page import claim_lines

    with preparing() as progress:
        plan = session.workspace.describe(plan, speed=speed, progress=progress)
    claims = [claim for claim in plan.recipe.file.claims if claim.metric.startswith("model/")]
    if as_json:
        about = {"schema": 1, "recipe": plan.recipe.ref, "profile": plan.profile, "models": models_json(plan)}
        print_json({**about, "claims": [claim.model_dump() for claim in claims]})
        return
    language.use(spoken)
    click.echo(f"{plan.recipe.ref}: {plan.recipe.title.in_language(spoken)}\n")
    click.echo("\n".join([*model_lines(plan), *claim_lines(claims)]))
