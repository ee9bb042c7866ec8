"""The plan half for any program: its command line, and how its output is watched.

```yaml
backend: command
base:
  command: [python3, /home/me/train.py, --seed, "{seed}", --settings, "{config}"]
  epochs: 12
  watch: json_lines       # or other formats, or the program's own names: watch.py
  train: {lr: 0.01}       # handed over as JSON, in the file {config}
```
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from detui.engine.backends.base import CheckContext, Problem, WeightFile
from detui.engine.backends.command.mmdet3d import expanded
from detui.engine.backends.command.placeholders import PLACEHOLDERS, unknown_placeholders
from detui.engine.backends.command.watch import Watches
from detui.engine.closed import Closed


class Repository(Closed):
    """A training repository in the style of OpenMMLab: mmdet3d, mmdet, or a fork such as CMT."""

    repository: str
    """Its folder: an absolute path. The program starts there, and finds its modules there."""
    config: str
    """The configuration that it trains, relative to the folder."""
    python: str = "{python}"
    """The interpreter of the repository's own environment: an absolute path."""
    stack: Literal["mmcv1", "mmengine"] = "mmcv1"
    """mmcv1: mmdet3d 0.x and 1.x, mmdet 2.x. mmengine: mmdet3d 1.1 and mmdet 3 on. It decides options and logs."""
    script: str = "tools/train.py"
    """What trains, relative to the folder."""
    work_dir: str = "{out}/work"
    """Where it writes; its checkpoints are followed there."""
    launcher: Literal["none", "pytorch"] = "none"
    """pytorch: below torch's own launcher, with several processes."""
    processes: Annotated[int, Field(ge=1)] = 1
    """How many that launcher starts."""
    options: dict[str, Any] = {}
    """Settings over those of the configuration, nested: `{model: {head: {clamp: 2.5}}}`."""
    arguments: list[str] = []
    """Further words of the command line."""
    seed: bool = True
    """Whether the seed of the run is handed over."""


class CommandConfig(Closed):
    """The sections of a recipe for this backend."""

    command: Annotated[list[str], Field(min_length=1)] | None = None
    """The program and its arguments, one by one: no shell reads them. `{seed}` and the like are filled in."""
    mmdet3d: Repository | None = None
    """In place of a command: a repository in the style of OpenMMLab."""
    cwd: str | None = None
    """Where the program starts; `{out}` by default."""
    resume: list[str] = []
    """Words added to the command where an attempt goes on from a checkpoint: `[--resume, "{resume}"]`."""
    env: dict[str, str] = {}
    """Environment variables of the program; placeholders are filled in here, too."""
    epochs: Annotated[int, Field(ge=1)] = 1
    """How many epochs the program will report: for progress, and to tell a finished run from a stopped one."""
    watch: Watches = []
    """Where measurements are found; by default json_lines, or what the repository's framework writes."""
    checkpoints: list[str] = []
    """Files (`*` is a wildcard) that a resume can go on from, relative to `{out}`: `[weights/epoch_*.pt]`."""
    predictions: str | None = None
    """COCO results that it writes on the images of val.json, relative to `{out}`: `predictions/epoch_*.json`."""
    train: dict[str, Any] = {}
    """What the program is to train with. It finds this as JSON in the file `{config}`."""

    @model_validator(mode="after")
    def _one_program(self) -> CommandConfig:
        if (self.command is None) == (self.mmdet3d is None):
            raise ValueError("a command is missing: command, or mmdet3d with a repository, and not both.")
        return self


class CommandBackend:
    """Plans runs of any program."""

    name = "command"
    trainer = "detui.engine.backends.command.train:CommandTrainer"
    config = CommandConfig
    needs_data = False
    trains_on: Literal["images", "frames"] | None = None
    yolo_layout = False
    masks: bool | None = None
    resume_grain = "what the program did since its last checkpoint is repeated"
    statistics = None
    model_of_stage = ()
    distributes: Literal["torchrun", "itself"] | None = "itself"
    compares_weights = False
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
        config = context.config
        found = [*_repository(config["mmdet3d"])] if config["mmdet3d"] else [*_program(config["command"][0])]
        return [*found, *_start(config["cwd"]), *_placeholders(config)]


def _program(name: str, where: str = "command") -> Iterator[Problem]:
    if "{" in name or (shutil.which(name) and ("/" not in name or Path(name).is_absolute())):
        return
    if "/" in name and not Path(name).is_absolute():
        text = f"{name!r} is a relative path, and the program starts in a directory of its own."
        yield Problem(level="error", text=text, where=where, hint="write the absolute path")
        return
    hint = "install it, or write its absolute path"
    text = f"The program {name!r} is not there, or may not be executed."
    yield Problem(level="error", text=text, where=where, hint=hint, missing=True)


def _repository(given: Mapping[str, Any]) -> Iterator[Problem]:
    """The repository, its script, its configuration and its interpreter are there."""
    folder = Path(given["repository"])
    if not folder.is_dir():
        text = f"There is no repository at {folder}."
        hint = "--set mmdet3d.repository=/path/to/your/checkout --set mmdet3d.python=/path/to/its/python"
        yield Problem(level="error", text=text, where="mmdet3d.repository", hint=hint, missing=True)
    yield from _program(given["python"], "mmdet3d.python")
    if not folder.is_dir():
        return
    for name in ("script", "config"):
        if "{" not in given[name] and not (folder / given[name]).is_file():
            text = f"The repository has no file {given[name]!r}."
            yield Problem(level="error", text=text, where=f"mmdet3d.{name}", hint=f"ls {folder}", missing=True)


def _start(folder: str | None) -> Iterator[Problem]:
    if folder is not None and "{" not in folder and not (Path(folder).is_absolute() and Path(folder).is_dir()):
        text = f"The program cannot start in {folder!r}: there is no such absolute path of a folder."
        yield Problem(level="error", text=text, where="cwd", hint="{out}, or a folder that is there", missing=True)


def _placeholders(config: Mapping[str, Any]) -> Iterator[Problem]:
    full = expanded(config)
    files = (one["file"] for one in full["watch"] if one["file"])
    lists = (full["command"], full["resume"], full["env"].values(), full["checkpoints"], files)
    for text in (*(text for one in lists for text in one), full["cwd"] or "", full["predictions"] or ""):
        for name in unknown_placeholders(text):
            near = difflib.get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"{{{near[0]}}}" if near else f"known are {', '.join(PLACEHOLDERS)}"
            message = f"{{{name}}} is no placeholder and is passed on as it is."
            yield Problem(level="warning", text=message, where="command", hint=hint)
