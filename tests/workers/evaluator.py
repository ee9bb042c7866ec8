"""Stands in the place of `python -m detui.engine.record`: notes each call, and that it was niced.

Takes so many seconds, or with `go` until a file of that name lies in the run; then the exit code.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

run = Path(sys.argv[-1])
if sys.argv[1] == "go":
    while not (run / "go").exists():
        time.sleep(0.02)
else:
    time.sleep(float(sys.argv[1]))
with (run / "evaluated.txt").open("a") as file:
    file.write(f"{os.nice(0)} {'DETUI_RUN' in os.environ} {os.environ['CUDA_VISIBLE_DEVICES']!r}\n")
sys.exit(int(sys.argv[2]))
