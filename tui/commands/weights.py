"""`detui weights`: check what a recipe would start from, and put files where recipes look for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from detui.tui.context import Session, complete_recipes, pass_session
from detui.tui.options import overriding
from detui.tui.output import print_json, say, size

if TYPE_CHECKING:
    from detui.engine.weight_files import Added


@click.group("weights", short_help="Check the weights that a recipe starts from, and add files of weights.")
def command() -> None:
    """Check the weights that a recipe starts from, and add files of weights.

    Neither command runs anything that stands in a file, and neither uses the network.
    """


@command.command("check")
@click.argument("recipe", shell_complete=complete_recipes)
@click.option("--profile", metavar="NAME", help="full, quick, smoke or the recipe's own.  [default: full]")
@click.option("--arm", "arms", metavar="NAME", multiple=True, help="Only this arm. Repeatable.")
@click.option("--data", metavar="NAME", multiple=True, help="Of several data sets only this. Repeatable.")
@overriding
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def check(
    session: Session,
    recipe: str,
    profile: str | None,
    arms: tuple[str, ...],
    data: tuple[str, ...],
    overrides: tuple[str, ...],
    language: str,
    as_json: bool,
) -> None:
    """Check the weights that the arms of RECIPE start from, before anything runs.

    Each file: where it lies or every place that was tried; its SHA-256 against the recipe's, and against the eight
    digits that its name carries. Then, where the backend can: the file against the model that would get it, part by
    part. Exits with 1 when a check fails, with 3 when a file is absent.
    """
    from detui.engine.weights_check import check_weights
    from detui.tui import language as spoken
    from detui.tui.narrator import Narrator
    from detui.tui.weights_table import as_lines, to_json

    plan = session.workspace.plan(recipe, profile=profile, arms=list(arms) or None, data=data, overrides=overrides)
    narrator = Narrator(sys.stderr.isatty())
    try:
        found = check_weights(plan, session.workspace.configuration, narrator)
    finally:
        narrator.end()
    if as_json:
        about = {"schema": 1, "recipe": plan.recipe.ref, "profile": plan.profile}
        print_json({**about, **to_json(found)})
    else:
        spoken.use(language)
        click.echo("\n".join(as_lines(plan, found)))
    sys.exit(found.exit_code)


@command.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The name that recipes know it by.  [default: its own]")
@click.option("--sha256", metavar="DIGITS", help="Its SHA-256, or the first eight digits of it or more.")
@click.option("--force", is_flag=True, help="Replace another file of the same name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def add(session: Session, file: Path, name: str | None, sha256: str | None, force: bool, as_json: bool) -> None:
    """Copy FILE to where recipes look for weights; prints its path, its SHA-256, and the lines for a recipe.

    That is the first folder of `weight_roots` in the configuration or of DETUI_WEIGHTS, else detui's own. What the name
    says of the hash (eight digits before the ending, as in resnet50-0676ba61.pth) must be true. The file is copied
    whole or not at all, and never loaded.
    """
    from detui.engine.weight_files import add_file
    from detui.engine.weights_check import named_by

    if sha256 is not None and not _is_hash(sha256):
        raise click.BadParameter("eight to 64 hexadecimal digits are wanted.", param_hint="--sha256")
    folder = session.workspace.configuration.weights_folder
    added = add_file(file.expanduser(), folder, name, sha256, force=force)
    recipes = named_by(added.path.name)
    if as_json:
        print_json(
            {"path": str(added.path), "sha256": added.sha256, "form": added.form, "new": added.new, "recipes": recipes}
        )
        return
    _tell(added, recipes)


def _is_hash(text: str) -> bool:
    return 8 <= len(text) <= 64 and all(digit in "0123456789abcdefABCDEF" for digit in text)


def _tell(added: Added, recipes: list[str]) -> None:
    name = added.path.name
    say(f"added {name} ({size(added.path.stat().st_size)})" if added.new else f"{name} is there already, the same")
    say(added.form)
    click.echo(str(added.path))
    click.echo(f"sha256: {added.sha256}")
    click.echo(f"weights: {name}")
    if recipes:
        say(f"named by: {', '.join(recipes)}")
        say(f"try: detui weights check {recipes[0]}")
