"""Confirming and reporting, for the commands that ask something of runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from detui.engine.errors import RunError, UsageError
from detui.tui.control import Answer
from detui.tui.output import print_json, say


def confirm(question: str, yes: bool, *, grave: str | None = None) -> None:
    """Ask on a terminal unless `yes`; without a terminal, say what is being done. Raises click.Abort on "no".

    `grave`: what would be lost. What cannot be undone is never done unasked; raises UsageError where nobody can be
    asked.
    """
    if grave and not yes and not sys.stdin.isatty():
        raise UsageError(f"There is no terminal to ask on, and {grave}.", hint="the same command with --yes")
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        say(question.replace("?", ":", 1) if not yes else question.split("?")[0] + ".")
        return
    click.confirm(question, abort=True, err=True)


def report(answers: Sequence[Answer], as_json: bool) -> None:
    """Say what came of it. Raises RunError where nothing could be done."""
    if as_json:
        found = [{"run": _ref(answer), "done": answer.done, "text": answer.text} for answer in answers]
        print_json(found)
    else:
        for answer in answers:
            say(f"{_ref(answer)} {answer.text}")
    if not any(answer.done for answer in answers):
        raise RunError("There was nothing to do.", hint="detui ls")


def _ref(answer: Answer) -> str:
    return f"{answer.run.experiment_dir.name}/{answer.run.name}"
