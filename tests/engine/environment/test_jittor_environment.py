"""The environment `jittor` as its pins make it: compiled, right, and with the signals that a worker needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detui.engine.environment import link_package, numbers
from detui.engine.environment.checking import check_interpreter
from detui.engine.environment.pin_file import SHIPPED, read_pins

if TYPE_CHECKING:
    from made_environments import Made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

WORKERS = Path(__file__).parents[2] / "workers"
PINS = read_pins(SHIPPED / "jittor.yaml")


@pytest.fixture(scope="module")
def made() -> Made:
    """The environment, made once for its pins: minutes, for it compiles Jittor."""
    import made_environments

    try:
        return made_environments.made("jittor")
    except made_environments.Unavailable as error:
        pytest.skip(str(error))


def environ(made: Made, *folders: str | Path) -> dict[str, str]:
    own = dict(PINS.environ(made.python.parent.parent))
    return {**os.environ, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, folders))}


def after_import(made: Made, tmp_path: Path, who: str) -> dict[str, Any]:
    return said(made, tmp_path, "jittor_signals.py", who)


def said(made: Made, tmp_path: Path, program: str, *arguments: str) -> dict[str, Any]:
    """The last line that a program of `workers` prints."""
    links = link_package("parity", tmp_path / "links")
    command = [str(made.python), str(WORKERS / program), *arguments]
    done = subprocess.run(command, env=environ(made, links), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_it_is_compiled_and_says_so(made: Made) -> None:
    assert check_interpreter(made.python, PINS).differences == ()
    note = json.loads((made.python.parent.parent / "jittor_warm_up.json").read_text())
    assert note["jittor"] == PINS.packages["jittor"] and note["arithmetic"]["wrong"] == []
    assert note["cache"].startswith(str(made.python.parent.parent)), "nothing is compiled outside its folder"


def test_what_doctor_runs_finds_it_right(made: Made) -> None:
    (found,) = numbers.tested(made.python, "jittor", PINS.environ(made.python.parent.parent))
    assert found["framework"] == "jittor" and found["wrong"] == [] and found["seconds"] < 5


def test_numpy_2_corrupts_it_and_that_is_seen(made: Made, tmp_path: Path) -> None:
    """This numpy is laid before the environment's own: the same Python can import both."""
    import numpy

    if numpy.__version__.startswith("1.") or sys.version_info[:2] != _python(made):
        pytest.skip("needs numpy 2 for the Python of the environment")
    for name in ("numpy", "numpy.libs"):
        (tmp_path / name).symlink_to(Path(numpy.__file__).parents[1] / name)
    code = "import sys, runpy, json; sys.argv = ['x', 'jittor']; runpy.run_path(%r, run_name='__main__')"
    command = [str(made.python), "-c", code % numbers.arithmetic.__file__]
    done = subprocess.run(
        command, env=environ(made, tmp_path), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["numpy"] == numpy.__version__ and "addition" in found["wrong"]


def _python(made: Made) -> tuple[int, int]:
    note = json.loads((made.python.parent.parent / "environment.json").read_text())
    major, minor = note["python"].split(".")[:2]
    return int(major), int(minor)


def test_signals_and_generators_are_the_workers_after_the_import(made: Made, tmp_path: Path) -> None:
    worker, plain = after_import(made, tmp_path, "worker"), after_import(made, tmp_path, "plain")
    assert (worker["heard"], plain["heard"]) == (["stop"], ["interrupt"])
    assert worker["drawn"] == plain["drawn"], "the same seed, the same numbers"
    assert worker["child"] == plain["child"] == -9 and worker["total"] == 5.0


def test_several_processes_compile_the_same_kernels_at_once(made: Made, tmp_path: Path) -> None:
    """With the file of Jittor's in the home folder empty, as a Jittor of another environment leaves it while it
    writes: the helper of each compilation would read it, and fail."""
    shared = tmp_path / "home" / ".cache" / "jittor" / "config.json"
    shared.parent.mkdir(parents=True)
    shared.touch()
    links = link_package("ultralytics", tmp_path / "links")
    command = [str(made.python), str(WORKERS / "jittor_kernels.py"), os.urandom(8).hex(), str(time.time() + 6)]
    own = {**environ(made, links), "HOME": str(tmp_path / "home")}
    running = [
        subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [one.communicate(timeout=300) for one in running]
    assert [one.returncode for one in running] == [0, 0], [error[-2000:] for _, error in said]
    told = [json.loads(out.splitlines()[-1]) for out, _ in said]
    assert all(one["apart"] < 1e-6 for one in told) and max(one["new"] for one in told) >= 3, told
    assert shared.read_bytes() == b"", "it is another's"


def test_an_operator_that_does_not_compile_is_told_and_the_others_are_measured(made: Made, tmp_path: Path) -> None:
    found = said(made, tmp_path, "jittor_broken_operator.py")
    whole = ["gradient of x", "output"]
    assert {name: one for name, one in found.items() if name != "GELU"} == dict.fromkeys(
        ("SiLU", "sigmoid", "softmax"), whole
    )
    assert found["GELU"].startswith("RuntimeError: Check failed ret(") and "Run cmd failed" in found["GELU"]
    assert len(found["GELU"]) <= 200 and "\x1b" not in found["GELU"]
