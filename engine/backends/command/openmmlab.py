"""What OpenMMLab's frameworks write: text logs of mmcv 1.x, and the rows of mmengine's scalars.json.

Metrics get our names: `loss_cls` is `train/loss_cls`, `d0.dn_loss_cls` is `train/loss_d0.dn_cls`, `lr` is `lr/all`,
`grad_norm` is `gradient/norm`. A validation's numbers carry the framework's name: `mmdet/bbox_mAP`, and of nuScenes
`mmdet3d/mAP`, `mmdet3d/NDS`, `mmdet3d/mATE`, `mmdet3d/mAP/car`. A number that is `nan` is not available; a loss that is
`nan` stays so, and raises the alarm.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Values = dict[str, float | None]

_TRAIN = re.compile(r"(?:Epoch \[(?P<epoch>\d+)\]|Iter )\[(?P<iteration>\d+)/(?P<of>\d+)\]\s+(?P<rest>lr: .*)$")
_VALIDATION = re.compile(r"(?:Epoch|Iter)\(val\) \[(?P<at>\d+)\](?:\[\d+(?:/\d+)?\])?\s+(?P<rest>.*)$")
_PAIR = re.compile(r"([\w./@-]+): ([^,\s]+)(?=,|\s|$)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})")
_EPOCHS = re.compile(r"workflow: .*max: (\d+) (epochs|iters)")
_NUSCENES = re.compile(r"NuScenes(?: metric)?/(?P<name>.+)$")
_AP = re.compile(r"(?P<of>\w+?)_AP_dist_(?P<at>[\d.]+)$")
_ERROR = re.compile(r"(?P<of>\w+?)_(?P<error>trans|scale|orient|vel|attr)_err$")
_PLAIN = {"lr": "lr/all", "base_lr": "lr/base", "grad_norm": "gradient/norm", "time": "time/step",
          "data_time": "time/data"}  # fmt: skip
_TALK = frozenset({"eta", "epoch", "iter", "step", "mode"})
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Trained:
    """A line of the training."""

    epoch: int | None
    """From 1; None where the runner counts no epochs."""
    iteration: int
    """Within the epoch, or of the whole training where there are no epochs; None of a row without it is -1."""
    of: int | None
    """Iterations of the epoch or of the whole; None where the line does not say."""
    values: Values


@dataclass(frozen=True, slots=True)
class Validated:
    """A line of a validation."""

    at: int
    """Epoch, or iteration where there are no epochs."""
    epochs: bool
    """Which of the two it is."""
    values: Values


def text_line(line: str) -> Trained | Validated | None:
    """Read a line of an mmcv 1.x text log (with or without time and logger in front); None for any other."""
    found = _TRAIN.search(line)
    if found is not None:
        epoch = None if found["epoch"] is None else int(found["epoch"])
        return Trained(epoch, int(found["iteration"]), int(found["of"]), training(_pairs(found["rest"])))
    found = _VALIDATION.search(line)
    if found is not None:
        return Validated(int(found["at"]), "Epoch(val)" in line, validation(_pairs(found["rest"])))
    return None


def planned(line: str) -> tuple[int, str] | None:
    """Return how long the training is to be where a log's line says so: (12, "epochs")."""
    found = _EPOCHS.search(line)
    return None if found is None else (int(found[1]), found[2])


def time_of(line: str) -> str | None:
    """Return the time in front of a line, as it stands there: the logger does not say in which zone."""
    found = _TIME.match(line)
    return None if found is None else found[1]


def row(text: str) -> Trained | Validated | None:
    """Read a line of mmengine's scalars.json; None for one that is no JSON object, or says nothing.

    A row of a validation has no loss and only `step`, the epoch (or iteration) that it was done after.
    """
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, Mapping) or not isinstance(found.get("step"), int):
        return None
    numbers = {str(name): _number(value) for name, value in found.items() if not isinstance(value, str | bool)}
    if any("loss" in name for name in numbers):
        epoch, iteration = found.get("epoch"), found.get("iter", found["step"])
        return Trained(epoch if isinstance(epoch, int) else None, int(iteration), None, training(numbers))
    values = validation(numbers)
    return Validated(int(found["step"]), True, values) if values else None


def training(numbers: Mapping[str, float]) -> Values:
    """Name the numbers of a training line."""
    found: Values = {}
    for name, value in numbers.items():
        if name == "memory":  # of torch.cuda.max_memory_allocated, in MiB
            found["memory/peak"] = value * _MIB
        elif name in _PLAIN:
            found[_PLAIN[name]] = value if math.isfinite(value) else None
        elif "loss" in name:
            found[loss_name(name)] = value
        elif name not in _TALK:
            found[f"mmdet/{name}"] = value if math.isfinite(value) else None
    return found


def loss_name(name: str) -> str:
    """Return `train/loss` for the whole loss, `train/loss_<term>` for a term: `d0.dn_loss_cls` → `d0.dn_cls`."""
    if name == "loss":
        return "train/loss"
    return "train/loss_" + (name.replace("loss_", "", 1) if "loss_" in name else name)


def validation(numbers: Mapping[str, float]) -> Values:
    """Name the numbers of a validation; nuScenes' per-class AP is added as the mean over its four distances."""
    found: Values = {}
    distances: dict[str, list[float]] = {}
    for name, value in numbers.items():
        if name in _TALK or name in _PLAIN or name == "memory":
            continue
        of = _NUSCENES.search(name)
        ours = _nuscenes(of["name"]) if of else f"mmdet/{name.rsplit('/', 1)[-1]}"
        found[ours] = value if math.isfinite(value) else None
        if of and (at := _AP.fullmatch(of["name"])) and math.isfinite(value):
            distances.setdefault(at["of"], []).append(value)
    means = {f"mmdet3d/mAP/{name}": fmean(of) for name, of in distances.items() if len(of) == 4}
    return {**found, **means}


def _nuscenes(name: str) -> str:
    if at := _AP.fullmatch(name):
        return f"mmdet3d/AP_dist_{at['at']}/{at['of']}"
    if error := _ERROR.fullmatch(name):
        return f"mmdet3d/{error['error']}_err/{error['of']}"
    return f"mmdet3d/{name}"


def _pairs(text: str) -> dict[str, float]:
    """The `name: number` pairs of a log line; `eta: 1:15:26` is none."""
    return dict(_numbers(text))


def _numbers(text: str) -> Iterator[tuple[str, float]]:
    for name, value in _PAIR.findall(text):
        try:
            yield name, float(value)
        except ValueError:
            continue


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
