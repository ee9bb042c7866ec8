"""`python -m detui.engine.worker.task FOLDER`: predict or measure with a checkpoint, beside or after the training, or
describe a model that nobody has trained yet, or what its weights would give it.

FOLDER/task.json says what is wanted, FOLDER/result.json what came of it. The training half of the run's backend does
the work, in the environment that the run trains in. A task ends with the process that asked for it.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from detui.engine.errors import DetuiError, RunError, UsageError
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json, write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.entry import load_trainer, told

TASK, RESULT = "task.json", "result.json"
_LOOK = 1.0
"""Seconds between two looks at whether anybody still waits for the result."""


class Predictor(Protocol):
    """What the training half of a backend offers beside `train`, where its framework can load what it saved."""

    def predict(self, spec: RunSpec, checkpoint: Path, split: str, out: Path, device: str) -> None:
        """Write COCO results in original pixels to `out`, made as the training makes those of its milestones.

        `split`: a role of the prepared data ("val"). `device`: "cpu" or "cuda", the one GPU that this process sees.
        """

    def speed(self, spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Measure speed and size; returns the measurement. `wanted` are the fields of engine/speed.py's `Wanted`."""

    def describe(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Build the model without weights; returns {"model": what it is made of, "speed": a pass, where wanted}."""

    def check_weights(self, spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
        """Compare models with the files that they start from; returns {"found": [a comparison for each model]}.

        `wanted["models"]`: of each its `section` of the configuration and its `classes`.
        """


METHODS = {"weights": "check_weights"}
"""Kinds of tasks that the method of the training half has another name than."""


def main(arguments: list[str]) -> int:
    """Do one task and return the exit code of the process."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m detui.engine.worker.task FOLDER\n")
        return UsageError.exit_code
    folder = Path(arguments[0]).absolute()
    try:
        result = _done(folder)
    except DetuiError as error:
        return _failed(folder, error)
    except KeyboardInterrupt:
        return 130
    except SystemExit as leaving:
        return _failed(folder, RunError(f"The backend ended the process by itself ({leaving.code})."))
    except BaseException as error:  # noqa: BLE001 - the last line of defence: it is reported, whatever it is
        return _failed(folder, RunError(told(folder, error)))
    write_json(folder / RESULT, {"result": result})
    return 0


def _done(folder: Path) -> dict[str, Any]:
    task = read_json(folder / TASK)
    _end_with_owner(folder, task.get("owner"))
    os.nice(int(task.get("nice") or 0))
    spec = RunSpec.from_json(task["spec"], folder / TASK) if "spec" in task else RunDir(Path(task["run"])).spec()
    kind, device = task["kind"], task["device"]
    trainer: Any = load_trainer(spec.trainer)
    work = getattr(trainer, METHODS.get(kind, kind), None)
    if work is None:
        raise _cannot(kind, spec.backend)
    if kind == "predict":
        work(spec, Path(task["checkpoint"]), task["split"], Path(task["out"]), device)
        return {}
    before = (Path(task["checkpoint"]),) if kind == "speed" else ()
    found: dict[str, Any] = work(spec, *before, task["wanted"], device)
    return found


def _cannot(kind: str, backend: str) -> UsageError:
    """The backend's training half has no such thing."""
    if kind == "describe":
        message = f"The backend {backend!r} cannot describe a model: it does not know what would be built."
        return UsageError(message, where="backend", hint="a run's record shows what the program itself reports")
    if kind == "weights":
        message = f"The backend {backend!r} cannot compare weights with a model before it trains."
        return UsageError(message, where="backend", hint="the training says what it took over")
    what = {"predict": "predict", "speed": "measure speed"}[kind]
    message = f"The backend {backend!r} cannot {what} with a checkpoint: it does not know what is in it."
    return UsageError(message, where="backend", hint="let the program itself report predictions at milestones")


def _end_with_owner(folder: Path, owner: int | None) -> None:
    """End, and leave no folder behind, when the process that waits for the result is gone."""

    def look() -> None:
        while os.getppid() == owner:
            time.sleep(_LOOK)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    if owner is not None:
        threading.Thread(target=look, name="owner", daemon=True).start()


def _failed(folder: Path, error: DetuiError) -> int:
    """Write what went wrong, for the one who asked, and on standard error for the log."""
    sys.stderr.write(f"{error}\n")
    said = {"kind": type(error).__name__, "message": error.message, "where": error.where, "hint": error.hint}
    write_json(folder / RESULT, {"error": said})
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
