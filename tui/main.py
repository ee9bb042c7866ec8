"""The command `detui`: finds the command's module, and turns every error into a message and an exit code.

Nothing heavy is imported here: `detui --help` loads click and this file, and
a command's own module is loaded only when that command is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from detui.engine.errors import DetuiError
from detui.tui.context import Session, complete_hosts
from detui.tui.group import LazyGroup

COMMANDS = {
    "recipes": "List the recipes.",
    "show": "Show a recipe: its question, its arms, what differs, and the plan.",
    "run": "Run a recipe: every arm with every seed, then the record.",
    "ls": "List experiments and their runs.",
    "tail": "Print what a run measured, or its log.",
    "stop": "Ask runs to save a checkpoint and end.",
    "kill": "End runs at once, without a checkpoint.",
    "hold": "Let others pass a run that waits in the queue.",
    "release": "Let a held run take part in the queue again.",
    "front": "Move a waiting run before the other runs of its user.",
    "resume": "Continue runs from their last checkpoint.",
    "retry": "Repeat the runs of an experiment that failed, and no others.",
    "branch": "Start a new run from another run's checkpoint, with changed settings.",
    "speed": "Measure speed and size of a trained model.",
    "compare": "Compare runs, or the arms of experiments.",
    "import": "Make finished runs out of what other tools left: logs, run directories.",
    "evaluate": "Score a checkpoint of a run, or any file of detections.",
    "rm": "Remove experiments, their records included.",
    "gc": "Free the space of checkpoints that nobody will need.",
    "gpus": "Show this machine's devices and who uses them.",
    "pull": "Copy an experiment of another host, for reading it here.",
    "record": "Show, fill or export the record of an experiment.",
    "data": "Look at data sets: what is there, and what is wrong with it.",
    "weights": "Check the weights that a recipe starts from, and add files of weights.",
    "env": "Make and look at the environments that frameworks need of their own.",
    "doctor": "Check this machine: packages, devices, workspace.",
    "config": "Show the configuration, and where each value came from.",
    "version": "Print the version of detui and of what it runs on.",
    "completion": "Print the completion script of a shell.",
}
"""Every command and its line in `detui --help`; the module of that name in `commands/` holds it."""


@click.command(
    "detui",
    cls=LazyGroup,
    commands_at="detui.tui.commands",
    summaries=COMMANDS,
    elsewhere="detui.tui.elsewhere",
    here=("pull",),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command, detui opens the terminal application. Closing it never stops a run.",
)
@click.option("--workspace", metavar="DIR", help="Where experiments are kept.  [default: as configured, or ./logs]")
@click.option(
    "--host",
    metavar="HOST",
    shell_complete=complete_hosts,
    help="Run all this on another host, over ssh: a name of the configuration's `hosts`, or user@server.",
)
@click.option("--debug", is_flag=True, help="Show a traceback with every error.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw charts and bars of the application in plain ASCII.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.option("--read-only", is_flag=True, help="Open the application to look only: it asks nothing of any run.")
@click.pass_context
def application(ctx: click.Context, /, workspace: str | None, host: str | None, **options: bool) -> None:
    """Object-detection experiments: recipes, runs that outlive the connection, records that say what was run."""
    ctx.obj = Session(workspace, host=host, **options)
    if ctx.invoked_subcommand is None and host is not None:
        from detui.tui.elsewhere import go

        sys.exit(go(ctx.obj, ()))
    if ctx.invoked_subcommand is None:
        from detui.tui.guard import open_application

        open_application(ctx.obj)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `detui` with the process's arguments and exit with its code."""
    from detui.tui import crash

    given = list(sys.argv[1:] if arguments is None else arguments)
    crash.install(debug="--debug" in given)
    sys.exit(_run(given))


def _run(arguments: list[str]) -> int:
    try:
        code = application.main(arguments, prog_name="detui", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except DetuiError as error:
        if "--debug" in arguments:
            raise
        _complain(error.message, error.where, error.hint)
        return error.exit_code
    except click.UsageError as error:
        _complain(error.format_message(), None, _usage_hint(error))
        return 2
    except click.ClickException as error:
        _complain(error.format_message(), None, None)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("detui: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; whatever is flushed at exit must not complain about it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _usage_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "detui"
    return f"{path} --help"


def _complain(message: str, where: str | None, hint: str | None) -> None:
    """Print an error in at most four lines: what is wrong, where, and the next step."""
    lines = f"detui: error: {f'{where}: ' if where else ''}{message}".splitlines()
    shown = [*lines[:3], f"  try: {hint}"] if hint else lines[:4]
    click.echo("\n".join(shown), err=True)
