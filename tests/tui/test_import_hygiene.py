"""What the quick commands may load. Proven in a process of its own: here everything is loaded already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numpy", "textual", "pydantic", "ruamel", "rich", "matplotlib", "scipy", "psutil", "ultralytics")


def loaded(arguments: list[str], home: Path) -> set[str]:
    """The heavy packages that `detui ARGUMENTS` loads."""
    code = f"""
import sys
from detui.tui.main import main
try:
    main({arguments!r})
finally:
    print("LOADED", *[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


def test_the_measure_sees_a_heavy_package(tmp_path: Path) -> None:
    assert "pydantic" in loaded(["recipes"], tmp_path)


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["completion", "bash"], ["run", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert loaded(arguments, tmp_path) == set()


def test_ls_loads_nothing_heavy(workspace: Path, tmp_path: Path, written: Path) -> None:
    assert loaded(["--workspace", str(workspace), "ls"], tmp_path) == set()


def test_the_list_of_runs_paints_without_numpy(workspace: Path, tmp_path: Path, written: Path) -> None:
    code = (
        "import sys, detui.tui.app, detui.tui.screens.runs; print(*[n for n in ('numpy', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
