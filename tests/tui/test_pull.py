"""`detui pull`: a copy of another host's experiment over a real ssh and rsync, and what a copy is here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from secure_shell import Lab, script
from terminals import Terminal, plain
from toy_runs import toy_spec

from detui.engine.errors import RunError
from detui.engine.process.control import request, settled, status, supervised, wait
from detui.engine.process.identity import Identity
from detui.engine.run.directory import RunDir, now
from detui.engine.run.files import read_json, write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.pulled import Pulled, pulled
from detui.engine.workspace import Workspace
from detui.tui.glance import glance
from detui.tui.messages import Told
from detui.tui.rows import Heading, RowReader
from detui.tui.screens.run_requests import _queue

IDENT = "starter.mosaic-20261120-134500"
Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def rsync() -> None:
    if shutil.which("rsync") is None:
        pytest.skip("needs rsync")


@pytest.fixture
def original(lab: Lab, writer: Writer) -> Path:
    """An experiment on the other host with a record, a figure, weights, predictions, and what processes leave."""
    path = writer(lab.workspace, IDENT, {"baseline-s0": "finished", "no-mosaic-s0": "running"}, name="first")
    (path / "record.md").write_text("# the record\n")
    (path / "figures").mkdir()
    (path / "figures" / "loss.png").write_bytes(b"picture")
    for run in (path / "runs").iterdir():
        attempt = RunDir(run).attempt(1)
        (attempt.checkpoints / "weights.pt").write_bytes(os.urandom(4096))
        (attempt.predictions / "val.json").write_text("[]")
        write_json(run / "control" / "hold", {"uid": 0})
        write_json(run / "evaluating.json", {"process": None})
        (run / ".room").write_bytes(b"\0" * 16384)
    me = Identity.of(os.getpid())
    assert me is not None
    write_json(path / "runs" / "no-mosaic-s0" / "owner.json", me.to_json())
    return path


def tree(path: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def pulls(lab: Lab, *words: str) -> dict[str, Any]:
    done = lab.detui("pull", *words, "--host", "lab", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "detui: error: " in done.stderr and "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


def test_everything_but_what_is_large(lab: Lab, original: Path) -> None:
    done = lab.detui("pull", "last", "--host", "lab")
    copy = lab.here / "logs" / IDENT
    assert (done.returncode, done.stdout) == (0, f"{copy}\n"), done.stderr
    there, here = tree(original), tree(copy)
    assert {"experiment.json", "record.md", "figures/loss.png", "runs/baseline-s0/spec.json"} < set(here)
    assert {"events.jsonl", "attempts/1/metrics.jsonl", "attempts/1/evaluations.jsonl", "attempts/1/console.log"} < {
        name.removeprefix("runs/baseline-s0/") for name in here
    }
    assert all(content == there[name] for name, content in here.items() if name != "pulled.json")
    left = set(there) - set(here)
    parts = ("checkpoints/", "predictions/", "control/", "evaluating.json", ".room")
    assert left and all(any(part in name for part in parts) for name in left)
    assert copy.stat().st_mode & 0o777 == 0o700 and (copy / "record.md").stat().st_mode & 0o777 == 0o600
    assert not list((lab.here / "logs").glob(".pulling*"))
    told = pulled(copy)
    assert told is not None and (told.host, told.ssh, told.path) == ("lab", "lab", str(original))


@pytest.mark.parametrize("ref", ["first", "starter.mosaic-2026"])
def test_names_are_those_of_the_other_side(lab: Lab, original: Path, ref: str) -> None:
    """Also before the command, where --host stands for every other one."""
    done = lab.detui("--host", "lab", "pull", ref, "--to", str(lab.here / "elsewhere"))
    assert done.stdout == f"{lab.here / 'elsewhere' / IDENT}\n", done.stderr


def test_again_copies_what_changed(lab: Lab, original: Path) -> None:
    assert pulls(lab, "last")["files"] > 10
    assert pulls(lab, "last")["files"] == 0
    run = RunDir(original / "runs" / "no-mosaic-s0")
    writer = LineWriter(run.attempt(1).evaluations_path)
    writer.write({"kind": "evaluation", "epoch": 13, "values": {"val/AP": 0.5}})
    writer.close()
    run.append_event("finished", attempt=1)
    assert pulls(lab, "last")["files"] == 2
    copy = Workspace.open(str(lab.here / "logs")).run(f"{IDENT}/no-mosaic-s0")
    seen = glance(copy, {})
    assert (seen.word, seen.notes, seen.metric) == ("finished", ("on lab",), 0.5)


@pytest.mark.parametrize(
    ("options", "there"),
    [
        (["--with", "checkpoints"], {"checkpoints"}),
        (["--with", "predictions"], {"predictions"}),
        (["--all"], {"checkpoints", "predictions"}),
    ],
)
def test_what_is_large_comes_when_asked_for(lab: Lab, original: Path, options: list[str], there: set[str]) -> None:
    pulls(lab, "last", *options)
    attempt = RunDir(lab.here / "logs" / IDENT / "runs" / "baseline-s0").attempt(1)
    assert {name for name in ("checkpoints", "predictions") if (attempt.path / name).exists()} == there


def test_a_copy_is_shown_as_it_was(lab: Lab, original: Path) -> None:
    """Its supervisor's process lives on this very machine here, and is not looked for all the same."""
    done = lab.detui("pull", "last", "--host", "lab")
    assert done.returncode == 0, done.stderr
    listed = lab.detui("ls").stdout
    assert "finished" in listed and "running" in listed and "lost" not in listed
    (told,) = json.loads(lab.detui("ls", "--json").stdout)
    assert told["pulled"] == "lab" and [run["pulled"] for run in told["runs"]] == ["lab", "lab"]
    assert told["runs"][0]["notes"] == ["on lab"]
    assert told["runs"][1]["notes"][0].startswith("on lab, as of 20")
    assert lab.detui("ls", "--active").stdout == ""
    run = RunDir(lab.here / "logs" / IDENT / "runs" / "no-mosaic-s0")
    found = status(run)
    assert found.state.word == "running" and found.notes[0].startswith("on lab, as of ")
    assert not supervised(run) and wait([run], 5)[0].state.word == "running", "nobody waits for what never comes"
    rows = RowReader(Workspace.open(str(lab.here / "logs"))).read()
    assert [isinstance(row, Heading) or (row.host, row.live, row.now) for row in rows][1:] == [("lab", False, None)] * 2


