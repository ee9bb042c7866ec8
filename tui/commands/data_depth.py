"""`detui data depth`: make the depth maps of a data set with ZoeDepth."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detui.tui.output import duration, print_json, say

if TYPE_CHECKING:
    from rich.progress import Progress

    from detui.engine.data.depth_making import Made
    from detui.engine.data.depth_model import ModelFolder

EVERY = 60.0
"""Seconds between two lines of narration where there is no terminal for a bar."""


@click.command(name="depth")
@click.argument("name")
@click.option("--model", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="A folder with a ZoeDepth model: config.json, preprocessor_config.json, safetensors.")  # fmt: skip
@click.option("--split", "splits", multiple=True, metavar="SPLIT", help="Only this split; can be repeated.  "
              "[default: all]")  # fmt: skip
@click.option("--encoding", type=click.Choice(["metres_x256", "uint8"]),
              help="How maps are written.  [default: what the data set's definition says]")  # fmt: skip
@click.option("--device", metavar="cpu|cuda|GPU", default="cpu", show_default=True,
              help="cpu, cuda for a free GPU, or a GPU by index or UUID; it is leased meanwhile.")  # fmt: skip
@click.option("--batch", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Images of one size at once.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace maps that another model made, or in another encoding.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def make_depth(
    name: str, folder: Path, splits: tuple[str, ...], encoding: str | None, device: str, batch: int, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Make a depth map for each image of the data set NAME (or a definition file), where its definition expects it.

    Maps that are there and sound are kept: after an interruption the same command goes on. Each map has the size of
    its image. `metres_x256` keeps metres; `uint8` stretches each map from its own nearest point to its furthest, which
    loses scale. Beside the maps, depth.json says what made them.
    """
    from detui.engine.configuration import Configuration
    from detui.engine.data import load_definition
    from detui.engine.data.depth_making import depth_of
    from detui.engine.data.depth_making import make_depth as make
    from detui.engine.data.depth_model import find_model

    definition = load_definition(name)
    layout = depth_of(definition, encoding)
    _check_packages()
    model = find_model(folder)
    if model.heads > 1 and batch > 1:
        say(
            "this model chooses indoor or outdoor for a whole batch: --batch 1, so that no map depends on another image"
        )
        batch = 1
    with _narrated() as progress:

        def load() -> Any:
            progress.end()
            return _load(model, device, name)

        try:
            made = make(
                definition, Configuration.load(), model.note(layout.encoding), load,
                splits=splits or None, batch=batch, force=force, progress=progress,
            )  # fmt: skip
        except KeyboardInterrupt:
            progress.end()
            say("stopped; every map that was made is whole, and the same command goes on from here")
            raise
    _report(made, model, layout.encoding, as_json)


def _check_packages() -> None:
    """Raise MissingError before the data is read, where there is nothing to make maps with."""
    from importlib.util import find_spec

    from detui.engine.errors import MissingError

    absent = [package for package in ("torch", "torchvision", "transformers") if find_spec(package) is None]
    if absent:
        message = f"Making depth maps needs {', '.join(absent)}, which is not installed here."
        raise MissingError(message, hint="pip install 'detui[depth]'")


def _load(model: ModelFolder, device: str, name: str) -> Any:
    """The model on its device, which is leased until this process ends."""
    from contextlib import ExitStack

    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.data.depth_model import ZoeDepth
    from detui.engine.process.borrow import borrow

    leased = ExitStack()
    borrowed = leased.enter_context(borrow(_device(device), f"detui data depth {name}"))
    click.get_current_context().call_on_close(leased.close)
    if borrowed.devices:
        os.environ.update(CUDA_DEVICE_ORDER="PCI_BUS_ID", CUDA_VISIBLE_DEVICES=borrowed.devices[0])
    ensure_torchvision()
    say(f"loading {model.facts['name']} on {borrowed.devices[0] if borrowed.devices else 'the CPU'}")
    return ZoeDepth(model, borrowed.kind)


def _device(asked: str) -> str:
    """`cuda` as one GPU, a free one where there is any. Raises MissingError."""
    if asked.lower() != "cuda":
        return asked
    from detui.engine.errors import MissingError
    from detui.engine.placement import place
    from detui.engine.process.lease import holder

    found = place("auto")
    if found.kind != "cuda":
        raise MissingError("There is no GPU that this torch could use.", where="--device", hint="--device cpu")
    free = [gpu for gpu in found.candidates if holder(gpu) is None]
    return (free or found.candidates)[0]


def _report(made: Made, model: ModelFolder, encoding: str, as_json: bool) -> None:
    if as_json:
        print_json({
            "schema": 1, "root": str(made.root), "folders": list(made.bases), "encoding": encoding,
            "model": dict(model.facts), "made": made.made, "kept": made.there, "unreadable": list(made.unreadable),
        })  # fmt: skip
    else:
        click.echo(f"{made.made} depth maps made, {made.there} were there: {', '.join(made.bases)} in {made.root}")
    if made.unreadable:
        say(f"{len(made.unreadable)} images cannot be read, and have no map:")
        for line in made.unreadable[:10]:
            say(f"  {line}")
        raise SystemExit(1)


class _Bar:
    """A progress bar on a terminal; elsewhere a line a minute, for a log."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task: Any = None
        self._what = ""
        self._began = self._said = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            self._line(what, done, total)
            return
        if what != self._what:
            self.end()
            self._what = what
            self._task = self._bar.add_task(what, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def _line(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            say(f"{what}: {done} of {total} after {duration(now - self._began)}")

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None and self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


@contextmanager
def _narrated() -> Iterator[_Bar]:
    """Say on stderr how far the work is."""
    import sys

    if not sys.stderr.isatty():
        yield _Bar(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = _Bar(Progress(*columns, console=Console(stderr=True), refresh_per_second=2, transient=True))
    try:
        yield bar
    finally:
        bar.end()
