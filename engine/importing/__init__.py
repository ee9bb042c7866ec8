"""What other tools left of their trainings, as finished runs of an experiment: to be compared and recorded.

`left.py` finds out what a path holds; `openmmlab_left.py` and `ultralytics_left.py` read it; `replay.py` writes the
files of a run from it; `importing.py` makes the experiment. Nothing is made up: what a log does not say stays unknown.
"""

from __future__ import annotations

from detui.engine.importing.importing import Imported, import_arms

__all__ = ["Imported", "import_arms"]