def test_nothing_is_asked_of_a_copy(lab: Lab, original: Path) -> None:
    pulls(lab, "last", "--all")
    before = tree(lab.here / "logs")
    asked = (["stop", "last"], ["kill", "last"], ["resume", "last", "--yes"], ["retry", "last", "--yes"],
             ["hold", "last"], ["release", "last"], ["front", "last"])  # fmt: skip
    for words in asked:
        refused(lab.detui(*words), 1, "is a copy of a run on lab", f"detui --host lab {words[0]} {IDENT}/")
    refused(lab.detui("record", "fill", "last"), 1, "done there", f"detui --host lab record fill {IDENT}")
    for words in (["evaluate", "last/baseline-s0"], ["speed", "last/baseline-s0"]):
        refused(lab.detui(*words), 1, "done there", f"detui --host lab {words[0]} {IDENT}/baseline-s0")
    run = RunDir(lab.here / "logs" / IDENT / "runs" / "no-mosaic-s0")
    for ask in (lambda: request(run, "stop"), lambda: settled(run)):
        with pytest.raises(RunError, match="copy of an experiment on lab"):
            ask()
    assert tree(lab.here / "logs") == before
    # What only reads works: the record, the curves.
    assert lab.detui("record", "show", "last").stdout == "# the record\n"
    assert "train/loss_box" in lab.detui("tail", "last/no-mosaic-s0", "-f", "--json").stdout
    assert lab.detui("rm", "last", "--yes").returncode == 0
    assert original.is_dir() and not (lab.here / "logs" / IDENT).exists()


def test_an_experiment_of_here_is_never_written_over(lab: Lab, original: Path, writer: Writer) -> None:
    own = writer(lab.here / "logs", IDENT, {"baseline-s0": "stopped"})
    before = tree(own)
    refused(lab.detui("pull", "last", "--host", "lab"), 2, "was not pulled", "--to ANOTHER_WORKSPACE")
    assert tree(own) == before


def test_nor_is_a_copy_from_somewhere_else(lab: Lab, original: Path) -> None:
    pulls(lab, "last")
    copy = lab.here / "logs" / IDENT
    write_json(copy / "pulled.json", {**read_json(copy / "pulled.json"), "host": "gpu7", "ssh": "me@gpu7"})
    refused(lab.detui("pull", "last", "--host", "lab"), 2, "pulled from gpu7", "--to ANOTHER_WORKSPACE")


def test_a_copy_is_not_copied(lab: Lab, original: Path) -> None:
    write_json(original / "pulled.json", {"host": "gpu7", "ssh": "me@gpu7", "path": "/x", "at": "2026-11-20T13:45:00Z"})
    refused(lab.detui("pull", "last", "--host", "lab"), 2, "only a copy", f"detui pull {IDENT} --host gpu7")


def test_what_was_written_into_a_record_here_is_kept(lab: Lab, original: Path) -> None:
    pulls(lab, "last")
    copy = lab.here / "logs" / IDENT
    (copy / "record.md").write_text("# the record\n\nmy words\n")
    (original / "record.md").write_text("# the record, later\n")
    wrapper = lab.here / "bin" / "rsync"
    script(wrapper, "exit 12")
    refused(lab.detui("pull", "last", "--host", "lab"), 1, "Not everything was copied")
    assert [path.name for path in copy.glob("record*.md")] == ["record.md"], "nothing came, and nothing was put aside"
    wrapper.unlink()
    (kept,) = pulls(lab, "last")["kept"]
    assert Path(kept).parent == copy and Path(kept).read_text() == "# the record\n\nmy words\n"
    assert (copy / "record.md").read_text() == "# the record, later\n"
    assert pulls(lab, "last")["kept"] == []


def test_a_part_of_an_experiment_is_none(lab: Lab, original: Path) -> None:
    (original / "runs" / "baseline-s0" / "attempts" / "1" / "console.log").write_bytes(os.urandom(1 << 20))
    real = shutil.which("rsync")
    # Slow enough to be cut off in its middle: the first files are there by then.
    script(lab.here / "bin" / "rsync", f'{real} --bwlimit=200 "$@" & sleep 1.5; kill $!; wait $!')
    done = lab.detui("pull", "last", "--host", "lab")
    refused(done, 1, "Not everything was copied from lab", "goes on where it stopped")
    assert json.loads(lab.detui("ls", "--json").stdout) == []
    assert not (lab.here / "logs" / IDENT).exists()
    (lab.here / "bin" / "rsync").unlink()
    pulls(lab, "last")
    assert len(json.loads(lab.detui("ls", "--json").stdout)) == 1


def test_what_is_absent_is_said_with_the_next_step(lab: Lab, original: Path) -> None:
    refused(lab.detui("pull", "nothing", "--host", "lab"), 3, "lab: There is no experiment 'nothing'", "(on lab)")
    refused(lab.detui("pull", "last", "--host", "asleep"), 3, "asleep failed or broke", "Connection refused")
    refused(lab.detui("pull", "last"), 2, "--host user@server")
    lab.configure("hosts:\n  lab: {detui: /nowhere/detui}\n")
    refused(lab.detui("pull", "last", "--host", "lab"), 3, "no program '/nowhere/detui' on lab")


def test_rsync_is_absent_here(lab: Lab, original: Path) -> None:
    done = lab.detui("pull", "last", "--host", "lab", PATH=str(lab.here / "bin"))
    refused(done, 3, "no program `rsync` here", "apt install rsync")


def test_rsync_is_absent_there(lab: Lab, original: Path) -> None:
    """The shell there does not find it: its PATH is another."""
    real = (lab.here / "bin" / "ssh").read_text().splitlines()[1].removesuffix(' "$@"')
    there = f'case "$*" in *--server*) host=$1; shift; {real} "$host" "PATH=/nonexistent;" "$@";; esac'
    script(lab.here / "bin" / "ssh", f'{there}\n{real} "$@"')
    refused(lab.detui("pull", "last", "--host", "lab"), 3, "no program `rsync` on lab")


def test_a_shell_that_talks(lab: Lab, original: Path) -> None:
    script(lab.there / "talks", 'echo Welcome to the lab\nexec "$(dirname "$0")/detui" "$@"')
    lab.configure(f"hosts:\n  lab: {{detui: {json.dumps(str(lab.there / 'talks'), ensure_ascii=False)}}}\n")
    refused(lab.detui("pull", "last", "--host", "lab"), 1, "no JSON, but 'Welcome to the lab'", "start-up files")


@pytest.mark.parametrize(
    "said",
    [
        '[{"experiment": "../x", "path": "/tmp/../x"}]',
        '[{"experiment": ".x", "path": "/.x"}]',
        '[{"experiment": "x", "path": "x"}]',
        "{}",
        "[]",
    ],
)
def test_what_the_other_side_says_is_no_way_out_of_the_workspace(lab: Lab, said: str) -> None:
    script(lab.there / "detui", f"echo '{said}'")
    refused(lab.detui("pull", "last", "--host", "lab"), 1, "is not understood", "detui --host lab version")
    assert not (lab.here / "x").exists() and not (lab.here / "logs").exists()


def test_a_hostile_name_of_an_experiment(lab: Lab, writer: Writer) -> None:
    """A folder that somebody renamed to what shells and rsync would expand."""
    ident = "it's *[a] $HOME;\n`id` 数据-20261120-134500"
    writer(lab.workspace, ident, {"baseline-s0": "finished"})
    writer(lab.workspace, "it's xa other-20261120-134500", {"baseline-s0": "finished"})
    assert pulls(lab, ident)["experiment"] == ident
    assert [path.name for path in (lab.here / "logs").iterdir()] == [ident]
    told = pulled(lab.here / "logs" / ident)
    assert told is not None and told.path == str(lab.workspace / ident)


def test_the_next_step_is_a_command_that_works(lab: Lab, original: Path) -> None:
    """What a refusal says to try, given as it is said, reaches the run where it is."""
    pulls(lab, "last")
    said = lab.detui("stop", "last/no-mosaic-s0").stderr
    command = next(line for line in said.splitlines() if "work there: " in line).split("work there: ")[1]
    done = subprocess.run(
        [lab.command()[0], *command.split()[1:]], capture_output=True, text=True, env=dict(lab.environ), cwd=lab.here
    )
    assert done.returncode == 0, done.stderr
    assert read_json(original / "runs" / "no-mosaic-s0" / "control" / "stop")["uid"] == os.getuid()


def test_one_login_for_all_that_follows(lab: Lab, original: Path, tmp_path: Path) -> None:
    """A connection that ssh keeps open in the background (ControlPersist) holds up nobody who waits for an answer."""
    sockets = Path(tempfile.mkdtemp(prefix="ssh-", dir="/tmp"))  # a socket's path may have a hundred bytes
    options = f"-o ControlMaster=auto -o ControlPath={sockets}/s -o ControlPersist=60"
    wrapper = lab.here / "bin" / "ssh"
    script(wrapper, wrapper.read_text().split("\n", 1)[1].replace(' "$@"', f' {options} "$@"').strip())
    try:
        assert pulls(lab, "last")["files"] > 10
        assert (sockets / "s").exists()
        assert pulls(lab, "last")["files"] == 0
    finally:
        subprocess.run([wrapper, "-O", "exit", "lab"], capture_output=True, check=False)
        shutil.rmtree(sockets)


def test_a_branch_of_a_copy_says_where_its_checkpoints_are(lab: Lab, original: Path) -> None:
    pulls(lab, "last")
    done = lab.detui("branch", "last/no-mosaic-s0", "--set", "train.epochs=400", "--plan")
    refused(done, 1, "copy of an experiment on lab", f"detui --host lab branch {IDENT}/no-mosaic-s0 --at last")


def on_a_terminal(lab: Lab) -> Terminal:
    environ = {**lab.environ, "TERM": "xterm-256color"}
    return Terminal(lab.command("pull", "last", "--host", "lab"), environ, (100, 24))


def test_what_comes_is_shown_on_a_terminal(lab: Lab, original: Path) -> None:
    (original / "runs" / "baseline-s0" / "attempts" / "1" / "console.log").write_bytes(b"x" * 3_000_000)
    screen = Terminal(
        lab.command("pull", "last", "--host", "lab"), {**lab.environ, "TERM": "xterm-256color"}, (100, 24)
    )
    try:
        assert screen.end(60) == 0
        assert "2.9 MiB  runs/baseline-s0/attempts/1/console.log" in plain(screen.seen)
        assert "console.log" not in screen.text(), "the line is gone when all is there"
    finally:
        screen.close()


def test_ctrl_c_leaves_what_came_for_the_next_time(lab: Lab, original: Path) -> None:
    (original / "runs" / "baseline-s0" / "attempts" / "1" / "console.log").write_bytes(os.urandom(1 << 20))
    wrapper = lab.here / "bin" / "rsync"
    script(wrapper, f'exec {shutil.which("rsync")} --bwlimit=100 "$@"')
    screen = Terminal(
        lab.command("pull", "last", "--host", "lab"), {**lab.environ, "TERM": "xterm-256color"}, (100, 24)
    )
    try:
        screen.until("console.log")
        screen.press("\x03")
        assert screen.end(60) == 130
    finally:
        screen.close()
    assert json.loads(lab.detui("ls", "--json").stdout) == []
    wrapper.unlink()
    assert Path(pulls(lab, "last")["path"]) == lab.here / "logs" / IDENT
    assert [path.name for path in (lab.here / "logs").iterdir()] == [IDENT]


def test_a_copy_among_several_runs_is_no_answer_for_the_others(tmp_path: Path) -> None:
    """What is asked of the queue is asked of the runs of this host; where there are copies alone, it says where."""
    copy, own = (RunDir.create(tmp_path / name / "runs" / "baseline-s0", toy_spec()) for name in ("copied", "own"))
    Pulled(host="lab", ssh="me@server", path="/logs/copied", at=now()).write(copy.experiment_dir)
    told = _queue("2 runs", [copy, own], "hold")
    assert isinstance(told, Told) and "lab" not in told.text and told.text.count("baseline-s0") == 1
    alone = _queue("baseline-s0", [copy], "hold")
    assert isinstance(alone, Told) and "detui --host lab hold copied/baseline-s0" in alone.text
