"""What Jittor costs beside PyTorch: a training step and an answer of the same RT-DETR, the two in turns.

Each framework runs in its own interpreter; turns alternate, so that both meet the same noise of the machine. A step
includes the loading of the weights and their return; the first ones, which compile, are left out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Say = Callable[[str, str, str], None]
SIDE = int(os.environ.get("BENCH_PARITY_SIDE", "160"))
REPEATS = int(os.environ.get("BENCH_PARITY_REPEATS", "3"))
TURNS = 2


def parity(say: Say) -> None:
    """Both ratios, or why there are none."""
    from detui.engine.configuration import Configuration
    from detui.engine.environment.standing import standing

    found = standing("jittor", Configuration.load())
    if found.problem is not None or found.python is None:
        say("Jittor / PyTorch, step and answer", "not measured", f"– ({found.problem})")
        return
    sides: dict[str, tuple[str, Mapping[str, str]]] = {
        "torch": (sys.executable, {}), "jittor": (str(found.python), found.environ)
    }  # fmt: skip
    told: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, (python, environ) in sides.items():
            said = _apart(name, python, environ)
            if isinstance(said, str):
                say(f"Jittor / PyTorch: {name}", said, "–")
                return
            told[name].append(said)
    for what, title in (("step", "a training step"), ("answer", "an answer")):
        jittor, torch = (min(turn[what] for turn in told[name]) for name in ("jittor", "torch"))
        value = f"{jittor:.2f} / {torch:.2f} s, ratio {jittor / torch:.1f}"
        say(f"R18 at {SIDE} px: Jittor / PyTorch, {title}", value, "–")


def _apart(name: str, python: str, environ: Mapping[str, str]) -> dict[str, float] | str:
    """What `side` measures in that interpreter, or how it failed."""
    import detui.engine

    package = Path(str(detui.engine.__file__)).parent.parent
    places = [str(package.parent), os.environ.get("PYTHONPATH", "")] if package.name == "detui" else []
    path = {"PYTHONPATH": os.pathsep.join(filter(None, places))} if places else {}
    command = [python, str(Path(__file__)), name]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environ, **path}, timeout=1200
    )
    if done.returncode:
        return f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}"
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def side(name: str) -> dict[str, Any]:
    """Median seconds of a step and of an answer."""
    from detui.engine.backends.parity.detector import Detector
    from detui.engine.backends.parity.frameworks import open_framework
    from detui.engine.backends.parity.measure import answer
    from detui.engine.backends.parity.sizes import SIZES
    from detui.engine.backends.parity.stepping import random_case, step_of

    case, framework = random_case(SIZES["r18"], side=SIDE), open_framework(name, "cpu")
    detector = Detector(framework, case.size)
    return {
        "step": _seconds(lambda: step_of(detector, case, keep_parts=False)),
        "answer": _seconds(lambda: answer(framework, case)),
    }


def _seconds(done: Callable[[], object]) -> float:
    for _ in range(2):
        done()
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        done()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


if __name__ == "__main__":
    print(json.dumps(side(sys.argv[1])))
