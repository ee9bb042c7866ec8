"""Every command from outside: what it prints where, and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Detui = Callable[..., "subprocess.CompletedProcess[str]"]


def fails(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """A clear message on stderr in four lines at most, nothing on stdout, the exit code."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("detui: error: ")
    assert len(done.stderr.splitlines()) <= 4
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["lss"], 2, "Did you mean 'ls'?"),
        (["show", "starter/mosaik"], 2, "starter/mosaic"),
        (["show"], 2, "detui recipes"),
        (["show", "starter/mosaic", "--seeds", "a"], 2, "not a list of seeds"),
        (["show", "starter/mosaic", "--arm", "basline"], 2, "baseline"),
        (["show", "starter/mosaic", "--profile", "quik"], 2, "quick"),
        (["show", "starter/mosaic", "--set", "train.lr=1"], 2, "train.lr"),
        (["show", "starter/mosaic", "--devices", "gpu"], 2, "gpu"),
        (["show", "starter/mosaic", "--speed"], 2, "--models"),
        (["run", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["ls", "--limit", "x"], 2, "not a valid integer"),
        (["tail", "nothing"], 3, "nothing"),
        (["stop", "nothing"], 3, "nothing"),
        (["kill", "nothing"], 3, "nothing"),
        (["resume", "nothing"], 3, "nothing"),
        (["retry", "nothing"], 3, "nothing"),
        (["retry"], 2, "RUN|EXPERIMENT"),
        (["rm", "nothing"], 3, "nothing"),
        (["rm", "last"], 2, "--yes"),
        (["rm", "last/baseline-s0"], 2, "detui gc"),
        (["gc", "nothing"], 3, "nothing"),
        (["gc", "--keep", "bset"], 2, "best, last, milestones, all"),
        (["stop"], 2, "RUN|EXPERIMENT"),
        (["completion", "tcsh"], 2, "bash"),
        (["--nonsense"], 2, "--nonsense"),
    ],
)
def test_wrong_use_is_said_in_a_few_lines(
    detui: Detui, written: Path, arguments: list[str], code: int, part: str
) -> None:
    fails(detui(*arguments), code, part)


def test_recipes_are_listed_with_their_question(detui: Detui) -> None:
    assert "Does mosaic augmentation raise the AP" in detui("recipes").stdout
    found = json.loads(detui("recipes", "--json").stdout)
    assert "starter/mosaic" in [recipe["ref"] for recipe in found]


def test_show_is_a_page_and_starts_nothing(detui: Detui, workspace: Path) -> None:
    page = detui("show", "mosaic", "--profile", "quick").stdout
    for part in (
        "Question",
        "no-mosaic",
        "augment.mosaic",
        "2 arms × 2 seeds (0, 1)",
        "Data",
        "detui run starter/mosaic",
    ):
        assert part in page
    assert list(workspace.iterdir()) == []


def test_the_plan_names_every_value_and_its_source(detui: Detui) -> None:
    plan = detui("show", "mosaic", "--plan", "--set", "train.lr0=0.0005", "--devices", "cpu").stdout
    line = next(line for line in plan.splitlines() if line.split()[:1] == ["train.lr0"])
    assert line.split()[1] == "0.0005"
    assert "--set train.lr0=0.0005" in line
    assert "mosaic.yaml:" in plan
    assert "default of the ultralytics backend" in plan
    assert "no-mosaic-s2" in plan


def test_show_speaks_json_and_schema(detui: Detui) -> None:
    assert json.loads(detui("show", "mosaic", "--json").stdout)["recipe"] == "starter/mosaic"
    assert "varies" in json.loads(detui("show", "--schema").stdout)["properties"]


def test_ls_lists_runs_with_their_numbers(detui: Detui, written: Path) -> None:
    done = detui("ls")
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if "no-mosaic-s0" in line)
    assert line.split()[:2] == ["S", "stopped"]
    assert "12/24" in line
    assert "12.0" in line
    found = json.loads(detui("ls", "--json").stdout)
    assert [run["state"] for run in found[0]["runs"]] == ["finished", "stopped"]
    assert found[0]["runs"][0]["val/AP"] == pytest.approx(0.12)
    assert json.loads(detui("ls", "--active", "--json").stdout) == []


def test_ls_of_nothing_says_what_to_do(detui: Detui) -> None:
    done = detui("ls")
    assert (done.returncode, done.stdout) == (0, "")
    assert "detui recipes" in done.stderr


def test_ls_shows_a_broken_run_and_the_others(detui: Detui, written: Path) -> None:
    (written / "runs/baseline-s0/spec.json").write_text('{"schema": 1, ')
    done = detui("ls")
    assert done.returncode == 0
    assert "broken" in done.stdout
    assert "stopped" in done.stdout


def test_ls_shows_an_experiment_of_a_newer_detui(detui: Detui, written: Path) -> None:
    (written / "runs/baseline-s0/spec.json").write_text('{"schema": 99}')
    assert "format 99" in detui("ls").stdout


def test_tail_prints_what_was_measured(detui: Detui, written: Path) -> None:
    done = detui("tail", f"{written.name}/baseline-s0", "-n", "400")
    assert "epoch 12" in done.stdout
    assert "AP 12.0" in done.stdout
    assert "  lr/all 0." in done.stdout, "a rate is told as one"
    assert "end" in done.stdout
    log = detui("tail", "baseline-s0", "--log", "-n", "3").stdout.splitlines()
    assert log[-1] == "epoch 12: loss [0.083]"
    assert len(log) == 3
    lines = [json.loads(line) for line in detui("tail", "baseline-s0", "--json").stdout.splitlines()]
    assert lines[0]["kind"] == "begin"


