"""`detui import`: a finished run out of what other tools left."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from detui.tui.context import Session, pass_session
from detui.tui.output import print_json, say


@click.command("import", short_help="Make finished runs out of what other tools left: logs, run directories.")
@click.argument("paths", metavar="LOG|DIR...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--arm", "named", metavar="NAME=PATH[,PATH...]", multiple=True,
              help="An arm and where it lies; several paths are the parts of one log. The first arm is the reference. "
                   "The same name again: another training of it.")  # fmt: skip
@click.option("--set", "stated", metavar="ARM.FIELD=VALUE", multiple=True,
              help="A setting that you know an arm had and no file says; ARM:FIELD=VALUE where points are in the arm's "
              "name. Repeatable.")  # fmt: skip
@click.option("--best", metavar="METRIC", help="Choose the epoch with the highest METRIC.  [default: the last epoch]")
@click.option("--recipe", metavar="FAMILY/NAME", default="imported/runs", show_default=True,
              help="What the experiment is called after.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="Title of the record.")
@click.option("--name", metavar="NAME", help="A name of your own for the experiment.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Repeatable.")
@click.option("--note", metavar="TEXT", help="For the record.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(
    session: Session, /, paths: tuple[Path, ...], named: tuple[str, ...], stated: tuple[str, ...], recipe: str,
    as_json: bool, **about: Any,
) -> None:  # fmt: skip
    """Make an experiment of finished trainings: compared, shown and recorded like any other, and labelled imported.

    Reads text logs of mmcv 1.x (with the printed blocks of AQR forks), mmengine's scalars.json, work directories of
    either, and run directories of Ultralytics. Numbers are the framework's own and carry its name (mmdet3d/NDS). What
    the files do not say stays unknown.
    """
    from detui.engine.importing import import_arms
    from detui.engine.record.fill import fill
    from detui.tui.commands.ls import print_list, read

    arms = [*((_name(path), [path]) for path in paths), *map(_arm, named)]
    if not arms:
        raise click.UsageError("Nothing to import: name a log or a directory, or --arm NAME=PATH.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*", recipe):
        raise click.UsageError(f"--recipe {recipe!r} is not family/name: small letters, digits, '-', '_' and '.'.")
    line = shlex.join(["detui", "import", *sys.argv[sys.argv.index("import") + 1 :]]) if "import" in sys.argv else ""
    experiment = import_arms(
        session.workspace.path, arms, recipe=recipe, stated=_settings(stated), command=line, **about
    )
    records = fill(experiment.path)
    facts, runs = read(experiment)
    if as_json:
        shown = {"experiment": experiment.id, "path": str(experiment.path), "record": str(records[0])}
        print_json({**shown, "runs": [run.to_json() for run in runs]})
        return
    print_list([(experiment, facts, runs)])
    for run in runs:
        say(f"{run.name}: {getattr(run.state, 'reason', '')}")
    say(f"experiment  {experiment.path}\nrecord      {records[0]}")


def _name(path: Path) -> str:
    """An arm's name from a path: `work_dirs/CMT r50` → `cmt-r50`."""
    known = path.parent if path.name in ("results.csv", "scalars.json") else path
    text = known.absolute().name if known.is_dir() else known.stem
    return re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-._")[:40] or "run"


def _arm(text: str) -> tuple[str, list[Path]]:
    name, equals, paths = text.partition("=")
    if not equals or not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,39}", name):
        raise click.UsageError(
            f"--arm {text!r} is not NAME=PATH: of NAME small letters, digits, '-', '_' and '.', at most 40."
        )
    whole = Path(paths)  # a comma may stand in the name of a file
    return name, [whole] if whole.exists() else [Path(part) for part in paths.split(",")]


def _settings(stated: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Arm → nested settings. `ARM:FIELD` where the arm's name holds points."""
    from detui.engine.yaml import parse_yaml

    found: dict[str, dict[str, Any]] = {}
    for text in stated:
        left, equals, value = text.partition("=")
        arm, _, field = left.rpartition(":") if ":" in left else left.partition(".")
        if not equals or not arm or not field:
            raise click.UsageError(f"--set {text!r} is not ARM.FIELD=VALUE (or ARM:FIELD=VALUE).")
        inner = found.setdefault(arm, {})
        *sections, last = field.split(".")
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise click.UsageError(f"--set {text!r}: {section} was given a value before, and is no section.")
        inner[last] = parse_yaml(value, source="--set").value
    return found
