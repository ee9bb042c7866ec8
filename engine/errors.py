"""The errors that detui raises on purpose, and the exit code that each becomes.

    DetuiError                 1   a run or a check failed
     ├─ DataError              1   the content of a data set is wrong
     ├─ RunError               1   a run cannot do what was asked
     ├─ UsageError             2   wrong usage, bad input
     │   ├─ RecipeError        2   a recipe, or a value set over it, is wrong
     │   └─ FormatError        2   a file is broken, or from a newer detui
     └─ MissingError           3   weights, data, an environment or a device is absent

A message says what is wrong; `where` names the file and line, or the field;
`hint` is the next command or step to try. Standard library only: this module
travels into the environments of other frameworks.
"""

from __future__ import annotations


class DetuiError(Exception):
    """An error with a place and a next step. Shown without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        """`message`: one or more full sentences. `where`: "file:line:column" or a field. `hint`: what to try."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  try: {self.hint}" if self.hint else text


class DataError(DetuiError):
    """The content of a data set is wrong: a label out of range, an image that is no image."""


class RunError(DetuiError):
    """A run cannot do what was asked of it: nothing to resume, already running, already ended."""


class UsageError(DetuiError):
    """Wrong usage or bad input."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe, or an override given on the command line, is wrong."""


class FormatError(UsageError):
    """A file of detui's own is broken, or was written by a newer version."""


class MissingError(DetuiError):
    """Something that must be here is absent: weights, data, an environment, a device."""

    exit_code = 3
