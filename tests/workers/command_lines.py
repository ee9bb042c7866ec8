"""What the real command line makes of a command that detui shows."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from detui.engine.planning import Plan
from detui.tui.commands.run import LAUNCH
from detui.tui.context import Session
from detui.tui.main import application
from detui.tui.options import make_plan

ABOUT = {"name": None, "tags": (), "note": None, "no_evaluate": False}
"""What `detui run` says about an experiment where nobody said anything."""


def parsed(command: str, workspace: Path) -> tuple[Plan, dict[str, object]]:
    """What the real command line makes of a command: its plan, and what it says about the experiment."""
    words = shlex.split(command)
    assert words[:2] == ["detui", "run"]
    run = application.get_command(click.Context(application), "run")
    assert run is not None
    options = run.make_context("run", words[2:]).params
    about = {name: options.pop(name) for name in LAUNCH}
    del options["preflight"]
    plan = make_plan(Session(str(workspace)), options.pop("recipe"), **options)
    return plan, {name: about[name] for name in ABOUT}
