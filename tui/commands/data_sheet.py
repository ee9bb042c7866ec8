"""`detui data sheet`: crops by class as one picture."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from detui.tui.narrator import Narrator
from detui.tui.output import say


@click.command(name="sheet")
@click.argument("name")
@click.option("--split", metavar="SPLIT", default="val", show_default=True, help="The split to look at.")
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), required=True, metavar="FILE.png",
              help="The picture to write.")  # fmt: skip
@click.option("--per-class", metavar="N", type=click.IntRange(min=1, max=100), default=10, show_default=True,
              help="At most so many crops of a class.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def make_sheet(name: str, split: str, path: Path, per_class: int, force: bool) -> None:
    """Draw crops of the data set NAME (or a definition file) by class: a row a class, its name beside it.

    A class that carries another's name is seen at once, and nowhere else. The same data gives the same sheet. What is
    wrong with the data does not keep the sheet from being drawn; `detui data check` says it.
    """
    from detui.engine.configuration import Configuration
    from detui.engine.data import load_definition, open_dataset
    from detui.engine.data.sheet import contact_sheet
    from detui.engine.run.files import write_whole

    _check_path(path, force)
    narrate = Narrator(sys.stderr.isatty())
    dataset = open_dataset(
        load_definition(name), Configuration.load(), splits=(split,), progress=narrate, tolerate=True
    )
    sheet = contact_sheet(dataset, split, per_class=per_class, progress=narrate)
    narrate.end()
    write_whole(path, sheet.png)
    if wrong := sum(problem.count for problem in dataset.summary if problem.action == "error"):
        say(f"the data has {wrong} problem{'s' if wrong > 1 else ''}: `detui data check {name}` lists them")
    if empty := [label for label, count in sheet.crops.items() if not count]:
        say(f"no object of {', '.join(empty)}")
    for file in sheet.unreadable:
        say(f"{file} cannot be decoded, its crops are missing")
    click.echo(path)


def _check_path(path: Path, force: bool) -> None:
    """Raise UsageError before anything is read, where the picture could not be written."""
    from detui.engine.errors import UsageError

    if path.suffix.lower() != ".png":
        raise UsageError(
            f"The sheet is a PNG, and {path.name!r} says otherwise.", hint=f"-o {path.stem or 'sheet'}.png"
        )
    if not path.parent.is_dir():
        raise UsageError("There is no such folder.", where=str(path.parent), hint="make it, or choose another with -o")
    if path.is_dir():
        raise UsageError("There is a folder of that name.", where=str(path), hint="choose another name with -o")
    if path.exists() and not force:
        raise UsageError("There is such a file already.", where=str(path), hint="--force replaces it")
