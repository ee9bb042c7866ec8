"""`detui speed`: how fast and how large the model of a checkpoint is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from detui.tui.context import Session, complete_runs, pass_session
from detui.tui.output import number, print_json, say, size, table


@click.command("speed", short_help="Measure speed and size of a trained model.")
@click.argument("run", shell_complete=complete_runs)
@click.option("--checkpoint", metavar="best|last|EPOCH|FILE", default="best", show_default=True,
              help="Best by the recipe's rule, the newest, that of an epoch, or a file.")  # fmt: skip
@click.option("--batch", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Pictures a pass.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "fp16", "bf16"]), default="fp32", show_default=True,
              help="What weights and pictures are cast to.")  # fmt: skip
@click.option("--imgsz", metavar="N", type=click.IntRange(min=32), help="Side of the square input in pixels.  "
              "[default: the training's]")  # fmt: skip
@click.option("--fused", is_flag=True, help="Fold normalisation into the convolutions first.")
@click.option("--device", metavar="cpu|GPU", default="cpu", show_default=True,
              help="cpu, or a GPU by nvidia-smi's index or UUID; it is leased meanwhile.")  # fmt: skip
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads.  [default: the run's]")
@click.option("--trust", is_flag=True, help="Load a FILE that no run here wrote: loading it runs code in it.")
@click.option("--force", is_flag=True, help="Measure beside others who use the device: the numbers will be wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print the measurement as JSON.")
@pass_session
def command(
    session: Session, /, run: str, checkpoint: str, device: str, threads: int | None, trust: bool, force: bool,
    as_json: bool, **wanted: Any,
) -> None:  # fmt: skip
    """Measure latency, pictures a second, memory, parameters and FLOPs of a checkpoint of RUN.

    After a warm-up, passes over pictures of the validation split are repeated for 2 to 30 s; the pictures lie on the
    device already. The newest numbers of the chosen checkpoint go into the record, but not those that were forced.
    Compare only what was measured with the same batch, precision, input and device.
    """
    from detui.engine.prediction import find_checkpoint
    from detui.engine.speed import Wanted, measure

    found = session.workspace.run(run)
    path, epoch = find_checkpoint(found, checkpoint)
    say(f"measuring {path.name} of {found.name}, for 2 to 30 s with and as long without post-processing")
    how: dict[str, Any] = {"device": device, "threads": threads, "trust": trust, "force": force}
    measured = measure(found, path, epoch, Wanted(**wanted), **how)
    if as_json:
        print_json(measured)
        return
    click.echo("\n".join(lines(measured)))


def lines(measured: Mapping[str, Any]) -> list[str]:
    """Return a measurement as a table: what, then how."""
    return [*table(list(_rows(measured))), "", *_how(measured)]


def _rows(measured: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield "", "median", "p90", "a picture", "FPS"
    for name, key in (("forward", "forward"), ("with post-processing", "whole")):
        time = measured[key]
        yield name, *(f"{number(time[of])} ms" for of in ("median_ms", "p90_ms", "image_ms")), number(time["fps"])
    yield "parameters", f"{measured['parameters']:,}", f"{measured['trainable']:,} trained", "", ""
    yield "GFLOPs", number(measured["gflops"]), f"{number(measured['gmacs'])} GMACs", "", ""
    yield "memory", size(measured["memory"]["bytes"]), "", "", ""


def _how(measured: Mapping[str, Any]) -> Iterator[str]:
    shape = "×".join(map(str, measured["input"]))
    epoch = "" if measured["epoch"] is None else f", epoch {measured['epoch']}"
    fused = "fused" if measured["fused"] else "not fused"
    yield f"{measured['checkpoint']}{epoch}: {measured['weights']} weights, {fused}"
    yield (
        f"batch {measured['batch']}, {shape}, {measured['precision']}, "
        f"{measured['device']['name']}, threads: {measured['threads']}"
    )
    yield f"post-processing: {', '.join(_limits(measured['postprocess']))}"
    yield f"{measured['repeats']} passes in {measured['seconds']:.1f} s after {measured['warmup']} of warm-up"
    yield f"memory: {measured['memory']['what']}"
    yield f"FLOPs: {measured['flops_convention']}"
    if not measured["alone"]:
        yield "--force: others may have computed there at the same time"


def _limits(postprocess: Mapping[str, Any]) -> Iterator[str]:
    yield str(postprocess["kind"])
    yield from (f"{name} {value}" for name, value in postprocess.items() if name != "kind")
