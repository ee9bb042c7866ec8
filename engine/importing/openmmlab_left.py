"""Logs and work directories of OpenMMLab's frameworks: mmcv 1.x text logs, mmengine's scalars.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from detui.engine.backends.command.frameworks import Aqr, OpenMmlab
from detui.engine.backends.command.openmmlab import Trained, Validated, planned, row, text_line, time_of
from detui.engine.importing.left import Ending, Left, Start, lines_of
from detui.engine.importing.literals import literals
from detui.engine.importing.replay import Replay

Parse = Callable[[str], Trained | Validated | None]

NUSCENES = ("mmdet3d/mAP", "mmdet3d/NDS")
BOXES = tuple(f"mmdet/{kind}_mAP{at}" for kind in ("bbox", "segm") for at in ("", "_50", "_75", "_s", "_m", "_l"))
OTHERS = ("mmdet/mAP", "mmdet/AP50", "mmdet/mIoU")
_SEED = re.compile(r"[Ss]et random seed to (\d+)")
_SAVED = re.compile(r"epoch_(\d+)\.pth")


def read_folder(folder: Path) -> Left | None:
    """Read a work directory: every log in it is one start of the training. None where it is no such directory."""
    if not folder.is_dir():
        return None
    scalars = sorted(folder.glob("*/vis_data/scalars.json")) or sorted(folder.glob("vis_data/scalars.json"))
    scalars = [path for path in scalars if _holds(path, row)]
    if scalars:
        return _left(folder, [[path] for path in scalars], row, "mmengine work directory")
    logs = [path for path in sorted(folder.glob("*.log")) if _holds(path, text_line)]
    return _left(folder, [[path] for path in logs], text_line, "mmcv 1.x work directory") if logs else None


def read_files(paths: Sequence[Path]) -> Left | None:
    """Read the parts of one log. None where none of them holds a line of a training."""
    if any(_holds(path, text_line) for path in paths):
        return _left(None, [list(paths)], text_line, "mmcv 1.x log")
    if any(_holds(path, row) for path in paths):
        return _left(None, [list(paths)], row, "mmengine log")
    return None


def _holds(path: Path, parse: Parse) -> bool:
    return any(isinstance(parse(line), Trained) for line in lines_of(path))


def _left(folder: Path | None, logs: Sequence[Sequence[Path]], parse: Parse, form: str) -> Left:
    texts = [[line for part in log for line in lines_of(part)] for log in logs]
    everything = [line for text in texts for line in text]
    told = [one for line in everything if (one := parse(line)) is not None]
    names = {name for one in told if isinstance(one, Validated) for name in one.values}
    nuscenes = any(name.startswith("mmdet3d/") for name in names)
    config, config_files = _config(folder, logs)
    epochs = _planned(everything, config)
    finished, ending = _ending(told, epochs)
    times = [at for line in everything if (at := time_of(line)) is not None]
    seeds = [int(found[1]) for line in everything if (found := _SEED.search(line))]
    weights = sorted(folder.glob("*.pth"), key=_number) if folder is not None else []
    return Left(
        form=form,
        framework="mmdet3d" if nuscenes else "mmdet",
        files=(*(path for log in logs for path in log), *config_files),
        starts=tuple(_start(log[0], text, parse, weights) for log, text in zip(logs, texts, strict=True)),
        finished=finished,
        ending=ending,
        epochs=epochs,
        headline=NUSCENES if nuscenes else tuple(name for name in (*BOXES, *OTHERS) if name in names),
        config=config,
        seed=seeds[-1] if seeds else None,
        clock=(times[0], times[-1]) if times else None,
        weights=tuple(path for path in weights if not path.is_symlink()),
    )


def _start(file: Path, text: Sequence[str], parse: Parse, weights: Sequence[Path]) -> Start:
    first = next((found for line in text if isinstance(found := parse(line), Trained)), None)
    resume = None
    if first is not None and first.epoch is not None and first.epoch > 1:
        # Of mmengine's rows the step counts on: the first row says about where the epoch before had ended.
        step = (first.epoch - 1) * first.of if first.of is not None else first.iteration - 1
        resume = {"step": step, "epoch": first.epoch - 1}
    return Start(play=partial(_play, text, parse, weights), file=file, resume=resume)


def _play(text: Sequence[str], parse: Parse, weights: Sequence[Path], report: Replay) -> None:
    reader, aqr = OpenMmlab(report, parse, counts_on=parse is row, means=False), Aqr(report)
    zero: datetime | None = None
    saved = {int(found[1]): path for path in weights if (found := _SAVED.fullmatch(path.name))}
    told: set[int] = set()
    for line in text:
        if (at := _moment(line)) is not None:
            zero = zero or at
            report.at = max(report.at, (at - zero).total_seconds())
        reader.read(line)
        aqr.read(line)
        for epoch in sorted(saved.keys() - told):
            if epoch <= report.last_epoch:
                told.add(epoch)
                report.checkpoint(saved[epoch].resolve(), report.last_step, epoch, resumable=False)
    aqr.end()


def _moment(line: str) -> datetime | None:
    at = time_of(line)
    return None if at is None else datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f")


def _planned(text: Sequence[str], config: Mapping[str, Any]) -> int | None:
    """How many epochs were planned, by the log's head or by the configuration beside it."""
    for line in text:
        if (found := planned(line)) is not None and found[1] == "epochs":
            return found[0]
    for keys in (("runner", "max_epochs"), ("train_cfg", "max_epochs"), ("total_epochs",), ("max_epochs",)):
        value: Any = config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int):
            return value
    return None


def _ending(told: Sequence[Trained | Validated], epochs: int | None) -> tuple[bool, Ending]:
    """Whether the training got to its end, and by what that is told."""
    trained = [one for one in told if isinstance(one, Trained)]
    last, at = trained[-1], trained[-1].epoch or 0
    if epochs is not None:
        done = max([one.at for one in told if isinstance(one, Validated) and one.epochs], default=0)
        if done >= epochs or (at >= epochs and last.of is not None and last.iteration >= last.of):
            return True, Ending("ending last epoch", (epochs,))
        return False, Ending("ending in epoch", (max(at, done), epochs))
    if isinstance(told[-1], Validated):
        return True, Ending("ending validated")
    return False, Ending("ending within")


def _config(folder: Path | None, logs: Sequence[Sequence[Path]]) -> tuple[dict[str, Any], list[Path]]:
    """The settings that the framework dumped into the work directory, read without running them."""
    if folder is None:
        return {}, []
    beside = [log[0].parent / "config.py" for log in logs]
    found = [path for path in (*reversed(beside), *sorted(folder.glob("*.py"))) if path.is_file()]
    return (literals(found[0]), [found[0]]) if found else ({}, [])


def _number(path: Path) -> tuple[int, str]:
    found = _SAVED.fullmatch(path.name)
    return (int(found[1]) if found else 1 << 30, path.name)
