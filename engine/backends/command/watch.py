"""What a recipe says of how a program is watched: `watch`.

```yaml
watch: mmcv1                                     # a format whose names are known
watch:                                           # or several, and the program's own names
  - {format: printed, metrics: {train/loss: 'loss (?P<value>\\S+) at step (?P<step>\\d+)'}}
  - {format: jsonl, file: log.jsonl, metrics: {train/loss_box: losses.box}, step: iter, epoch: epoch}
  - {format: csv, file: results.csv, kind: epoch, metrics: {mine/mAP50: map50}, epoch: epoch}
  - {format: tensorboard, file: tb, metrics: {lr/all: train/lr}}
```
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from detui.engine.backends.command.formats import FILES_ONLY, KNOWN, OWN
from detui.engine.closed import Closed

_METRIC = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_.@-]+)+")
_LOSS = re.compile(r"train/loss(_[A-Za-z0-9_.-]+)?")
_NUMBER = r"(?P<value>[-+.0-9eE]+)"


def _metric(name: str) -> str:
    """A name of ours (train/loss_<term>, lr/<group> …), or one that begins with a framework's or program's own name."""
    if not _METRIC.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a metric: group/name, such as train/loss_box, lr/all or mine/mAP.")
    group, rest = name.split("/", 1)
    if group in ("val", "test"):
        raise ValueError(
            f"{name!r}: {group}/ is for what detui's evaluator measures. "
            f"A program's own number carries its name: mine/{rest}."
        )
    if group == "train" and not _LOSS.fullmatch(name):
        near = f"train/loss_{rest.removesuffix('_loss').removesuffix('loss').rstrip('_') or 'total'}"
        raise ValueError(f"{name!r}: train/ is for losses, as train/loss or train/loss_<term>: {near}, or mine/{rest}.")
    return name


Metric = Annotated[str, AfterValidator(_metric)]


class Watch(Closed):
    """One place in a program's output where measurements are found."""

    format: Literal["printed", "jsonl", "csv", "tensorboard", "json_lines", "mmcv1", "mmengine", "aqr"]
    """printed: lines and regular expressions. jsonl, csv, tensorboard: keys, columns, tags. json_lines: detui's own.

    mmcv1: text logs of mmcv 1.x. mmengine: its scalars.json. aqr: the blocks that AQR forks of CMT print.
    """
    file: str | None = None
    """The file or files (`*` and `**` are wildcards), relative to `{out}`; None: the program's output."""
    metrics: dict[Metric, Annotated[str, Field(min_length=1)]] = {}
    """Metric → where it is found: a regular expression with the group `value`, a key (`a.b`), a column, a tag."""
    kind: Literal["step", "epoch", "statistic"] = "step"
    """What they are of: one step, a whole epoch, or named numbers that are no loss."""
    step: str | None = None
    """Key or column with the step; printed lines have the group `step`. Counted on where it is absent."""
    epoch: str | None = None
    """Key or column with the epoch; printed lines have the group `epoch`."""
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """Of a program that counts its steps anew in every epoch: how many those are."""
    first_epoch: Literal[0, 1] = 1
    """What the program calls its first epoch."""

    @field_validator("metrics")
    @classmethod
    def _expressions(cls, metrics: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if info.data.get("format") == "printed":
            for name, text in metrics.items():
                _check_expression(name, text)
        return metrics

    @model_validator(mode="after")
    def _whole(self) -> Watch:
        if self.format in OWN and not self.metrics:
            raise ValueError(f"the format {self.format} needs metrics: {{train/loss: {_EXAMPLES[self.format]}}}.")
        if self.format in KNOWN and self.model_fields_set - {"format", "file"}:
            extra = sorted(self.model_fields_set - {"format", "file"})
            raise ValueError(f"the format {self.format} knows its names: it takes no {', '.join(extra)}.")
        if self.format in FILES_ONLY and self.file is None:
            raise ValueError(f"the format {self.format} needs a file.")
        if self.format in ("printed", "tensorboard") and (self.step or self.epoch):
            where = "the groups step and epoch of the expression" if self.format == "printed" else "the events"
            raise ValueError(f"of the format {self.format}, {where} say step and epoch: leave them out.")
        return self


_EXAMPLES = {"printed": f"'loss {_NUMBER}'", "jsonl": "loss", "csv": "loss", "tensorboard": "loss/train"}


def _check_expression(metric: str, text: str) -> None:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"{metric}: {text!r} is no regular expression: {error}.") from error
    if "value" not in groups:
        near = difflib.get_close_matches("value", groups, 1)
        found = f"its group {near[0]!r} is meant, perhaps; " if near else ""
        raise ValueError(f"{metric}: the expression has no named group `value`: {found}write {_NUMBER}.")
    if unknown := sorted(set(groups) - {"value", "step", "epoch"}):
        raise ValueError(f"{metric}: the group {unknown[0]!r} means nothing: there are value, step and epoch.")


def _listed(given: Any) -> Any:
    """One entry alone, or the name of a format, as a list of it."""
    if isinstance(given, str | Mapping):
        given = [given]
    return [{"format": one} if isinstance(one, str) else one for one in given] if isinstance(given, list) else given


Watches = Annotated[list[Watch], BeforeValidator(_listed, json_schema_input_type=str | Watch | list[str | Watch])]
"""`watch` as it is written: the name of a format, one entry, or a list of either."""
