"""`python -m detui.engine.record RUN_DIR [--no-evaluate]`: evaluate what the run has dumped, then fill the record.

What a run's supervisor starts at milestones and after the worker's end; only then are pictures drawn. Exit
code 1 when something could not be evaluated; the record is filled all the same.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from detui.engine.errors import DetuiError, UsageError
from detui.engine.evaluate.pending import evaluate_run
from detui.engine.measured import remember_run
from detui.engine.record.fill import fill
from detui.engine.run.directory import RunDir, find_run
from detui.engine.run.state import read_state

NO_EVALUATE = "--no-evaluate"
"""Fill the record with what is there: predictions wait until somebody asks for their evaluation."""


def main(arguments: list[str]) -> int:
    """Evaluate and fill; return the exit code."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        folders = [word for word in arguments if word != NO_EVALUATE]
        if len(folders) != 1:
            raise UsageError("One run directory is expected.", hint="python -m detui.engine.record RUN_DIR")
        run = find_run(Path(folders[0]))
        problems: list[DetuiError] = []
        if NO_EVALUATE not in arguments:
            evaluate_run(run, problems)
        _remember(run)
        # Beside a training, what takes seconds waits for its end; whoever wants it now asks `detui record fill`.
        fill(run.experiment_dir, photographs=read_state(run).terminal)
    except DetuiError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 1 if problems else 0


def _remember(run: RunDir) -> None:
    """Keep what the run needed for the next plan. It is an index: without it the record is as true."""
    try:
        remember_run(run)
    except (DetuiError, OSError) as error:
        logging.getLogger(__name__).warning("not remembered what the run needed: %s", error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
