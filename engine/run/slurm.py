"""slurm.json of a run: the job that its supervisor runs in. Written by who submits it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detui.engine.run.directory import RunDir, now
from detui.engine.run.files import read_json_if_there, write_json

FILE = "slurm.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SlurmJob:
    """The job of Slurm that a run was given to."""

    job: str
    """Its number, that of the whole array where it is one."""
    task: int | None = None
    """Its index in the array; None where the job has one run alone."""
    cluster: str | None = None
    """The cluster, where sbatch named one of several."""
    options: dict[str, Any] = field(default_factory=dict)
    """What was asked of Slurm, as `detui.engine.slurm_options.SlurmOptions.to_json` says it."""
    submitted: str = ""
    """Wall time at which Slurm took it."""

    @property
    def name(self) -> str:
        """What Slurm's programs call it: "12", or "12_3" in an array."""
        return self.job if self.task is None else f"{self.job}_{self.task}"

    def write(self, run: RunDir) -> None:
        """Write it down for a run. Raises RunError."""
        at = self.submitted or now()
        known = {
            "job": self.job,
            "task": self.task,
            "cluster": self.cluster,
            "partition": self.options.get("partition"),
        }
        write_json(run.path / FILE, {"schema": 1, **known, "options": self.options, "submitted": at})


def slurm_job(run: RunDir) -> SlurmJob | None:
    """Return the job that a run was given to last; None of a run on this machine, or of a copy. Raises FormatError."""
    found = read_json_if_there(run.path / FILE)
    if found is None or run.pulled() is not None:  # the Slurm of another host is none that can be asked here
        return None
    task, options = found.get("task"), found.get("options")
    return SlurmJob(
        job=str(found.get("job")),
        task=task if isinstance(task, int) else None,
        cluster=found.get("cluster"),
        options=options if isinstance(options, dict) else {},
        submitted=str(found.get("submitted") or ""),
    )
