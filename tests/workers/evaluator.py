"""Stands in the place of `python -m detui.engine.record`: notes each call, and that it was niced."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

run = Path(sys.argv[-1])
time.sleep(float(sys.argv[1]))
with (run / "evaluated.txt").open("a") as file:
    file.write(f"{os.nice(0)} {'DETUI_RUN' in os.environ} {os.environ['CUDA_VISIBLE_DEVICES']!r}\n")
sys.exit(int(sys.argv[2]))
