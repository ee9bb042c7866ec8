"""Programs that finish an environment: tried again, ended when they take too long, and told of line by line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detui.engine.environment import making
from detui.engine.environment.installers import run_logged
from detui.engine.environment.pin_file import PROGRAMS, read_pins
from detui.engine.errors import RecipeError, RunError

from .conftest import Site

LISTED = "after: [{program: jittor_warm_up, seconds: 20, tries: 2}]\n"


def run(code: str, seconds: float | None = None) -> tuple[list[str], bytes]:
    told: list[str] = []
    log = io.BytesIO()
    lock = os.open(os.devnull, os.O_RDONLY)
    try:
        run_logged([sys.executable, "-I", "-S", "-u", "-c", code], log, os.environ, told.append, lock, seconds)
    finally:
        os.close(lock)
    return told, log.getvalue()


def test_lines_end_with_a_carriage_return_too() -> None:
    told, log = run("print('one', end='\\r'); print('two\\n\\nthree', end='')")
    assert told == ["one", "two", "three"] and log.endswith(b"one\rtwo\n\nthree")


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "child"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
open({str(note)!r}, "w").write(str(child.pid))
print("begun")
time.sleep(60)
"""
    begun = time.monotonic()
    with pytest.raises(RunError, match="was not done after 4 s"):
        run(code, 4)
    assert time.monotonic() - begun < 20
    child = Path(f"/proc/{note.read_text()}/stat")
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":  # killed, and not yet gone
        assert time.monotonic() - begun < 30
        time.sleep(0.05)


def test_programs_are_those_that_are_there_and_count_in_the_hash(site: Site) -> None:
    plain = read_pins(site.pins())
    with_one = read_pins(site.pins(more=LISTED))
    other = read_pins(site.pins(more=LISTED + "environ: {A: b}\n"))
    patient = read_pins(site.pins(more=LISTED.replace("20", "30")))
    assert len({plain.hash, with_one.hash, other.hash}) == 3 and patient.hash == with_one.hash
    names = [path.stem for path in PROGRAMS.glob("*.py") if path.stem != "__init__"]
    for name in names:
        read_pins(site.pins(more=f"after: [{{program: {name}}}]\n"))
    with pytest.raises(RecipeError, match="program"):
        read_pins(site.pins(more="after: [{program: ../other}]\n"))
    with pytest.raises(RecipeError, match="twice"):
        read_pins(site.pins(more="after: [{program: jittor_onednn}, {program: jittor_onednn}]\n"))


@pytest.mark.slow
def test_a_program_is_tried_again_and_none_that_left_nothing_is_believed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Jittor did: the first try ends with 0 and asks to be started again."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "jittor_warm_up.py"
    first = "import pathlib, sys, tiny\nfolder = pathlib.Path(sys.argv[1])\nmark = folder / 'mark'\n"
    again = "if not mark.exists():\n    mark.touch()\n    print('please rerun your command')\n    sys.exit(0)\n"
    done = "(folder / 'jittor_warm_up.json').write_text('{}')\n"
    program.write_text(first + again + done)
    monkeypatch.setattr(making, "PROGRAMS", programs)
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    site.wheel()
    site.pins(more=LISTED)
    told: list[str] = []
    found = making.create("tiny", site.configuration, tell=lambda text, passing: told.append(text))
    assert found.usable and found.folder is not None
    assert "please rerun your command" in told and any("trying again" in text for text in told)
    assert "imports that work: 0" in site.detui("check", "tiny").stdout
    (found.folder / "jittor_warm_up.json").unlink()
    checked = site.detui("check", "tiny")
    assert checked.returncode == 1 and "jittor_warm_up" in checked.stdout

    program.write_text(first + "print('Compiling core')\n")
    with pytest.raises(RunError, match=r"left no jittor_warm_up\.json"):
        making.create("tiny", site.configuration, recreate=True)
    assert subprocess.run([str(found.python), "-c", "import tiny"], check=False).returncode == 0, "the old one stays"
