"""The plan half for any program: its command line, and how its output is read.

```yaml
backend: command
base:
  command: [python3, /home/me/train.py, --seed, "{seed}", --settings, "{config}"]
  epochs: 12
  read: json_lines        # or a list of {pattern, metric}
  train: {lr: 0.01}       # handed over as JSON, in the file {config}
```
"""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from detui.engine.backends.base import CheckContext, Problem, WeightFile
from detui.engine.backends.command.placeholders import PLACEHOLDERS, unknown_placeholders
from detui.engine.closed import Closed


class Pattern(Closed):
    """A regular expression that finds one metric in the program's output."""

    pattern: str
    """Searched in every line; the named group `value` is the number, `step` and `epoch` may be there, too."""
    metric: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+)+$")]
    """The name it gets, `group/name`: `train/loss_total`."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, text: str) -> str:
        try:
            groups = re.compile(text).groupindex
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from error
        if "value" not in groups:
            raise ValueError("the expression needs a named group for the number: (?P<value>[-+.0-9eE]+)")
        return text


class CommandConfig(Closed):
    """The sections of a recipe for this backend."""

    command: Annotated[list[str], Field(min_length=1)]
    """The program and its arguments, one by one: no shell reads them. `{seed}` and the like are filled in."""
    env: dict[str, str] = {}
    """Environment variables of the program; placeholders are filled in here, too."""
    epochs: Annotated[int, Field(ge=1)] = 1
    """How many epochs the program will report: for progress, and to tell a finished run from a stopped one."""
    read: Literal["json_lines"] | list[Pattern] = "json_lines"
    """How metrics are found in its output."""
    train: dict[str, Any] = {}
    """What the program is to train with. It finds this as JSON in the file `{config}`."""


class CommandBackend:
    """Plans runs of any program."""

    name = "command"
    trainer = "detui.engine.backends.command.train:CommandTrainer"
    config = CommandConfig
    needs_data = False
    yolo_layout = False
    resume_grain = "what the program did since its last checkpoint is repeated"
    fixed_in_branches = ()

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands."""
        return ("epochs",)

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """None: the program finds its own."""
        return []

    def architecture(self, config: Mapping[str, Any]) -> None:
        """Nobody knows what the program builds."""

    def environ(self) -> dict[str, str]:
        """Nothing beside what the recipe sets."""
        return {}

    def check(self, context: CheckContext) -> list[Problem]:
        """The program must be there, and placeholders must be known."""
        command = context.config["command"]
        return [*_program(command[0]), *_placeholders(context.config)]


def _program(name: str) -> list[Problem]:
    if "{" in name:
        return []
    if "/" in name and not Path(name).is_absolute():
        text = f"{name!r} is a relative path, and the program starts in a directory of its own."
        return [Problem(level="error", text=text, where="command", hint="write the absolute path")]
    if shutil.which(name):
        return []
    hint = "install it, or write its absolute path"
    text = f"The program {name!r} is not there, or may not be executed."
    return [Problem(level="error", text=text, where="command", hint=hint, missing=True)]


def _placeholders(config: Mapping[str, Any]) -> list[Problem]:
    found = []
    for text in (*config["command"], *config["env"].values()):
        for name in unknown_placeholders(text):
            near = difflib.get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"{{{near[0]}}}" if near else f"known are {', '.join(PLACEHOLDERS)}"
            message = f"{{{name}}} is no placeholder and is passed on as it is."
            found.append(Problem(level="warning", text=message, where="command", hint=hint))
    return found
