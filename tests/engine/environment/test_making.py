"""Environments made for real, from packages that lie here: whole or not at all, whatever ends the process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from detui.engine.environment.locks import is_locked
from detui.engine.environment.making import processes_in
from detui.engine.environment.standing import NOTE, standing

from .conftest import Site, until

pytestmark = pytest.mark.slow


def python_says(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_one_is_made_checked_listed_and_removed(site: Site) -> None:
    site.wheel()
    site.pins(more="check: {imports: [tiny]}\n")
    done = site.detui("create", "tiny")
    assert done.returncode == 0, done.stderr
    python = Path(done.stdout.strip())
    assert python.is_relative_to(site.root) and python_says(python, "import tiny; print(tiny.VERSION)") == "1.0"
    assert "tiny is ready" in done.stderr and "\x1b" not in done.stderr
    note = json.loads((python.parent.parent / NOTE).read_text())
    assert note["packages"] == {"tiny": "1.0"} and note["bytes"] > 0 and note["installer"] == "pip"
    assert "tiny-1.0" in (site.root / f"{python.parent.parent.name}.log").read_text()
    assert "packages as pinned: 1, imports that work: 1" in site.detui("check", "tiny").stdout
    (listed,) = [one for one in json.loads(site.detui("list", "--json").stdout) if one["name"] == "tiny"]
    assert (listed["state"], listed["usable"], listed["interpreter"]) == ("ready", True, str(python))

    again = site.detui("create", "tiny")
    assert again.returncode == 0 and "is whole" in again.stderr

    user = subprocess.Popen([str(python), "-c", "import time; time.sleep(60)"])
    until(lambda: list(processes_in(python.parent.parent)))
    refusals = [site.detui("remove", "tiny", "--yes"), site.detui("create", "tiny", "--recreate")]
    user.kill()
    user.wait()
    for refused in refusals:
        assert refused.returncode == 1 and f"in use by process {user.pid}" in refused.stderr
    assert site.detui("remove", "tiny", "--yes").returncode == 0
    assert site.made() == [] and not list(site.root.glob("*.log"))
    assert site.detui("remove", "tiny", "--yes").returncode == 2


def test_other_pins_are_another_environment(site: Site) -> None:
    site.wheel()
    site.wheel(version="2.0")
    site.pins()
    first = Path(site.detui("create", "tiny").stdout.strip())
    site.pins("tiny", "tiny==2.0")
    assert standing("tiny", site.configuration).state == "outdated"
    assert site.detui("check", "tiny").returncode == 3
    done = site.detui("create", "tiny")
    second = Path(done.stdout.strip())
    assert "1 older one from other pins" in done.stderr and first.exists() and len(site.made()) == 2
    assert python_says(second, "import tiny; print(tiny.VERSION)") == "2.0"
    assert site.detui("remove", "tiny", "--older", "--yes").returncode == 0
    assert second.exists() and not first.exists()


def test_what_was_changed_by_hand_is_found_and_mended(site: Site) -> None:
    site.wheel()
    site.wheel(version="2.0")
    site.pins()
    python = Path(site.detui("create", "tiny").stdout.strip())
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "tiny==2.0"]
    subprocess.run(pip, env=site.environ, check=True)
    done = site.detui("check", "tiny")
    assert done.returncode == 1 and "--recreate" in done.stderr
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [["tiny", "asked:", "1.0", "found:", "2.0"]]
    (python.parent / "python").unlink()  # as where the Python below it was removed
    (python.parent / "python").symlink_to("/gone/python")
    broken = standing("tiny", site.configuration)
    assert broken.state == "broken" and broken.command == "detui env create tiny --recreate"
    assert site.detui("create", "tiny").returncode == 0, "a broken one is made anew"
    assert site.detui("check", "tiny").returncode == 0 and len(site.made()) == 1


def test_an_installer_that_fails_leaves_its_log_and_nothing_else(site: Site) -> None:
    site.wheel()
    site.pins("tiny", "tiny==3.0")
    done = site.detui("create", "tiny")
    assert done.returncode == 1 and done.stdout == ""
    error = done.stderr[done.stderr.index("detui: error:") :]
    (log,) = site.root.glob("*.log")
    assert str(log) in error and "No matching distribution" in error and "try: read that log" in error
    assert len(error.splitlines()) <= 4
    assert "No matching distribution" in log.read_text() and site.made() == []


def test_an_import_that_fails_is_no_environment_and_the_old_one_stays(site: Site) -> None:
    site.wheel()
    pins = site.pins()
    assert site.detui("create", "tiny").returncode == 0
    before = site.made()
    pins.write_text(pins.read_text() + "check: {imports: [absent_module]}\n")  # the same packages: the same hash
    done = site.detui("create", "tiny", "--recreate")
    assert done.returncode == 1 and "import absent_module" in done.stderr
    assert site.made() == before and standing("tiny", site.configuration).usable


def test_what_a_kill_leaves_is_taken_back(site: Site) -> None:
    site.gated()
    killed = site.start("create", "gated")
    until(lambda: site.started)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    # The installer still writes there: nobody may begin before it has ended.
    assert is_locked(site.root, "gated") and standing("gated", site.configuration).state == "being made"
    site.open_gate()
    until(lambda: not is_locked(site.root, "gated"))
    found = standing("gated", site.configuration)
    assert found.state == "incomplete" and found.command == "detui env create gated"
    (site.made()[0] and (site.root / site.made()[0] / "left-over")).touch()
    done = site.detui("create", "gated")
    assert done.returncode == 0, done.stderr
    assert not list(site.root.glob("*/left-over"))


def test_a_kill_while_it_is_made_anew_loses_nothing(site: Site) -> None:
    site.gated()
    site.open_gate()
    python = Path(site.detui("create", "gated").stdout.strip())
    (site.folder / "gate" / "open").unlink()
    killed = site.start("create", "gated", "--recreate")
    until(lambda: site.started == 2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    site.open_gate()
    until(lambda: not is_locked(site.root, "gated"))
    done = site.detui("create", "gated")
    assert done.returncode == 0 and "is whole" in done.stderr and site.started == 2
    assert python.exists() and len(site.made()) == 1


def test_ctrl_c_ends_the_installer_and_takes_back_what_it_made(site: Site) -> None:
    site.gated()
    process = site.start("create", "gated")
    until(lambda: site.started)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted" in said
    assert site.made() == [] and not is_locked(site.root, "gated"), "a part, or its builder, is left"


def test_two_at_once_make_it_once(site: Site) -> None:
    site.gated()
    first = site.start("create", "gated")
    until(lambda: site.started)
    second = site.start("create", "gated")
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    assert site.detui("remove", "gated", "--yes").returncode == 1, "it is being made"
    site.open_gate()
    ends = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert ends[0] == ends[1] != "" and site.started == 1


@pytest.fixture
def small_disk(site: Site) -> Iterator[Path]:
    """A file system of two megabytes at the place of the environments."""
    site.root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(site.root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
    yield site.root
    subprocess.run(["umount", "-l", str(site.root)], check=True)


def test_a_disk_that_fills_up(site: Site, small_disk: Path) -> None:
    site.wheel(padding=4 << 20)
    site.pins()
    done = site.detui("create", "tiny")
    assert done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr
    assert site.made() == [] and shutil.disk_usage(small_disk).free > 1 << 20
    site.pins(more="mebibytes: 100\n")
    known = site.detui("create", "tiny")
    assert known.returncode == 1 and "needs about 100 MiB" in known.stderr and "DETUI_ENVIRONMENTS" in known.stderr


@pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv on the PATH")
def test_uv_makes_the_same(site: Site) -> None:
    site.wheel()
    site.pins(more="check: {imports: [tiny]}\n")
    done = site.detui("create", "tiny", "--installer", "uv")
    assert done.returncode == 0, done.stderr
    assert json.loads(next(site.root.glob(f"*/{NOTE}")).read_text())["installer"] == "uv"
    assert site.detui("check", "tiny").returncode == 0


def test_a_run_trains_in_it(site: Site) -> None:
    """A recipe that names it: the worker runs with its interpreter, its variables and its packages."""
    site.wheel()
    site.pins(more='environ: {TINY_HOME: "{environment}/home"}\n')
    recipe = site.folder / "own.yaml"
    code = "import os, tiny; print('tiny', tiny.VERSION, os.environ['TINY_HOME'])"
    recipe.write_text(
        "schema: 1\ntitle: Tiny\nquestion: Does it run?\nbackend: command\nenvironment: tiny\nseeds: [0]\n"
        f'base: {{command: ["{{python}}", "-c", "{code}"], epochs: 1}}\narms: {{only: {{}}}}\n'
    )
    command = [str(Path(sys.executable).with_name("detui")), "--workspace", str(site.folder / "logs"), "run",
               str(recipe), "--yes", "--no-evaluate"]  # fmt: skip
    environ = {**site.environ, "DETUI_LEASES": os.environ["DETUI_LEASES"]}
    refused = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 3 and "detui env create tiny" in refused.stderr
    python = Path(site.detui("create", "tiny").stdout.strip())
    subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    (console,) = (site.folder / "logs").glob("*/runs/only-s0/attempts/1/console.log")
    assert f"tiny 1.0 {python.parent.parent}/home" in console.read_text()
    experiment = console.parents[4]
    facts = json.loads((experiment / "experiment.json").read_text())["environment"]
    assert facts["packages"] == {"tiny": "1.0"}
    assert f"| environment | tiny (pins {facts['pins']}) |" in (experiment / "record.md").read_text()
