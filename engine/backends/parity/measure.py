"""What one framework computes, stored for another process to compare: run with that framework's own interpreter.

    python -m detui.engine.backends.parity.measure operators FRAMEWORK OUT.npz [--device cuda] [--shipped]
    python -m detui.engine.backends.parity.measure step FRAMEWORK CASE.npz OUT.npz [--device cuda] [--parts]
    python -m detui.engine.backends.parity.measure answer FRAMEWORK CASE.npz OUT.npz [--device cuda]

CASE.npz is what `store_case` wrote.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks import open_framework
from detui.engine.backends.parity.frameworks.framework import Array, Framework
from detui.engine.backends.parity.operators import Results, flat, measure, unflat
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.stepping import (
    StepCase,
    StepResult,
    flat_case,
    flat_result,
    take_step,
    unflat_case,
    unflat_result,
)  # fmt: skip


def store_case(path: Path, case: StepCase) -> None:
    """Write a case, its size included."""
    store(path, flat_case(case) | {"size": np.array(json.dumps(asdict(case.size)))})


def read_case(path: Path) -> StepCase:
    """What `store_case` wrote."""
    stored = _read(path)
    fields: dict[str, Any] = json.loads(str(stored["size"]))
    whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return unflat_case(stored, Size(**whole))


def read_result(path: Path) -> StepResult:
    """What `step` stored."""
    return unflat_result(_read(path))


def read_operators(path: Path) -> Results:
    """What `operators` stored."""
    return unflat(_read(path))


def store(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name to an .npz file."""
    with path.open("wb") as file:
        np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]


def _read(path: Path) -> Mapping[str, Array]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def read_answer(path: Path) -> dict[str, Array]:
    """What `answer` stored."""
    return dict(_read(path))


def answer(framework: Framework, case: StepCase) -> dict[str, Array]:
    """What the model says of the case's images when it is evaluated: "logits" [b, q, classes], "boxes" [b, q, 4]."""
    detector = Detector(framework, case.size)
    detector.network.load(case.state)
    with framework.no_gradients():
        said = detector(framework.tensor(case.images), selection=case.selection)
    return {"logits": framework.array(said.layers[-1].logits), "boxes": framework.array(said.layers[-1].boxes)}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["operators", "step", "answer"])
    parser.add_argument("framework", choices=["torch", "jittor"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shipped", action="store_true", help="with the framework's own layers everywhere")
    parser.add_argument("--parts", action="store_true", help="store the output of each part, too")
    chosen = parser.parse_args(arguments)
    framework = open_framework(chosen.framework, chosen.device)
    if chosen.shipped:
        framework = framework.shipped()
    if chosen.what == "operators":
        store(chosen.paths[-1], flat(measure(framework)))
    elif chosen.what == "answer":
        case, out = chosen.paths
        store(out, answer(framework, read_case(case)))
    else:
        case, out = chosen.paths
        store(out, flat_result(take_step(framework, read_case(case), keep_parts=chosen.parts)))


if __name__ == "__main__":
    main()
