"""What each stage of a run trains on, and how it is judged meanwhile. No torch here.

A run is judged on its own data, whatever its stages train on: what is dumped at a milestone are detections in the run's
validation pictures. In a stage on other data those are found in a pass of their own, as long as the classes are the
run's; a model of other classes says nothing about them, and no detections are dumped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec

Judged = Literal["own", "beside", "not"]
"""`own`: the stage trains on the run's data. `beside`: on other data of the same classes. `not`: of other classes."""


def data_of(spec: RunSpec, index: int) -> Mapping[str, Any]:
    """The prepared data that stage number `index` trains on, and that the framework validates it on."""
    own = spec.stages[index].data
    return spec.data or {} if own is None else own


def judged(spec: RunSpec, index: int) -> Judged:
    """How stage number `index` is judged at milestones."""
    data, run = data_of(spec, index), spec.data or {}
    if data.get("prepared") == run.get("prepared"):
        return "own"
    return "beside" if list(data.get("classes") or ()) == list(run.get("classes") or ()) else "not"


def facts_of(spec: RunSpec, index: int) -> dict[str, Any]:
    """What the `stage` line says of the data: `name`, `fingerprint`, how many `classes`, and how it is `judged`."""
    data = data_of(spec, index)
    told = {"name": data.get("name"), "fingerprint": data.get("fingerprint"), "classes": len(data.get("classes") or ())}
    return {**told, "judged": judged(spec, index)}


def even(spec: RunSpec) -> bool:
    """Whether an epoch has as many steps in each stage: else no number of steps says how far a run is."""
    stages = ((data_of(spec, index), stage.config["train"]["batch"]) for index, stage in enumerate(spec.stages))
    counts = {-(-((data.get("splits") or {}).get("train") or {}).get("images", 0) // batch) for data, batch in stages}
    return len(counts) == 1


def check_last_stage(spec: RunSpec) -> None:
    """Raise RunError where the last stage does not end in a model of the run's data."""
    last = len(spec.stages) - 1
    if judged(spec, last) != "own":
        name, run = data_of(spec, last).get("name"), (spec.data or {}).get("name")
        message = f"The last stage trains on {name}, and the run is judged on {run}: no checkpoint could be its best."
        raise RunError(message, where=f"stages[{last}].data", hint="let the last stage train on the run's own data")
