"""Keeping Ultralytics off the network, and its files inside the attempt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

TRACKERS = ("clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "tensorboard", "wandb", "hub", "sync")
"""Ultralytics' settings that would upload, or write a second history."""


def go_offline(folder: Path) -> None:
    """Point Ultralytics at a private settings folder. Call it before the first `import ultralytics`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(folder))
    _provide_font(folder / "Ultralytics")


def switch_off_trackers(settings: Any) -> None:
    """Every tracker that this version has is off: detui keeps the history."""
    settings.update({name: False for name in TRACKERS if name in settings})


def _provide_font(folder: Path) -> None:
    """Ultralytics fetches Arial.ttf when it is absent, whatever YOLO_OFFLINE says; any TrueType font serves."""
    import matplotlib

    font = folder / "Arial.ttf"
    folder.mkdir(parents=True, exist_ok=True)
    if not font.exists():
        shutil.copyfile(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", font)
