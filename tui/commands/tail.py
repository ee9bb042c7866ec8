"""`detui tail`: what a run measures, or its log, as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from detui.engine.run.directory import RunDir
from detui.engine.run.files import number
from detui.tui.console import ConsoleReader
from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.glance import copied, read_status, total_loss
from detui.tui.output import number as shown
from detui.tui.output import percent, print_json_line, say

_EVERY = 0.5


@click.command("tail", short_help="Print what a run measured, or its log.")
@click.argument("run", shell_complete=complete_runs)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--log", is_flag=True, help="The worker's output instead of what it measured.")
@click.option("-n", "--lines", metavar="N", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON, every one of them.")
@pass_session
def command(session: Session, run: str, follow: bool, log: bool, lines: int, as_json: bool) -> None:
    """Print the last lines of what RUN measured, one a step and an epoch.

    RUN is EXPERIMENT/RUN, or a run of the last experiment.
    """
    found = session.workspace.run(run)
    found.spec()
    source = _log(found) if log else _metrics(found, as_json)
    _print(next(source)[-lines:] if not as_json or log else next(source), as_json and not log)
    if follow:
        _follow(found, source, as_json and not log)


def _follow(run: RunDir, source: Iterator[list[Any]], as_json: bool) -> None:
    while True:
        state = read_status(run)[0]
        notes = copied(run.pulled(), state)  # of a copy nothing more comes
        _print(next(source), as_json)
        if state.terminal or notes:
            say(f"{run.name} {'  '.join((state.word, *notes))}")
            return
        time.sleep(_EVERY)


def _print(lines: list[Any], as_json: bool) -> None:
    for line in lines:
        print_json_line(line) if as_json else click.echo(line)


def _log(run: RunDir) -> Iterator[list[str]]:
    """Yield the new lines of the log, attempt after attempt, each time it is asked."""
    reader = ConsoleReader(run)
    while True:
        yield reader.poll()


def _metrics(run: RunDir, raw: bool) -> Iterator[list[Any]]:
    from detui.engine.run.lines import LineReader

    readers: dict[tuple[int, str], LineReader] = {}
    while True:
        new: list[dict[str, Any]] = []
        for attempt in run.attempts():
            for path in (attempt.metrics_path, attempt.evaluations_path):
                reader = readers.setdefault((attempt.number, path.name), LineReader(path))
                new += ({"attempt": attempt.number, **line} for line in reader.poll())
            path = attempt.telemetry_path  # of the machine, only what is wrong with it
            reader = readers.setdefault((attempt.number, path.name), LineReader(path, containing=('"alarm"',)))
            new += ({"attempt": attempt.number, **line} for line in reader.poll() if line.get("kind") == "alarm")
        yield new if raw else [text for line in new if (text := _text(line))]


def _text(line: dict[str, Any]) -> str | None:
    """Return one measured line in words, None for kinds that say nothing to a reader."""
    values = line.get("values") if isinstance(line.get("values"), dict) else {}
    kind = line.get("kind")
    at = f"epoch {line.get('epoch', '–')}  step {line.get('step', '–')}"
    if kind in ("step", "epoch"):
        parts = [f"{name.removeprefix('train/')} {shown(number(value))}" for name, value in _order(values)]
        whole = total_loss(values)
        return f"{kind:<5} {at}  loss {shown(whole)}  {'  '.join(parts)}".rstrip()
    if kind == "evaluation" and values and line.get("imported"):
        theirs = [f"{name} {percent(number(values.get(name)))}" for name in line.get("headline") or ()]
        return f"imported  {at}  {'  '.join(theirs)}"
    if kind == "evaluation" and values:
        frames = "val/NDS" in values
        named: tuple[str, ...] = ("mAP", "NDS") if frames else ("AP", "AP50", "AP_small", "AP_medium", "AP_large")
        named += tuple(name for name in ("mask_AP", "mask_AP50") if f"val/{name}" in values)
        parts = [f"{name} {percent(number(values.get(f'val/{name}')))}" for name in named]
        return f"{'NDS' if frames else 'AP':<5} {at}  {line.get('split', 'val')}: {'  '.join(parts)}"
    if kind == "alarm":
        return f"alarm {line.get('name')}: {line.get('text')}"
    if kind in ("begin", "stage", "checkpoint", "end"):
        detail = line.get("stage") or line.get("path") or line.get("outcome") or ""
        return f"{kind:<5} {at}  {detail}".rstrip() if kind != "begin" else f"begin attempt {line.get('attempt')}"
    return None


def _order(values: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if name.startswith(("train/loss_", "lr/"))]
