"""`detui data`: which data sets there are, and what is wrong with one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from detui.tui.commands.data_depth import make_depth
from detui.tui.commands.data_sheet import make_sheet
from detui.tui.data_lines import (
    class_lines,
    composition_lines,
    problem_lines,
    published_lines,
    selection_lines,
)
from detui.tui.narrator import Narrator

if TYPE_CHECKING:
    from detui.engine.data import Dataset, DatasetDefinition, Split


@click.group(name="data")
def command() -> None:
    """Look at data sets: what is there, and what is wrong with it."""


command.add_command(make_depth)
command.add_command(make_sheet)


@command.command(name="ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_datasets(as_json: bool) -> None:
    """List the known data sets and where they lie on this host."""
    from detui.engine.configuration import Configuration
    from detui.engine.data import definitions
    from detui.engine.data.roots import is_here

    configuration = Configuration.load()
    rows = [(definition, is_here(definition, configuration)) for definition in definitions()]
    if as_json:
        click.echo(json.dumps([_row(definition, root) for definition, root in rows], ensure_ascii=False))
        return
    wide = max(len(definition.name) for definition, _ in rows)
    titles = max(len(definition.title) for definition, _ in rows)
    for definition, root in rows:
        place = "generated" if definition.generated else root or "not on this host"
        click.echo(f"{definition.name:<{wide}}  {definition.title:<{titles}}  {place}")


@command.command(name="check")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--decode", is_flag=True, help="Decode every pixel of every image: slow, finds cut files.")
@click.option("--depth/--no-depth", default=None, help="Check depth maps.  [default: where there are any]")
def check(name: str, as_json: bool, decode: bool, depth: bool | None) -> None:
    """Read the data set NAME (or a definition file) whole and say what is wrong with it.

    Per split: objects an image, their sizes in original pixels, classes, and what a rule selected, with its hash.
    Where its definition says where depth maps lie, and a folder of them is there, every map is decoded and judged.
    Of frames of cameras and LiDAR: calibration, velocities, boxes without points; with --decode, points in their boxes.
    Exits with 0 when it can be used as it is, 1 when not, 3 when it is not on this host.
    """
    from detui.engine.configuration import Configuration
    from detui.engine.data import load_definition, open_dataset

    definition = load_definition(name)
    narrate = Narrator(sys.stderr.isatty())
    if definition.frames is not None:
        from detui.tui.frame_lines import check_frames, frame_lines

        facts = check_frames(definition, Configuration.load(), decode, narrate)
        lines = frame_lines(facts)
    else:
        how: dict[str, Any] = {"decode": decode, "depth": depth, "tolerate": True}
        facts = _facts(definition, open_dataset(definition, Configuration.load(), progress=narrate, **how))
        lines = _lines(facts)
    narrate.end()
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else "\n".join(lines))
    if not facts["ok"]:
        raise SystemExit(1)


def _row(definition: DatasetDefinition, root: object) -> dict[str, Any]:
    return {
        "name": definition.name,
        "title": definition.title,
        "generated": definition.generated,
        "root": str(root) if root else None,
    }


def _facts(definition: DatasetDefinition, dataset: Dataset) -> dict[str, Any]:
    """Everything that the command says, as JSON has it."""
    from detui.engine.data.fingerprint import fingerprint

    return {
        "schema": 1,
        "name": dataset.name,
        "title": dataset.title,
        "definition": str(definition.path),
        "root": str(dataset.root),
        "generated": dataset.generated,
        "classes": list(dataset.classes),
        "splits": {name: _split(dataset, name) for name in dataset.splits},
        "published": [
            {"what": c.what, "published": c.published, "found": c.found, "ok": c.ok} for c in dataset.checksums
        ],
        "problems": [problem.to_json() for problem in dataset.summary],
        "depth": dataset.depth.to_json() if dataset.depth else None,
        "fingerprint": fingerprint(dataset.classes, dataset.splits, dataset.hashes, dataset.depth),
        "ok": all(problem.action != "error" for problem in dataset.summary),
    }


def _split(dataset: Dataset, name: str) -> dict[str, Any]:
    from detui.engine.data.density import composition

    split = dataset.splits[name]
    facts = {
        "images": len(split.images),
        "boxes": len(split.annotations),
        "by_class": _by_class(dataset, name),
        **composition(split, dataset.classes).to_json(),
        "selection": split.selection.to_json() if split.selection else None,
    }
    if split.void is not None:
        facts["void"] = _void(split)
    if split.ignore_regions is None:
        return facts
    return {**facts, "not_judged": sum(box.crowd for box in split.annotations), "ignore_regions":
            len(split.ignore_regions)}  # fmt: skip


def _void(split: Split) -> dict[str, Any]:
    """Images with pixels of which nobody said what they are, and the share of all pixels that these are."""
    from detui.engine.data.masks import area_of

    pixels = sum(image.width * image.height for image in split.images)
    void = sum(area_of(one.segmentation) or 0.0 for one in split.void or ())
    return {"images": len(split.void or ()), "share": void / pixels if pixels else 0.0}


def _by_class(dataset: Dataset, split: str) -> dict[str, int]:
    counts = dict.fromkeys(dataset.classes, 0)
    for annotation in dataset.splits[split].annotations:
        counts[dataset.classes[annotation.category_id - 1]] += 1
    return counts


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"{facts['title']} ({facts['name']})", f"  at {facts['root']}", f"  classes: {len(facts['classes'])}"]
    for name, split in facts["splits"].items():
        lines.append(f"  {name}: {split['images']} images, {split['boxes']} boxes{_classes(split['by_class'])}")
        if "ignore_regions" in split:
            lines.append(
                f"    {split['not_judged']} of them not judged (score 0), {split['ignore_regions']} ignore regions"
            )
        if "void" in split:
            lines.append(
                f"    void: {100 * split['void']['share']:.1f} % of the pixels, in {split['void']['images']} images"
            )
        lines += selection_lines(split["selection"]) + composition_lines(split)
    lines += class_lines(facts["splits"])
    lines += published_lines(facts["published"]) + problem_lines(facts["problems"])
    lines += _depth(facts["depth"])
    lines.append(f"  fingerprint{', depth included' if facts['depth'] else ''}: {facts['fingerprint']}")
    lines.append("  usable" if facts["ok"] else "  NOT usable: mend what is marked ERROR, or choose an action for it")
    return lines


def _depth(depth: dict[str, Any] | None) -> list[str]:
    """What the depth maps are, where they were checked."""
    if depth is None:
        return []
    far = f", far {depth['far']:g} m" if depth["far"] else ""
    return [f"  depth: {depth['encoding']}{far}; {depth['note'] or 'no note says what made the maps'}"]


def _classes(counts: dict[str, int]) -> str:
    """Counts by class, where they fit on a line."""
    if len(counts) > 12:
        return ""
    return " (" + ", ".join(f"{name} {count}" for name, count in counts.items()) + ")"
