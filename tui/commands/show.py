"""`detui show`: a recipe as a page, and its plan."""

from __future__ import annotations

from typing import Any

import click

from detui.tui.context import Session, complete_recipes, pass_session
from detui.tui.options import choices, make_plan
from detui.tui.output import print_json


@click.command("show", short_help="Show a recipe: its question, its arms, what differs, and the plan.")
@click.argument("recipe", required=False, shell_complete=complete_recipes)
@choices
@click.option("--plan", "as_plan", is_flag=True, help="What would be run, on what, with every value and its source.")
@click.option("--preflight", is_flag=True, help="Measure memory and time of what has no history with a few steps.")
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
    language: str,
    as_json: bool,
    schema: bool,
    **chosen: Any,
) -> None:
    """Show RECIPE: its question, its arms, what differs between them, the protocol and the data.

    RECIPE is family/name, a name where that is unique, or the path of a recipe file. Nothing is started,
    but for the few steps that --preflight asks for, in a place of their own.
    """
    if schema:
        from detui.engine.recipe.load import recipe_json_schema

        print_json(recipe_json_schema())
        return
    if recipe is None:
        raise click.UsageError("Which recipe? `detui recipes` lists them.")
    plan = make_plan(session, recipe, **chosen)
    if preflight:
        from detui.tui.commands.run import preflighted

        plan, as_plan = preflighted(session, plan), True
    if as_json:
        from detui.engine.plan_text import plan_json

        print_json(plan_json(plan))
        return
    from detui.tui.recipe_page import show_page

    show_page(plan, language, as_plan=as_plan)
