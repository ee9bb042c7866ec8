"""The options that choose what of a recipe is run: shared by `show` and `run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from detui.engine.planning import Plan
    from detui.engine.slurm_options import SlurmOptions
    from detui.tui.context import Session

F = TypeVar("F", bound=Callable[..., Any])


def _seeds(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        message = f"{value!r} is not a list of seeds: whole numbers with commas between, such as 0,1,2."
        raise click.BadParameter(message, ctx, param) from None


def added(function: F, options: Sequence[Callable[[F], F]]) -> F:
    """Add options to a command, in their order in its help."""
    for option in reversed(options):
        function = option(function)
    return function


def choices(function: F) -> F:
    """Add the options that choose profile, arms, data, seeds, values and devices."""
    options = (
        click.option("--profile", metavar="NAME", help="full, quick, smoke or the recipe's own.  [default: full]"),
        click.option("--arm", "arms", metavar="NAME", multiple=True, help="Only this arm. Repeatable."),
        click.option(
            "--data",
            metavar="NAME",
            multiple=True,
            help="Of several data sets only this, repeatable; else this in place of the recipe's.",
        ),
        click.option("--seeds", metavar="0,1,2", callback=_seeds, help="These seeds instead of the recipe's."),
    )
    return added(overriding(devices(function)), options)


def overriding(function: F) -> F:
    """Add the option that sets values."""
    text = "Another value: train.lr0=0.0005 for all arms, ARM.train.lr0=0.0005 for one. Repeatable."
    option: Callable[[F], F] = click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=text)
    return option(function)


WHERE = ("devices", "min_free_memory", "on_busy", "cpu_slots", "executor", "slurm")
"""The parameters of the options of `devices`."""


def devices(function: F) -> F:
    """Add the options that choose devices, and what to do while they are taken."""
    options = (
        click.option(
            "--devices", metavar="N|0,3|WHERE",
            help="How many devices each run takes (2), or which it may choose from, by nvidia-smi's index (0,3 or 3,)"
            " or UUID; auto; cpu.  [default: auto]",
        ),
        click.option(
            "--min-free-memory", metavar="20G", help="Wait until a GPU has so much memory free, whoever uses the rest.",
        ),
        click.option(
            "--on-busy", type=click.Choice(["wait", "fail"]), default="wait", show_default=True,
            help="Where every device is taken: wait in the queue, or fail.",
        ),
        click.option(
            "--cpu-slots", metavar="N", type=click.IntRange(min=1),
            help="How many runs may train on the CPU at once.  [default: DETUI_CPU_SLOTS, or the cores]",
        ),
        click.option(
            "--executor", type=click.Choice(["local", "slurm"]), default="local", show_default=True,
            help="Where the runs are started: on this machine, or as jobs of Slurm.",
        ),
    )  # fmt: skip
    return added(slurm(function), options)


def slurm(function: F) -> F:
    """Add the option that says what Slurm is to give."""
    text = "What is asked of Slurm: partition=gpu, time=08:00:00, nodes=2, options=--exclude=n7… Repeatable."
    option: Callable[[F], F] = click.option("--slurm", metavar="KEY=VALUE", multiple=True, help=text)
    return option(function)


def launched_options(words: tuple[str, ...]) -> SlurmOptions | None:
    """Return what `--slurm` said; None where nothing was. Raises UsageError."""
    from detui.engine.slurm_options import launched

    return launched(words) if words else None


def make_plan(
    session: Session,
    recipe: str,
    profile: str | None,
    arms: tuple[str, ...],
    data: tuple[str, ...],
    seeds: list[int] | None,
    overrides: tuple[str, ...],
    **where: Any,
) -> Plan:
    """Plan a launch with the values of these options; `where` is what chooses its devices."""
    return session.workspace.plan(
        recipe, profile=profile, arms=list(arms) or None, data=data, seeds=seeds, overrides=overrides, **where
    )
