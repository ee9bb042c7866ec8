"""The rules of the house, held by running it: imports go down, nothing heavy is loaded early, the wheel is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "ultralytics",
    "numpy",
    "scipy",
    "matplotlib",
    "pydantic",
    "ruamel",
    "textual",
    "PIL",
    "hotcoco",
)


def python(code: str, *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=cwd)


def loaded_by(code: str) -> set[str]:
    done = python(f"{code}\nimport sys; print('LOADED', *sys.modules)")
    assert done.returncode == 0, done.stderr
    last = done.stdout.rsplit("LOADED", 1)[1]
    return {name.partition(".")[0] for name in last.split()}


def test_import_rules_hold(repository: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=repository,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    "code",
    [
        "import detui.tui.main",
        "import detui.engine.workspace",
        "import detui.engine.run.history, detui.engine.run.state",
        "from detui.engine.configuration import Configuration; Configuration.load(environ={'HOME': '/nonexistent'})",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert not loaded_by(code) & set(HEAVY)


def test_a_plan_loads_no_framework() -> None:
    code = (
        "from detui.engine.workspace import Workspace\n"
        "plan = Workspace.open().plan('starter/mosaic', profile='quick', devices='cpu')\n"
        "assert len(plan.runs) == 4, plan.runs"
    )
    assert not loaded_by(code) & {"torch", "ultralytics", "matplotlib", "textual"}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without fetching anything."""
    out = tmp_path_factory.mktemp("wheel")
    # Build from a copy: setuptools leaves build/ and *.egg-info beside its sources.
    source = tmp_path_factory.mktemp("source")
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=repository, capture_output=True, check=True
    ).stdout
    for name in filter(None, files.decode().split("\0")):
        if (repository / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((repository / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_file(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "engine", "tui", "recipes"], cwd=repository, capture_output=True, text=True
    )
    for name in tracked.stdout.split():
        if not name.endswith((".c",)):
            assert f"detui/{name}" in names, name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_recipe_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """In an environment without the checkout: plan, two real runs of ten steps, the record."""
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
    )
    # Only the dependencies come from this environment: a folder on PYTHONPATH switches on no editable install.
    site = Path(sys.executable).parent.parent / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    environment = {**os.environ, "PYTHONPATH": f"{target}{os.pathsep}{site}", "HOME": str(tmp_path)}
    base = getattr(sys, "_base_executable", sys.executable)
    assert str(target) in python_location(base, environment, tmp_path)
    done = subprocess.run(
        [base, "-c", "from detui.tui.main import main; main()", "--workspace", str(tmp_path / "logs"),
         "run", "starter/mosaic", "--profile", "smoke", "--devices", "cpu", "--yes"],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "smoke run: not a result" in done.stdout
    begin = json.loads(next(tmp_path.glob("logs/*/runs/*/attempts/1/metrics.jsonl")).read_text().splitlines()[0])
    assert begin["code"]["commit"] is None, "the worker imported a checkout"


def python_location(base: str, environment: dict[str, str], cwd: Path) -> str:
    code = "import detui.engine.errors as e; print(e.__file__)"
    return subprocess.run([base, "-c", code], capture_output=True, text=True, env=environment, cwd=cwd).stdout
