"""nuScenes' metric by its authors' own code: nuscenes-devkit, in the environment of that name, as a process.

It asks for numpy < 2 and takes seconds to import, so it never runs in detui's own process.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.configuration import Configuration
from detui.engine.data.frame import NUSCENES_CLASSES
from detui.engine.environment.installers import environment_of_child
from detui.engine.environment.standing import standing
from detui.engine.errors import MissingError, RunError
from detui.engine.evaluate.nuscenes_boxes import Boxes, Truth
from detui.engine.evaluate.nuscenes_metric import DISTANCES, Scores
from detui.engine.run.files import encode

ENVIRONMENT = "nuscenes"
"""The named environment that has the devkit."""
SCRIPT = str(Path(__file__).with_name("nuscenes_official.py"))
_CHECK = f"detui env check {ENVIRONMENT}"


def measure_officially(truth: Truth, sides: Sequence[Boxes]) -> tuple[list[Scores], str]:
    """Score each of several sets of detections; returns the scores, and the devkit's version.

    Raises MissingError where the environment cannot be used, with the command that makes it; RunError with the last
    line of what it said where it failed.
    """
    found = standing(ENVIRONMENT, Configuration.load())
    if found.problem is not None or found.python is None:
        raise MissingError(found.problem or "", where=found.source, hint=found.hint)
    asked = {"tokens": list(truth.tokens), "truth": _columns(truth.boxes), "sides": [*map(_columns, sides)]}
    command, environ = [str(found.python), "-I", SCRIPT], environment_of_child(os.environ, found.environ)
    try:
        done = subprocess.run(command, input=encode(asked), capture_output=True, check=False, env=environ)
        told = json.loads(done.stdout)
    except OSError as error:
        raise RunError(f"It does not start: {error.strerror}.", where=str(found.python), hint=_CHECK) from error
    except ValueError:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        text = f"nuscenes-devkit ended with {done.returncode}: {said[-1] if said else 'it said nothing'}."
        raise RunError(text, where=str(found.python), hint=_CHECK) from None
    return [_scores(side) for side in told["sides"]], str(told["version"])


def _columns(boxes: Boxes) -> dict[str, list[Any]]:
    """Boxes as plain lists; a velocity that nobody knows is null."""
    rows = [[None if np.isnan(number) else number for number in row] for row in boxes.box.tolist()]
    names = [NUSCENES_CLASSES[label] for label in boxes.label]
    return {"frame": boxes.frame.tolist(), "name": names, "box": rows, "attribute": boxes.attribute.tolist(),
            "score": boxes.score.tolist()}  # fmt: skip


def _scores(told: dict[str, Any]) -> Scores:
    if tuple(told["distances"]) != DISTANCES:
        text = f"This devkit matches within {told['distances']} m, and nuScenes' metric within {list(DISTANCES)} m."
        raise RunError(text, where=ENVIRONMENT, hint=f"detui env check {ENVIRONMENT}")
    classes = [told["classes"][name] for name in NUSCENES_CLASSES]
    return Scores(
        ap=np.array([one["ap"] for one in classes], np.float64),
        errors=np.array([one["errors"] for one in classes], np.float64),
        precision=np.array([one["precision"] for one in classes], np.float64),
        mean_ap=told["mean_ap"],
        mean_errors=np.array(told["mean_errors"], np.float64),
        nds=told["nds"],
    )