def test_the_log_is_printed_without_escapes(detui: Detui, written: Path) -> None:
    assert detui("tail", "baseline-s0", "--log").stdout.splitlines()[0] == "loading model"


def test_what_has_ended_cannot_be_stopped(detui: Detui, written: Path) -> None:
    done = detui("stop", written.name)
    assert done.returncode == 1
    assert "has ended already: finished" in done.stderr
    assert detui("kill", "baseline-s0", "--yes").returncode == 1
    assert "is finished" in detui("resume", "baseline-s0").stderr


def test_version_and_configuration_are_data(detui: Detui) -> None:
    assert set(json.loads(detui("version", "--json").stdout)) >= {"detui", "python", "numpy"}
    shown = json.loads(detui("config", "show", "--json").stdout)
    assert shown["workspace"]["source"] == "--workspace"


def test_doctor_says_what_is_here(detui: Detui, workspace: Path) -> None:
    done = detui("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["python"]["state"] == "ok"
    assert "pidfd" in checks["processes"]["found"]
    assert str(workspace) in checks["workspace"]["found"]
    assert checks["env nuscenes"]["state"] == "note" and checks["env nuscenes"]["hint"] == "detui env create nuscenes"
    if checks["torch"]["state"] == "ok":
        assert "on cpu" in checks["numbers detui"]["found"], "what torch computes was tested"
    absent = any(check["state"] == "absent" for check in checks.values())
    assert done.returncode == (3 if absent else 0)


def test_doctor_says_whose_operators_mmdetection_gets(detui: Detui, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "detui"
    folder.mkdir(parents=True)
    package = tmp_path / "made" / "lib" / "python3.11" / "site-packages" / "mmcv"
    package.mkdir(parents=True)
    python = tmp_path / "made" / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    (folder / "config.yaml").write_text(f"environments: {{mmdet: '{python}'}}\n")

    def said() -> str:
        checks = {check["name"]: check for check in json.loads(detui("doctor", "--json").stdout)}
        return str(checks["env mmdet ops"]["found"])

    assert "no compiled operators" in said()
    (package / "_ext.cpython-311-x86_64-linux-gnu.so").touch()
    assert said().startswith("MMCV has compiled operators")


def test_doctor_goes_on_past_a_broken_configuration(detui: Detui, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "detui"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("workspce: here\n")
    done = detui("doctor")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("!!  configuration")]
    assert lines and "config.yaml:1" in lines[0] and "'workspce'" in lines[0]
    assert "python" in done.stdout and "logout" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_doctor_finds_a_workspace_that_cannot_be_written(detui: Detui, workspace: Path) -> None:
    workspace.chmod(0o500)
    assert detui("doctor").returncode == 3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(detui: Detui, shell: str) -> None:
    assert "_DETUI_COMPLETE" in detui("completion", shell).stdout


def test_completion_knows_recipes_and_runs(written: Path, workspace: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from detui.tui.main import application

    def complete(*words: str) -> list[str]:
        typed = ["detui", "--workspace", str(workspace), *words]
        env = {"_DETUI_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
        done = CliRunner().invoke(application, prog_name="detui", env=env)
        return [line.split(",", 1)[1] for line in done.stdout.splitlines()]

    assert complete("show", "starter/mos") == ["starter/mosaic"]
    assert complete("tail", f"{written.name}/no") == [f"{written.name}/no-mosaic-s0"]
    assert written.name in complete("stop", "star")


def test_help_and_commands_say_the_same(detui: Detui) -> None:
    from importlib import import_module

    from detui.tui.main import COMMANDS

    for name, summary in COMMANDS.items():
        command = import_module(f"detui.tui.commands.{name}").command
        assert command.get_short_help_str(200) == summary, name


def test_without_a_terminal_the_list_is_printed(detui: Detui, written: Path) -> None:
    done = detui()
    assert done.returncode == 0
    assert "baseline-s0" in done.stdout
    assert "this is not a terminal" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_reader_that_leaves_is_no_error(workspace: Path, written: Path, tmp_path: Path) -> None:
    executable = Path(sys.executable).with_name("detui")
    command = f"'{executable}' --workspace '{workspace}' show mosaic --plan | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_crash_goes_into_a_file(tmp_path: Path) -> None:
    code = "import sys; from detui.tui import crash; crash.install(debug=False); sys.argv = ['detui', 'x']; 1 / 0"
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert "ZeroDivisionError" in lines[0]
    file = next((tmp_path / ".cache/detui").glob("crash-*.txt"))
    assert str(file) in lines[1]
    assert "Traceback" in file.read_text()


def test_a_kill_is_never_done_unasked(tmp_path: Path) -> None:
    """Without a terminal and without --yes: refused, with the way to mean it."""
    from detui.engine.errors import UsageError
    from detui.tui.requests import confirm

    assert not sys.stdin.isatty()
    with pytest.raises(UsageError, match="no terminal to ask on") as caught:
        confirm("Kill a-s0? It is lost.", False, grave="it is lost")
    assert "--yes" in str(caught.value.hint)
    confirm("Kill a-s0? It is lost.", True, grave="it is lost")
