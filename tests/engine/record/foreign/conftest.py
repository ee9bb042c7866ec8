"""An experiment of the demo's arms, written through the run directory's own API, with numbers that a test can know."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import weighted

from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.foreign import Filling, choose, fill_text
from detui.engine.record.gather import gather
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

VISDRONE = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
SIZES = ("small", "medium", "large")
FIGURES = ("losses", "ap", "pr", "detections")


def scores(arm: str, seed: int, epoch: int, classes: Sequence[str], epochs: int) -> dict[str, float | None]:
    """Numbers by a rule: AP50 of no-mosaic is 0.4321 at the last epoch with seed 0, others are near it."""
    gain = (0.0 if arm == "baseline" else 0.0123) + 0.001 * seed
    part = epoch / epochs
    ap = {"val/AP": 0.2468, "val/AP50": 0.4198, "val/AP75": 0.2345, "val/AP_small": 0.3189, "val/AP_medium": 0.4624}
    values: dict[str, float | None] = {name: (value + gain) * part for name, value in ap.items()}
    values["val/AP_large"] = None  # no such objects
    for number, name in enumerate(classes):
        values[f"val/AP/{name}"] = (0.1 + 0.01 * number + gain) * part
        for size in SIZES:
            values[f"val/AP_{size}/{name}"] = (0.2 + 0.01 * number + gain) * part
    return values


def write(
    folder: Path, *, seeds: Sequence[int] = (0,), epochs: int = 300, done: dict[str, int] | None = None,
    classes: Sequence[str] = VISDRONE, arms: Sequence[str] = ("baseline", "no-mosaic"), **changes: Any,
) -> Path:  # fmt: skip
    """An experiment evaluated at every sixth of its epochs; `done`: run → epochs of those that are still training.

    `changes`: fields of experiment.json that are other than here, and `titles` of arms.
    """
    path = folder / "starter.mosaic-20261120-134500"
    path.mkdir(parents=True)
    every = epochs // 6
    titles: dict[str, Any] = {
        "baseline": {"en": "with mosaic", "zh": "使用马赛克增强"},
        "no-mosaic": {"en": "without mosaic"},
        **changes.pop("titles", {}),
    }
    config = {"model": {"name": "yolo12n"}, "train": {"batch": 16, "imgsz": 640, "lr0": 0.001}}
    info = {
        "schema": 1, "id": path.name, "recipe": "starter/mosaic", "profile": "full", "seeds": list(seeds),
        "arms": [{"name": arm, "title": titles.get(arm), "config": config} for arm in arms], "epochs": epochs,
        "checkpoint_rule": {"rule": "best", "metric": "val/AP"}, "milestones": list(range(every, epochs + 1, every)),
        "data": {"name": "visdrone", "title": "VisDrone2019-DET", "classes": list(classes),
                 "splits": {"train": {"images": 6471}, "val": {"images": 548}}},
        "code": {"commit": "0123abcd4567ef890123", "dirty": False}, "device": {"kind": "cuda"},
        "host": {"os": "Ubuntu 22.04.4 LTS", "cpu": "Some CPU"},
        "estimates": {"no-mosaic": {"seconds": 7200.0}},
        "runs": [f"{arm}-s{seed}" for arm in arms for seed in seeds],
    }  # fmt: skip
    info |= changes
    write_json(path / "experiment.json", info)
    (path / "figures").mkdir()
    for name in (*FIGURES, *(("small_objects", "failures", "misses", "shares") if changes else ())):
        (path / "figures" / f"{name}.png").write_bytes(b"\x89PNG")
    for name in info["runs"]:
        _run(path, name, info, epochs, every, (done or {}).get(name))
    return path


def _run(path: Path, name: str, info: dict, epochs: int, every: int, done: int | None) -> None:
    arm, _, seed = name.rpartition("-s")
    spec = RunSpec(
        experiment=path.name, recipe="starter/mosaic", arm=arm, seed=int(seed), profile="full", backend="ultralytics",
        trainer="none:None", python=sys.executable, threads=1,
        device=DeviceRequest(kind="cuda", count=1, candidates=("GPU-1",)),
        config={}, stages=(StageSpec(name="main", epochs=epochs, config={}),), data=info["data"],
        milestones=tuple(info["milestones"]), checkpoint_rule=info["checkpoint_rule"],
    )  # fmt: skip
    run = RunDir.create(path / "runs" / name, spec)
    attempt = run.attempt(1)
    attempt.path.mkdir(parents=True)
    run.append_event("starting", attempt=1)
    run.append_event("running", attempt=1, device=["GPU-1"])
    metrics = LineWriter(attempt.metrics_path)
    metrics.write({"kind": "begin", "t": 0.1, "attempt": 1, "resumed_from_step": 0, "total_epochs": epochs,
                   "model": {"name": "yolo12n", "parameters": 2568828, "gflops": 6.458, "imgsz": 640},
                   "used": {"train.batch": 16, "train.imgsz": 640, "train.lr0": 0.001},
                   "packages": {"python": "3.11.7", "torch": "2.13.0+cu130", "ultralytics": "8.4.190"},
                   "device": {"kind": "cuda", "name": "NVIDIA GeForce RTX 4090", "cuda": "13.0"}})  # fmt: skip
    evaluations = LineWriter(attempt.evaluations_path)
    for epoch in range(1, (done or epochs) + 1):
        metrics.write({"kind": "step", "t": epoch * 60.0, "step": epoch, "epoch": epoch, "stage": "main",
                       "values": {"lr/all": 0.001 / epoch}})  # fmt: skip
        metrics.write({"kind": "epoch", "t": epoch * 60.0, "step": epoch, "epoch": epoch, "stage": "main",
                       "seconds": 60.0,
                       "values": {"train/loss_box": 1 + 1 / epoch, "train/loss_cls": 2 + 1 / epoch}})  # fmt: skip
        if epoch % every == 0:
            values = scores(arm, int(seed), epoch, info["data"]["classes"], epochs)
            evaluations.write({"kind": "evaluation", "epoch": epoch, "step": epoch, "split": "val", "values": values})
    evaluations.close()
    metrics.close()
    if done is None:
        run.append_event("finished", attempt=1)


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[..., ExperimentFacts]:
    """Write an experiment and read its facts: `experiment(seeds=(0, 1, 2))`."""
    return lambda **shape: gather(write(tmp_path / "logs", **shape))


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFacts:
    """Two arms, one seed, 300 epochs, VisDrone's classes; for tests that only read it."""
    return gather(write(tmp_path_factory.mktemp("foreign")))


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFacts:
    """The four arms of the size-weighting family, three seeds, 300 epochs; for tests that only read it."""
    return gather(write(tmp_path_factory.mktemp("family"), **family_shape()))


