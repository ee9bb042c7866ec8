"""Compile Jittor and the kernels of a small training step, test its arithmetic, and write down that it works.

Jittor compiles itself when it is imported first and each kernel when it is used first, minutes in all. Here that
happens once, under a watchdog, instead of in the first run. The cache is for this machine's CPU, kernel, name and
compiler: elsewhere, or moved, it is compiled anew.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

WORKER = Path(__file__).resolve().parents[2] / "worker"


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
    return {
        "jittor": jt.__version__,
        "numpy": tested["numpy"],
        "python": sys.version.split()[0],
        "cache": str(jt.compiler.cache_path),
        "arithmetic": tested,
        "loss": loss,
        "seconds": {"import": round(imported - begun, 1), "kernels": round(end - imported, 1)},
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
