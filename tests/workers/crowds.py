"""Workspaces of a size that the budgets name: a thousand runs, a run of a million records."""

from __future__ import annotations

import json
import math
from pathlib import Path

from toy_runs import toy_spec

from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.worker.reporter import Reporter

_ABOUT = {"schema": 1, "recipe": "toy/curves", "title": {"en": "toy"}, "question": {"en": "?"}, "profile": "quick",
          "arms": [], "seeds": [0], "tags": []}  # fmt: skip


def thousand_runs(workspace: Path, experiments: int = 20, each: int = 50) -> Path:
    """Finished runs with a few measurements each, written by the real reporter."""
    for number in range(experiments):
        experiment = workspace / f"starter.mosaic-202601{number + 1:02d}-000000"
        names = [f"baseline-s{seed}" for seed in range(each)]
        for seed, name in enumerate(names):
            run = RunDir.create(experiment / "runs" / name, toy_spec(seed=seed, experiment=experiment.name))
            run.append_event("starting", attempt=1)
            run.append_event("running", attempt=1, device=["cpu:0"])
            attempt = run.attempt(1)
            attempt.path.mkdir(parents=True)
            report = Reporter(attempt)
            report.begin(total_epochs=4, steps_per_epoch=5, model={"name": "toy"})
            for step in range(1, 21):
                report.step(step, (step - 1) // 5 + 1, {"train/loss_box": 1.0 / step, "lr/all": 0.1})
            report.epoch(4, 20, {"train/loss_box": 0.05})
            report.end("finished")
            run.append_event("finished", attempt=1)
        write_json(experiment / "experiment.json", {"id": experiment.name, "runs": names, **_ABOUT})
    return workspace


def million_records(workspace: Path, steps: int = 1_000_000) -> RunDir:
    """A finished run whose metrics.jsonl holds a step of five metrics a million times, in the reporter's own form."""
    experiment = workspace / "toy"
    run = RunDir.create(experiment / "runs" / "baseline-s0", toy_spec())
    run.append_event("starting", attempt=1)
    run.append_event("running", attempt=1, device=["cpu:0"])
    attempt = run.attempt(1)
    attempt.path.mkdir(parents=True)
    report = Reporter(attempt)
    report.begin(total_epochs=1000, steps_per_epoch=1000, model={"name": "toy"})
    report.step(1, 1, values_at(1))
    form = attempt.metrics_path.read_text().splitlines()[-1]
    with attempt.metrics_path.open("a") as file:
        line = json.loads(form)
        for step in range(2, steps + 1):
            line.update(t=round(step * 0.25, 3), step=step, epoch=(step - 1) // 1000 + 1, values=values_at(step))
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    report.end("finished")
    run.append_event("finished", attempt=1)
    write_json(experiment / "experiment.json", {"id": "toy", "runs": [run.name], **_ABOUT})
    return run


def values_at(step: int) -> dict[str, float]:
    """Five metrics of a step."""
    fall = math.exp(-step / 3e5)
    return {"train/loss_box": round(3 * fall + 0.1 * math.sin(step), 5), "train/loss_cls": round(2 * fall, 5),
            "train/loss_dfl": round(1.5 * fall, 5), "lr/all": 0.01, "lr/bias": 0.02}  # fmt: skip