def family_shape() -> dict[str, Any]:
    """Arms, titles, goals and decision of the recipe that document 003 is about."""
    decisions = [{"metric": "val/AP_small", **weighted.AGAINST, "steps": weighted.STEPS}]
    return {"seeds": (0, 1, 2), "arms": tuple(weighted.FACTORS), "titles": weighted.TITLES, "goals": weighted.GOALS,
            "decisions": decisions}  # fmt: skip


@pytest.fixture
def family_with(tmp_path: Path) -> Callable[..., ExperimentFacts]:
    """The same, otherwise: `family_with(seeds=(0, 1))`."""
    return lambda **changes: gather(write(tmp_path / "logs", **{**family_shape(), **changes}))


@pytest.fixture
def fill(facts: ExperimentFacts) -> Callable[..., Filling]:
    """Fill a text from `facts`, with the options of the command line."""

    def filled(text: str, **options) -> Filling:
        return fill_text(text, facts, choose(facts, **options), facts.path.parent)

    return filled


@pytest.fixture
def fill_from() -> Callable[..., Filling]:
    """Fill a text from facts of a test's own."""

    def filled(text: str, facts: ExperimentFacts, **options) -> Filling:
        return fill_text(text, facts, choose(facts, **options), facts.path.parent)

    return filled


@pytest.fixture(scope="session")
def document_003(repository: Path) -> str:
    """A real user's record, most of whose cells are placeholders."""
    path = repository.parent / "shared" / "seeds" / "003_da73cfb54dda0559.txt"
    if not path.is_file():
        pytest.skip(f"needs the record at {path}, which is absent")
    return path.read_bytes().decode()
