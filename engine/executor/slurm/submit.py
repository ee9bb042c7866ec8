"""Giving runs to Slurm: one submission for all runs of an experiment, an array where they are several.

The job's script starts the supervisor and nothing else. Which run it is for stands in a list beside the script, by the
index in the array, so that no name of a run ever becomes a part of a shell's text.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.process.slurm import call
from detui.engine.run.directory import RunDir, now
from detui.engine.run.files import write_error, write_json, write_whole
from detui.engine.run.slurm import SlurmJob
from detui.engine.slurm_options import SlurmOptions

FOLDER = "slurm"
"""Folder of an experiment with the lists, scripts and outputs of its submissions."""

SECONDS = 60.0
"""How long sbatch may take: site filters look at every job."""


def submit(
    runs: Sequence[RunDir], options: SlurmOptions, *, fresh: bool = False, after: SlurmJob | None = None
) -> list[SlurmJob]:
    """Give runs of one experiment, which ask for the same devices, to Slurm; return the job of each.

    `fresh`: they begin again, whatever they saved. `after`: a job that must be over before they start. Raises RunError
    with Slurm's own words where it refuses them, and MissingError where sbatch is not installed: then nothing was
    queued.
    """
    first = RunDir(runs[0].path.resolve())
    script = _write(first.experiment_dir / FOLDER, [run.name for run in runs], fresh)
    try:
        said = call(*words(script, first, options, len(runs), after), seconds=SECONDS)
    except RunError as error:
        hint = "--slurm key=value sets another option for this launch; `sinfo` lists the partitions"
        raise RunError(f"Slurm refused the job: {error.message}", hint=error.hint or hint) from None
    number, cluster = _answer(said)
    at = now()
    jobs = [
        SlurmJob(job=number, task=task, cluster=cluster, options=options.to_json(), submitted=at)
        for task in (range(len(runs)) if len(runs) > 1 else [None])
    ]
    for run, job in zip(runs, jobs, strict=True):
        job.write(run)
    return jobs


def words(script: Path, run: RunDir, options: SlurmOptions, count: int, after: SlurmJob | None = None) -> list[str]:
    """Return the command that submits a script for `count` runs of which `run` is the first; `after` as in `submit`."""
    spec = run.spec()
    gpus, threads = spec.device.count if spec.device.kind == "cuda" else 0, spec.threads * spec.ranks // spec.nodes
    output = str(script.with_suffix("")).replace("%", "%%") + ("-%a.log" if count > 1 else ".log")
    return [
        "sbatch",
        "--parsable",
        "--requeue",
        "--open-mode=append",
        "--export=ALL",
        "--chdir=/",
        *(["--nodes=1", "--ntasks=1"] if spec.nodes == 1 else []),  # of several, the options say it
        f"--job-name=detui-{re.sub(r'[^A-Za-z0-9._-]', '_', run.experiment_dir.name)}",
        f"--output={output}",
        *([f"--array=0-{count - 1}"] if count > 1 else []),
        *([f"--dependency=afterany:{after.name}"] if after is not None else []),
        *options.words(gpus=gpus, threads=threads),
        str(script),
    ]


def script_text(python: str, runs: Path, *, fresh: bool) -> str:
    """Return the job's script: it becomes the supervisor."""
    command = [python, "-m", "detui.engine.process.in_job", str(runs), *(["--fresh"] if fresh else [])]
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"


def _write(folder: Path, names: Sequence[str], fresh: bool) -> Path:
    """Write list and script of the next submission, and return the script. Raises RunError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        number = 1
        while True:
            try:
                (folder / f"{number}.sh").touch(mode=0o700, exist_ok=False)
                break
            except FileExistsError:
                number += 1
        script, runs = folder / f"{number}.sh", folder / f"{number}.json"
        write_json(runs, {"schema": 1, "runs": list(names)})
        write_whole(script, script_text(sys.executable, runs, fresh=fresh).encode())
    except OSError as error:
        raise write_error(folder, error) from error
    return script


def _answer(said: str) -> tuple[str, str | None]:
    """Read "12", or "12;cluster". A site's filters may have printed lines before."""
    found = re.fullmatch(r"(\d+)(?:;(\S+))?", said.strip().rpartition("\n")[2])
    if found is None:
        text = f"sbatch did not say which job it made, but {said.strip()!r}."
        raise RunError(text, hint="squeue --me lists your jobs; scancel ends one that detui does not know")
    return found[1], found[2]
