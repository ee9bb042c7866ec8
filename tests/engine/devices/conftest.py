"""The compiled stand-in for NVML, which the real nvidia-ml-py loads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for LD_LIBRARY_PATH; NVML_STAND_IN then names the file with the answers."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler to build the stand-in for NVML")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parent / "nvml_stand_in.c"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([*command, "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder
