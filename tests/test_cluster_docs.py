"""Every command of docs/cluster.md, run as it stands there: on a lab server, and from a laptop over a real ssh."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from secure_shell import DETUI, script, serving
from terminals import Terminal
from toy_runs import until

from detui.engine.process.control import request, status, wait
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.workspace import Workspace

pytestmark = pytest.mark.slow
RECIPE = """\
schema: 1
title: A toy program
question: Does it go down?
backend: command
environment: programs
base:
  command: ["{{python}}", {toy}, "{epochs}", "{pause}", "{{resume}}"]
  epochs: {epochs}
  train: {{lr: 0.01}}
arms:
  baseline: {{}}
  slow: {{train: {{lr: 0.001}}}}
varies: [train]
seeds: [0]
checkpoint_rule: last
"""
GPU = f"count=1\ngpu0.uuid=GPU-toy\ngpu0.name=Toy\ngpu0.total={48 << 30}\ngpu0.used=0\ngpu0.util=0\n"

STAYS = {
    "ssh me@server": (None, "exit\n"),
    "tmux new-session -A -s detui": (None, "exit\n"),
    "detui": ("? Keys", "q"),
    "detui --host lab": ("? Keys", "q"),
    "detui --host lab --read-only": ("? Keys", "q"),
}
"""Commands that stay on the terminal: what stands there once they are ready (None: nothing more comes), and what ends
them."""

FOUND = {"detui doctor": (0, 1, 3)}
"""Commands whose exit code tells of the machine."""


def commands(repository: Path, title: str) -> list[str]:
    """The command lines of a section, without their comments."""
    text = (repository / "docs" / "cluster.md").read_text(encoding="utf-8")
    own = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", own, re.S)
    return [re.split(r"\s+# ", line)[0] for block in blocks for line in block.splitlines() if line.strip()]


@dataclass(frozen=True)
class Machine:
    """A home, and what a shell there has in its environment."""

    home: Path
    environ: Mapping[str, str]

    def run(self, line: str) -> str:
        """Run a line as a person types it; return what it printed."""
        if line in STAYS:
            return self._stay(line, *STAYS[line])
        done = subprocess.run(
            ["bash", "-c", line], env=dict(self.environ), cwd=self.home, capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode in FOUND.get(line, (0,)), f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, line
        return done.stdout

    def _stay(self, line: str, ready: str | None, leave: str) -> str:
        screen = Terminal(["bash", "-c", f"cd {self.home} && {line}"], {**self.environ, "TERM": "xterm-256color"})
        try:
            screen.shows(ready) if ready is not None else until(lambda: screen.read(0.1), 30)
            screen.quiet(1.0)
            screen.press(leave)
            assert screen.end() == 0, line
            return screen.text()
        finally:
            screen.close()


@pytest.fixture
def machines(tmp_path: Path, library: Path) -> Iterator[tuple[Machine, Machine]]:
    """A laptop, and a server with one GPU, whose `me` is the account that runs the tests."""
    laptop, server = tmp_path / "laptop", tmp_path / "server"
    for home in (laptop, server):
        (home / "bin").mkdir(parents=True)
    (tmp_path / "gpu").write_text(GPU)
    away = ("DETUI_", "XDG_", "TMUX", "CUDA_")
    both = {name: value for name, value in os.environ.items() if not name.startswith(away)}
    both["DETUI_LEASES"] = str(tmp_path / "leases")
    there = {"HOME": str(server), "DETUI_LEASES": both["DETUI_LEASES"], "DETUI_WORKSPACE": str(server / "logs"),
             "PATH": f"{server / 'bin'}:/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": str(library),
             "NVML_STAND_IN": str(tmp_path / "gpu"), "TMUX_TMPDIR": str(server),
             "DETUI_CONFIG": str(server / "config.yaml")}  # fmt: skip
    if "PYTHONPATH" in both:
        there["PYTHONPATH"] = both["PYTHONPATH"]
    # sshd begins a session at the home of the account; the home of these tests is another.
    script(server / "bin" / "detui", f'[ -z "$SSH_CONNECTION" ] || cd "$HOME"\nexec "{DETUI}" "$@"')
    toy = f'"{Path(__file__).parent / "tui" / "toy.py"}"'
    # An environment of its own: whether the torch of this one knows GPUs does not matter to the program.
    (server / "config.yaml").write_text(f"environments: {{programs: {json.dumps(sys.executable)}}}\n")
    (server / "mine.yaml").write_text(RECIPE.format(toy=toy, epochs=600, pause=0.2))
    with serving(tmp_path, there) as daemon:
        ssh = daemon.client(laptop / "bin") / "ssh"
        own = 'case "$1" in -l) shift 2;; esac\nfor word; do shift; set -- "$@" "${word#me@}"; done\n'
        script(ssh, own + ssh.read_text().split("\n", 1)[1])
        here = {**both, "HOME": str(laptop), "PATH": f"{ssh.parent}:{DETUI.parent}:{os.environ['PATH']}",
                "DETUI_CONFIG": str(laptop / "config.yaml")}  # fmt: skip
        yield Machine(laptop, here), Machine(server, {**both, **there})
    for experiment in Workspace.open(str(server / "logs")).experiments():
        ended(experiment.runs(), "kill")


def ended(runs: Sequence[RunDir], what: str | None = None) -> None:
    """Wait until runs have ended, asked to or not, and their record is filled."""
    for run in runs:
        if what and not status(run).state.terminal:
            request(run, what)
    assert all(found.state.terminal for found in wait(runs, 60, evaluated=True))


def trains(server: Machine) -> None:
    """Wait until the first run has a checkpoint."""
    run = Workspace.open(str(server.home / "logs")).run("last/baseline-s0")
    until(lambda: load_history(run).checkpoints, 60)


def runs_of(server: Machine) -> list[RunDir]:
    return Workspace.open(str(server.home / "logs")).experiment("last").runs()


@pytest.mark.timeout(600)
def test_a_lab_server(repository: Path, machines: tuple[Machine, Machine]) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    laptop, server = machines
    first, *others = commands(repository, "A lab server")
    laptop.run(first)
    for line in others:
        said = server.run(line)
        if " run " in line or " resume " in line:
            trains(server)
        elif " stop " in line or " kill " in line:
            ended(runs_of(server))
        elif line == "detui ls --active":
            assert re.search(r"running +baseline-s0", said) and re.search(
                r"queued +slow-s0.*waiting for a device", said
            )
        elif line == "detui gpus":
            assert "Toy" in said, said
    assert [status(run).state.word for run in runs_of(server)] == ["killed", "stopped"]


@pytest.mark.timeout(600)
def test_from_a_laptop(repository: Path, machines: tuple[Machine, Machine]) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("needs rsync")
    laptop, server = machines
    text = (repository / "docs" / "cluster.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(# ~/.config/detui/config.yaml on the laptop.*?)```", text, re.S)
    places = {"/opt/detui/.venv/bin/detui": server.home / "bin" / "detui", "/data/me/logs": server.home / "logs"}
    for said, real in places.items():
        assert said in example
        example = example.replace(said, str(real))
    (laptop.home / "config.yaml").write_text(example)
    for line in commands(repository, "Laptop → server"):
        said = laptop.run(line)
        if " run " in line:
            trains(server)
        elif " stop " in line:
            ended(runs_of(server))
        elif line == "detui ls":
            assert "on lab" in said, said
    assert json.loads((laptop.home / "runs.json").read_text())[0]["runs"][0]["state"] == "running"
    assert "A toy program" in (laptop.home / "record.html").read_text(encoding="utf-8")
    (copy,) = Workspace.open(str(laptop.home / "logs")).experiments()
    assert copy.id == Workspace.open(str(server.home / "logs")).experiment("last").id
