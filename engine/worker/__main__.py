"""`python -m detui.engine.worker ATTEMPT_DIR`: train what the run's spec.json asks for."""

from __future__ import annotations

import sys

from detui.engine.worker.entry import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
