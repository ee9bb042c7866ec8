"""Lay out what Jittor looks for before it compiles: oneDNN 2.2.0, which it would download, and Python's headers.

oneDNN comes from the packages onednn-cpu-gomp and onednn-devel-cpu-gomp, which the installer put into `lib` and
`include` of the environment. Jittor asks `python3.X-config` for Python's headers; a virtual environment has none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

PLACE = "jittor/.cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
"""Where Jittor looks below the environment's folder, JITTOR_HOME being `jittor` in it."""
LIBRARY = "libdnnl.so.2.2"
NAMES = ("libdnnl.so", "libdnnl.so.2", "libmkldnn.so", "libmkldnn.so.2", "libmkldnn.so.2.2")
"""What else the library is called; the package holds a copy of 49 MiB for each."""
COMPILERS = ("nvcc", "/usr/local/cuda/bin/nvcc", "/usr/bin/nvcc", "/opt/cuda/bin/nvcc")
"""Where Jittor looks for a compiler of CUDA, unless `nvcc_path` is set."""


def lay_out(folder: Path) -> dict[str, str]:
    """Do it in an environment. Returns what lies where; raises SystemExit with a sentence where something is absent."""
    if not re.fullmatch(r"[A-Za-z0-9/._+=@:,~-]+", str(folder)):
        sys.exit(f"Jittor compiles by shell commands, which break at this path: {folder}. Set DETUI_ENVIRONMENTS.")
    if shutil.which(os.environ.get("cc_path", "g++")) is None:  # noqa: SIM112 - Jittor's variables are small
        sys.exit("Jittor compiles with g++, and there is none on the PATH: install a C++ compiler.")
    if "nvcc_path" not in os.environ and not any(map(shutil.which, COMPILERS)):
        sys.exit("There is no nvcc, and Jittor would download one: install CUDA, or take the environment jittor.")
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        sys.exit(f"Jittor needs Python's headers, and there is no {headers}/Python.h: install the -dev package.")
    library = folder / "lib" / LIBRARY
    if not library.is_file() or not (folder / "include" / "dnnl.h").is_file():
        sys.exit(f"There is no oneDNN in {folder}: the pins must name onednn-cpu-gomp and onednn-devel-cpu-gomp.")
    for name in NAMES:
        _link(folder / "lib" / name, Path(LIBRARY))
    place = folder / PLACE
    (place / "lib").mkdir(parents=True, exist_ok=True)
    _link(place / "include", Path(os.path.relpath(folder / "include", place)))
    for name in (LIBRARY, *NAMES):
        _link(place / "lib" / name, Path(os.path.relpath(library, place / "lib")))
    config = folder / "bin" / "python-config"
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    answers = {"--includes": f"-I{headers}", "--extension-suffix": suffix}
    cases = "".join(f"{asked}) echo '{answer}' ;;\n" for asked, answer in answers.items())
    config.write_text(f'#!/bin/sh\n# What Jittor asks of python-config.\ncase "$1" in\n{cases}*) exit 1 ;;\nesac\n')
    config.chmod(config.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return {"onednn": "2.2.0", "place": PLACE, "headers": str(headers)}


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    note = {"schema": 1, **lay_out(where)}
    (where / "jittor_onednn.json").write_text(json.dumps(note, indent=2) + "\n")
