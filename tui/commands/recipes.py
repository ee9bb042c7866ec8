"""`detui recipes`: what can be run."""

from __future__ import annotations

import click

from detui.tui.context import Session, pass_session
from detui.tui.output import print_json


@click.command("recipes", short_help="List the recipes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, as_json: bool) -> None:
    """List the recipes by family, each with its question."""
    found = session.workspace.recipes()
    if as_json:
        fields = ("ref", "family", "title", "question", "path", "problem")
        print_json([{field: getattr(recipe, field) for field in fields} for recipe in found])
        return
    family = None
    for recipe in found:
        if recipe.family != family:
            click.echo(f"{'' if family is None else chr(10)}{recipe.family}")
            family = recipe.family
        click.echo(f"  {recipe.ref:<28} {_line(recipe.title)}")
        if recipe.problem:
            click.echo(f"  {'':<28} ! {recipe.problem.splitlines()[0]}")
        else:
            click.echo(f"  {'':<28} {_line(recipe.question)}")


def _line(text: object) -> str:
    """Return a text in English on one line: recipes state it in one language or several."""
    chosen = text.get("en", "") if isinstance(text, dict) else getattr(text, "en", text)
    return " ".join(str(chosen).split())
