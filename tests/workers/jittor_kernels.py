"""Kernels that no cache has: run in Jittor's environment by several processes at once. Arguments: seed, time to begin.

Prints the largest difference from numpy, and how many kernels were compiled for it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

from detui.engine.worker.jittor_start import import_jittor

jt = import_jittor(seed=0)
import numpy as np  # noqa: E402 - after Jittor, whose import seeds it by the clock

cache = Path(jt.compiler.cache_path) / "jit"
before = len(list(cache.glob("*.so")))
while time.time() < float(sys.argv[2]):  # so that they compile the same at the same time
    time.sleep(0.001)
apart = 0.0
for kernel in range(3):
    draw = random.Random(f"{sys.argv[1]}-{kernel}")
    x = np.random.RandomState(kernel).uniform(0.5, 1.5, 100).astype(np.float32)
    expected, found = x, jt.array(x)
    for _ in range(16):  # a kernel is named by its operations in their order
        name = draw.choice(("add", "subtract", "multiply", "maximum", "minimum"))
        expected = getattr(np, name)(expected, x * np.float32(0.5))
        found = getattr(jt, name)(found, jt.array(x) * 0.5)
    apart = max(apart, float(np.abs(found.numpy() - expected).max() / np.abs(expected).max()))
print(json.dumps({"apart": apart, "new": len(list(cache.glob("*.so"))) - before}), flush=True)
os._exit(0)
