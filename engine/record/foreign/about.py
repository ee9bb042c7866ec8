"""What is no metric: versions, devices, settings, times, states; of one run, with its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.record import moments
from detui.engine.record.facts import ExperimentFacts, RunFacts, Source
from detui.engine.record.setup import BATCH, IMAGE
from detui.engine.record.words import Words

SETTINGS = {
    "fact/batch": BATCH,
    "fact/imgsz": IMAGE,
    "fact/lr0": ("train.lr0", "train.lr"),
    "fact/optimizer": ("train.optimizer",),
    "fact/model": ("model.name", "model.config"),
}
"""Settings of a run, and how the backends call them."""


@dataclass(frozen=True, slots=True)
class Told:
    """A fact of one run, and where it stands."""

    value: str | float
    source: Source


class Unknown(Exception):
    """A fact that is not known, and why. Does not leave this package."""


def tell(facts: ExperimentFacts, run: RunFacts, quantity: str, epoch: int | None, language: str) -> Told:
    """A fact of a run. Raises Unknown with the reason."""
    name = quantity.removeprefix("fact/")
    if quantity in SETTINGS:
        return _setting(facts, run, SETTINGS[quantity])
    if name.startswith("package/"):
        return _package(run, name.removeprefix("package/"))
    if name in _MOMENTS:
        return _moment(facts, run, name, epoch)
    if name not in _FACTS:
        raise Unknown(f"{quantity} is not recorded")
    return _FACTS[name](facts, run, language)


def _moment(facts: ExperimentFacts, run: RunFacts, name: str, epoch: int | None) -> Told:
    if name == "time" and epoch is not None:
        found, why = moments.reached(facts, run, epoch), "the time of this epoch is not recorded"
    elif name == "started":
        found, why = moments.started(run), f"{run.name} has not started"
    elif name == "ended":
        found, why = moments.ended(facts, run), f"{run.name} has not ended: {run.state}"
    else:
        found, why = moments.expected(facts, run), "nothing was known to estimate it from when the run was planned"
    if found is None:
        raise Unknown(why)
    return Told(*found)


_MOMENTS = ("time", "started", "ended", "estimated_end")


def _setting(facts: ExperimentFacts, run: RunFacts, names: tuple[str, ...]) -> Told:
    """What the framework said that it uses, else what the plan says."""
    used = flatten(run.begin.get("used") or {})
    plan = next((flatten(arm.get("config") or {}) for arm in facts.info["arms"] if arm["name"] == run.arm), {})
    for values, source in ((used, _metrics(run)), (plan, _plan(run))):
        found = next((values[name] for name in names if values.get(name) is not None), None)
        if found is not None:
            is_number = isinstance(found, int | float) and not isinstance(found, bool)
            return Told(float(found) if is_number else str(found), source)
    raise Unknown(f"{names[0]} is not in the plan")


def _package(run: RunFacts, name: str) -> Told:
    found = next((str(v) for k, v in (run.begin.get("packages") or {}).items() if str(k).lower() == name), None)
    if found is None:
        raise Unknown(f"{run.name} does not say which {name} it used")
    return Told(found, _metrics(run))


def _commit(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    ran, launch = run.begin.get("code") or {}, facts.info.get("code") or {}
    commit = ran.get("commit") or launch.get("commit")
    if not commit:
        raise Unknown("the code that ran was in no git repository")
    dirty = ("", "")
    if launch.get("dirty"):
        dirty = (" (with uncommitted changes: code.diff)", " (有未提交的修改: code.diff)")
    source = _metrics(run) if ran.get("commit") else _plan(run)
    return Told(str(commit)[:12] + dirty[language == "zh"], source)


def _cuda(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    used = (run.begin.get("device") or {}).get("cuda")
    if used:
        return Told(str(used), _metrics(run))
    if _kind(facts, run) != "cuda":
        raise Unknown("the run used no GPU, and so no CUDA")
    raise Unknown(f"{run.name} does not say which CUDA it used")


def _gpu(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    names = list(dict.fromkeys(attempt.device_model for attempt in run.attempts if attempt.device_model))
    if _kind(facts, run) != "cuda":
        cpu = _host(facts, run).get("cpu") or "CPU"
        return Told(f"无 GPU (CPU: {cpu})" if language == "zh" else f"none (CPU: {cpu})", _plan(run))
    if not names:
        raise Unknown(f"{run.name} has not said on what it ran")
    return Told(", ".join(names), _metrics(run))


def _kind(facts: ExperimentFacts, run: RunFacts) -> str:
    told = (run.begin.get("device") or {}).get("kind") or (facts.info.get("device") or {}).get("kind")
    return str(told or "")


def _host(facts: ExperimentFacts, run: RunFacts) -> Mapping[str, Any]:
    """The machine of the run's last attempt; where it does not say, that of the launch."""
    return next((one.host for one in reversed(run.attempts) if one.host), facts.info.get("host") or {})


def _of_host(name: str) -> Callable[[ExperimentFacts, RunFacts, str], Told]:
    def found(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
        return _plain(run, _host(facts, run), name)

    return found


def _driver(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    return _plain(run, {**(facts.info.get("device") or {}), **_host(facts, run)}, "driver")


def _plain(run: RunFacts, values: Mapping[str, Any], name: str) -> Told:
    if values.get(name) in (None, ""):
        raise Unknown(f"the experiment does not say its {name}")
    return Told(str(values[name]), _plan(run))


def _state(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    return Told(Words(language).known(run.state), Source(run.name, 1, None, f"runs/{run.name}/events.jsonl"))


def _epochs(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    return Told(float(run.total_epochs), _plan(run))


def _best_epoch(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    if run.chosen is None or not run.finished:
        raise Unknown(f"{run.name} has not finished: {run.state} at epoch {run.epoch} of {run.total_epochs}")
    return Told(float(run.chosen["epoch"]), run.source(run.chosen))


def _seeds(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    return Told(", ".join(map(str, facts.info["seeds"])), _plan(run))


def _images(split: str) -> Callable[[ExperimentFacts, RunFacts, str], Told]:
    def count(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
        found = ((facts.data_of(run.arm).get("splits") or {}).get(split) or {}).get("images")
        if found is None:
            raise Unknown(f"the plan does not say how many images {split} has")
        return Told(float(found), _plan(run))

    return count


def _dataset(facts: ExperimentFacts, run: RunFacts, language: str) -> Told:
    data = facts.data_of(run.arm)
    if not (data.get("title") or data.get("name")):
        raise Unknown("the plan names no data")
    return Told(str(data.get("title") or data["name"]), _plan(run))


def _plan(run: RunFacts) -> Source:
    return Source(run.name, 1, None, "experiment.json")


def _metrics(run: RunFacts) -> Source:
    attempt = int(run.begin.get("attempt") or 1)
    return Source(run.name, attempt, None, f"runs/{run.name}/attempts/{attempt}/metrics.jsonl")


_FACTS: dict[str, Callable[[ExperimentFacts, RunFacts, str], Told]] = {
    "commit": _commit,
    "cuda": _cuda,
    "gpu": _gpu,
    "cpu": _of_host("cpu"),
    "os": _of_host("os"),
    "driver": _driver,
    "state": _state,
    "epochs": _epochs,
    "best_epoch": _best_epoch,
    "seeds": _seeds,
    "train_images": _images("train"),
    "val_images": _images("val"),
    "dataset": _dataset,
}
FACT_NAMES = tuple(sorted([*SETTINGS, *(f"fact/{name}" for name in (*_FACTS, *_MOMENTS))]))
"""What `--map` may name beside metrics."""
