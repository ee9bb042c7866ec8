"""The compiled stand-in for NVML, which the real nvidia-ml-py loads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def build(folder: Path) -> Path | None:
    """Build the stand-in for NVML. None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source = Path(__file__).parents[1] / "engine" / "devices" / "nvml_stand_in.c"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([*command, "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder
