"""engine/run and engine/worker work with a bare interpreter and links to these packages alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from toy_runs import WORKERS, toy_spec

from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json


def links(folder: Path, repository: Path) -> Path:
    """What a foreign environment gets of detui."""
    engine = folder / "links" / "detui" / "engine"
    engine.mkdir(parents=True)
    for name in ("run", "worker", "errors.py"):
        (engine / name).symlink_to(repository / "engine" / name)
    return folder / "links"


def test_they_import_with_the_standard_library_alone(hostile_path: Path, repository: Path) -> None:
    modules = [f"detui.engine.{path.parent.name}.{path.stem}" for package in ("run", "worker")
               for path in (repository / "engine" / package).glob("*.py") if path.stem[0] != "_"]  # fmt: skip
    code = (
        f"import sys; sys.path.insert(0, {str(links(hostile_path, repository))!r})\n"
        f"before = set(sys.modules)\n"
        f"import {', '.join(modules)}\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "assert new == {'detui'}, new\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)


def test_a_worker_trains_there(hostile_path: Path, repository: Path) -> None:
    run = RunDir.create(hostile_path / "runs" / "baseline-s0", toy_spec(config={"seconds": 0}))
    attempt = run.attempt(1)
    attempt.path.mkdir()
    write_json(attempt.path / "attempt.json", {"number": 1, "resume": None})
    code = (
        f"import sys; sys.path[:0] = [{str(links(hostile_path, repository))!r}, {str(WORKERS)!r}]\n"
        f"from detui.engine.worker.entry import main; sys.exit(main([{str(attempt.path)!r}]))"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)
    done = attempt.done()
    assert done is not None and (done["outcome"], done["step"]) == ("finished", 20)
