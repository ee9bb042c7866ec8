"""What the test images say of a difference between two arms: the paired bootstrap of one pair of their runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.errors import DetuiError, MissingError
from detui.engine.evaluate.judging import metric_of
from detui.engine.evaluate.pending import load, truth_of
from detui.engine.evaluate.regions import REGIONS
from detui.engine.evaluate.void import VOID
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.run.directory import RunDir

if TYPE_CHECKING:
    from detui.engine.evaluate.bootstrap import ImageDelta

REPLICATES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """One pair of runs, compared on the images that both were evaluated on."""

    first: str
    second: str
    """Names of the two runs."""
    deltas: tuple[ImageDelta, ...] = ()
    problem: str | None = None
    """Why there is no such comparison."""


Place = tuple[Path, RunFacts]
"""The experiment's directory, and one of its runs."""


def pair(one: Sequence[RunFacts], two: Sequence[RunFacts]) -> tuple[RunFacts, RunFacts] | None:
    """The finished and evaluated runs with the lowest seed that both have, else the first of each; None without one."""
    first, second = ({run.seed: run for run in runs if run.finished and run.chosen} for runs in (one, two))
    if not first or not second:
        return None
    common = sorted(first.keys() & second.keys())
    return (first[common[0]], second[common[0]]) if common else (first[min(first)], second[min(second)])


def same_images(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Whether two prepared data objects hold the same validation images with the same boxes.

    They may train on different images all the same. Where nothing is known of one of them, nothing speaks against it.
    """
    marks = [data.get("fingerprint") for data in (one, two)]
    if None in marks or marks[0] == marks[1]:
        return True
    splits = [(data.get("splits") or {}).get("val") or {} for data in (one, two)]
    if any(splits[0].get(count) != splits[1].get(count) for count in ("images", "boxes")):
        return False
    try:
        first, second = (load(Path(str(data["prepared"])) / "val.json") for data in (one, two))
    except (DetuiError, KeyError):  # removed since: what cannot be shown to be the same is not taken for it
        return False
    return _ground(first) == _ground(second)


def compare_runs(first: Place, second: Place, replicates: int = REPLICATES) -> Images:
    """Compare two runs at their chosen checkpoints. What stands in the way is in `problem`."""
    from detui.engine.evaluate.bootstrap import compare_on_images

    compared = Images(first=first[1].name, second=second[1].name)
    try:
        if any(metric_of(load(truth_of(_directory(place), "val"))) == "nuscenes" for place in (first, second)):
            return replace(compared, problem="nuScenes' metric is of all frames together: no bootstrap is made of it")
        truth, theirs = (load(truth_of(_directory(place), "val")) for place in (first, second))
        if _ground(truth) != _ground(theirs):
            return replace(compared, problem="they were evaluated on different images")
        sides = [load(_predictions(place)) for place in (first, second)]
        deltas = compare_on_images(truth, *sides, masks=_masks(first, second), replicates=replicates)
    except (DetuiError, ValueError) as error:
        return replace(compared, problem=_elsewhere(error, first, second) or str(error))
    return replace(compared, deltas=tuple(deltas))


def _elsewhere(error: Exception, *places: Place) -> str | None:
    """Say of copies from another host, whose predictions or data are not here, where both are."""
    hosts = [copy.host for place in places if (copy := _directory(place).pulled()) is not None]
    if not hosts or not isinstance(error, MissingError):
        return None
    return f"the predictions and the data are on {' and '.join(dict.fromkeys(hosts))}: compare there, with --host"


def _masks(*places: Place) -> bool | None:
    """Whether the masks of two runs are compared; None: where all their detections have one."""
    said = {_directory(place).spec().masks for place in places}
    return False if False in said else True if said == {True} else None


def of_arms(facts: ExperimentFacts, known: dict[str, Any]) -> dict[str, Images]:
    """Arm → the comparison of one of its runs with one of its reference's; nothing where runs are missing.

    `known` remembers results by what they were computed from, and is brought up to date: a bootstrap takes seconds.
    """
    found: dict[str, Images] = {}
    for arm in facts.compared:
        chosen = pair(facts.of(facts.reference(arm)), facts.of(arm))
        if chosen is None:
            continue
        first, second = ((facts.path, run) for run in chosen)
        mark = _mark(first, second)
        if (known.get(arm) or {}).get("of") != mark:
            done = compare_runs(first, second)
            known[arm] = {"of": mark, "first": done.first, "second": done.second, "problem": done.problem,
                          "deltas": [asdict(delta) for delta in done.deltas]}  # fmt: skip
        found[arm] = _read(known[arm])
    return found


def _read(entry: Mapping[str, Any]) -> Images:
    from detui.engine.evaluate.bootstrap import ImageDelta

    deltas = tuple(ImageDelta(**{**one, "interval": tuple(one["interval"])}) for one in entry["deltas"])
    return Images(first=entry["first"], second=entry["second"], deltas=deltas, problem=entry["problem"])


def _mark(*places: Place) -> str:
    """What a result was computed from: the predictions' bytes, and how."""
    digest = hashlib.sha256(f"{REPLICATES}".encode())
    for place in places:
        try:
            digest.update(_predictions(place).read_bytes())
        except OSError as error:
            digest.update(str(error).encode())
    return digest.hexdigest()


def _directory(place: Place) -> RunDir:
    return RunDir(place[0] / "runs" / place[1].name)


def _predictions(place: Place) -> Path:
    line: Mapping[str, Any] = place[1].chosen or {}
    return _directory(place).attempt(int(line.get("attempt") or 1)).path / str(line.get("predictions"))


def _ground(truth: Mapping[str, Any]) -> str:
    """What must be the same for detections to be comparable: images or frames, boxes, classes, and what is ignored."""
    keys = ("images", "annotations", "categories", REGIONS, VOID, "frames", "classes")
    return json.dumps([truth.get(key) for key in keys], sort_keys=True)
