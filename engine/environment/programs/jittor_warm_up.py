"""Compile Jittor and the kernels that a training uses, test its arithmetic, and write down that it works.

Jittor compiles itself when it is imported first and each kernel when it is used first, minutes in all. Here that
happens once, under a watchdog, instead of in the first run: of a small step, then of what the backend `parity` measures
before its first step (every operator), trains and answers with. Where the machine is so busy that the watchdog would
come near, what is left of the latter is left to the first run. The cache is for this machine's CPU, kernel, name and
compiler: elsewhere, or moved, it is compiled anew.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

ENGINE = Path(__file__).resolve().parents[2]
WORKER = ENGINE / "worker"
ENOUGH = 700.0
"""Seconds after its start from which the program begins nothing further: the watchdog ends it after 1200."""


def _module(name: str) -> Any:
    """A module of what runs in workers, by its path: this interpreter has no detui."""
    spec = importlib.util.spec_from_file_location(name, WORKER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def warm_up() -> dict[str, Any]:
    """Do it; returns what the sentinel says. Raises SystemExit where the arithmetic is wrong."""
    begun = time.monotonic()
    os.environ["log_silent"] = "0"  # noqa: SIM112 - silent, it says nothing of its progress
    jt = _module("jittor_start").import_jittor(seed=0)
    imported = time.monotonic()
    print("Testing its arithmetic", flush=True)
    arithmetic = _module("arithmetic")
    tested = arithmetic.jittor_tests()
    if tested["wrong"]:
        sys.exit(arithmetic.told(tested, tested["wrong"]))
    print("Training a small step", flush=True)
    loss = _step(jt)
    end = time.monotonic()
    left_out = _parity("cuda" if jt.has_cuda else "cpu", until=begun + ENOUGH)
    return {
        "jittor": jt.__version__,
        "numpy": tested["numpy"],
        "python": sys.version.split()[0],
        "cache": str(jt.compiler.cache_path),
        "arithmetic": tested,
        "loss": loss,
        "left_out": left_out,
        "seconds": {
            "import": round(imported - begun, 1),
            "kernels": round(end - imported, 1),
            "parity": round(time.monotonic() - end, 1),
        },
    }


def _step(jt: Any) -> float:
    """Two optimiser steps of a convolution, its norm, attention and a linear layer; returns the last loss."""
    from jittor import nn

    layers = nn.Sequential(nn.Conv(3, 8, 3, padding=1, stride=2, bias=False), nn.BatchNorm(8), nn.Relu())
    norm, out = nn.LayerNorm(8), nn.Linear(8, 4)
    weights = [*layers.parameters(), *norm.parameters(), *out.parameters()]
    optimiser = nn.AdamW(weights, lr=1e-3)
    loss = 0.0
    for _ in range(2):
        pictures, aim = jt.randn((2, 3, 16, 16)), jt.randn((2, 64, 4))
        tokens = layers(pictures).reshape(2, 8, 64).transpose(0, 2, 1)
        seen = nn.softmax(nn.bmm(tokens, tokens.transpose(0, 2, 1)) / 8**0.5, dim=-1)
        error = ((out(norm(tokens + nn.bmm(seen, tokens))) - aim) ** 2).mean()
        optimiser.step(error)
        loss = float(error.item())
    return loss


def _parity(device: str, until: float) -> list[str]:
    """Measure every operator, train a step and answer with tiny models; returns what was no longer begun in time."""
    # Packages of the same names that run no __init__: this interpreter has nothing of what those import.
    for name in ("detui", "detui.engine", "detui.engine.backends"):
        package = ModuleType(name)
        package.__path__ = [str(ENGINE.joinpath(*name.split(".")[2:]))] if name != "detui" else []
        sys.modules[name] = package
    parity = "detui.engine.backends.parity"
    operators, stepping, measure, sizes, frameworks = (
        importlib.import_module(f"{parity}.{name}")
        for name in ("operators", "stepping", "measure", "sizes", "frameworks")
    )
    framework: Any = frameworks.open_framework("jittor", device)
    work: dict[str, Callable[[], Any]] = {}
    for bottleneck in (False, True):
        size = sizes.Size((1, 1, 1, 1), bottleneck=bottleneck, widths=(8, 8, 12, 16), stem=8, channels=16, heads=2,
                          feed_forward=32, points=2, decoder_layers=2, queries=12, denoising=6, classes=2)  # fmt: skip
        case = stepping.random_case(size, side=64)
        blocks = "of R50's blocks" if bottleneck else "of R18's blocks"
        work[f"a step {blocks}"] = partial(stepping.take_step, framework, case, keep_parts=False)
        work[f"an answer {blocks}"] = partial(measure.answer, framework, case)
    for one in operators.table():
        work[one.name] = partial(operators.measure_one, framework, one)
    left_out = []
    for name, run in work.items():
        if time.monotonic() > until:
            left_out.append(name)
            continue
        print(f"Compiling for {name}", flush=True)
        run()
    return left_out


def _main() -> None:
    folder = Path(sys.argv[1])
    note = {"schema": 1, **warm_up()}
    whole = folder / "jittor_warm_up.json"
    part = whole.with_suffix(".part")
    part.write_text(json.dumps(note, indent=2) + "\n")
    part.replace(whole)
    print("Done", flush=True)
    # Jittor's compilers are ended here and its own end is left out: that was seen to hang.
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(0)


if __name__ == "__main__":
    _main()
