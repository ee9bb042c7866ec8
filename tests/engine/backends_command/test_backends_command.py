"""Any program as a backend: its output becomes metrics, a stop reaches it, its failure is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.backends.base import CheckContext
from detui.engine.backends.command.placeholders import fill, unknown_placeholders
from detui.engine.backends.command.plan import CommandBackend, CommandConfig
from detui.engine.closed import validate
from detui.engine.errors import RecipeError
from detui.engine.process.control import request, supervised, wait
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines

PRELUDE = "import json, os, signal, sys, time\nsay = lambda **line: print(json.dumps(line), flush=True)\n"


def run_program(make_run: MakeRun, code: str, *arguments: str, **changes: Any) -> RunDir:
    command = ["{python}", "-c", PRELUDE + code, *arguments]
    config = CommandConfig(command=command, epochs=4, **changes).model_dump(mode="json")
    return make_run(config, trainer=CommandBackend.trainer, backend="command")


def outcome(run: RunDir) -> Any:
    launch(run)
    state = wait([run], 30)[0].state
    until(lambda: not supervised(run))
    return state


def test_json_lines_become_metrics(make_run: MakeRun) -> None:
    code = """
print('talk', {'kind': 'step'})
say(kind='step', step=1, epoch=1, values={'train/loss': 1.5, 'lr/all': float('nan')})
print('{"kind": "step", "step": 2, "epoch": 1, "val'); print('not json {')
say(kind='epoch', epoch=1, step=2, values={'train/loss': 1.25}, seconds=0.1)
say(kind='checkpoint', path='last.pt', step=2, epoch=1, resumable=True)
open('predictions/p.json', 'w').write('[]')
say(kind='evaluation', epoch=1, step=2, split='val', path='predictions/p.json')
say(kind='begin', model={'name': 'mine', 'parameters': 5})
say(kind='step', epoch=1)
say(kind='unknown', x=1)
print('no newline at the end', end='')
"""
    run = run_program(make_run, code)
    assert outcome(run).word == "finished"
    history = load_history(run)
    assert history.series("train/loss") == ([1], [1.5])
    assert history.epoch_series("train/loss") == ([1], [1.25])
    assert [line["path"] for line in history.checkpoints] == ["last.pt"]
    assert [line["path"] for line in history.dumps] == ["predictions/p.json"]
    assert history.begin is not None and history.begin["model"] == {"name": "mine", "parameters": 5}
    assert [alarm["name"] for alarm in history.alarms] == ["nan", "output"]
    console = run.attempt(1).console_path.read_bytes()
    assert console.startswith(b"talk {'kind': 'step'}\n") and console.endswith(b"no newline at the end")


def test_expressions_find_metrics(make_run: MakeRun) -> None:
    number = r"(?P<value>[-+.0-9eEna]+)"
    metrics = {
        "train/loss": rf"epoch (?P<epoch>\d+) it (?P<step>\d+) loss {number}",
        "lr/all": rf"lr={number}",
    }
    code = """
for i in range(1, 4):
    print(f'epoch {i} it {10 * i} loss {1 / i:.3e} lr={0.1 ** i}', end='\\r', flush=True)
print('lr=nan'); sys.stderr.write('epoch 4 it 40 loss 0.5\\n')
"""
    run = run_program(make_run, code, watch={"format": "printed", "metrics": metrics})
    assert outcome(run).word == "finished"
    history = load_history(run)
    steps, values = history.series("train/loss")
    assert steps == [10, 20, 30, 40] and values == pytest.approx([1.0, 0.5, 0.3333, 0.5], rel=1e-3)
    assert history.series("lr/all")[0] == [10, 20, 30, 31]
    assert [line["epoch"] for line in history.steps] == [1, 2, 3, 3, 4]


def test_placeholders_environment_and_settings(make_run: MakeRun) -> None:
    code = """
json.dump([sys.argv[1:], os.environ['MINE'], os.environ['DETUI_RESUME'], os.getcwd()], open('seen.json', 'w'))
"""
    arguments = ("{seed}", "{arm}", "{device}", "{attempt}", "{out}", "{config}", "{resume}", '{"a": {}}', "{x}")
    run = run_program(make_run, code, *arguments, env={"MINE": "s{seed}"}, train={"lr": 0.5})
    assert outcome(run).word == "finished"
    out = run.attempt(1).path.resolve()
    words, mine, resume, folder = json.loads((out / "seen.json").read_text())
    assert words == ["0", "baseline", "cpu", "1", str(out), str(out / "config.json"), "", '{"a": {}}', "{x}"]
    assert (mine, resume, folder) == ("s0", "", str(out))
    settings = json.loads((out / "config.json").read_text())
    assert (settings["train"], settings["seed"], settings["epochs"]) == ({"lr": 0.5}, 0, 4)


def test_a_failure_is_told_with_the_last_words(make_run: MakeRun) -> None:
    run = run_program(make_run, "print('fine'); sys.stderr.write('the disk is on fire\\n'); sys.exit(7)")
    state = outcome(run)
    assert (state.word, state.code) == ("failed", 1)
    assert "exited with code 7; the last it said: the disk is on fire" in state.reason
    assert "Traceback" not in run.attempt(1).console_path.read_text()


def test_a_crash_of_the_program_is_named(make_run: MakeRun) -> None:
    state = outcome(run_program(make_run, "os.kill(os.getpid(), signal.SIGSEGV)"))
    assert state.word == "failed" and "was ended by SIGSEGV" in state.reason


def test_a_stop_reaches_the_program_and_a_resume_its_checkpoint(make_run: MakeRun) -> None:
    code = """
start = int(open(sys.argv[1]).read()) if sys.argv[1] else 0
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
for step in range(start + 1, 21):
    time.sleep(0.05)
    say(kind='step', step=step, epoch=(step - 1) // 5 + 1, values={'train/loss': 1 / step})
    if step % 5 == 0:
        say(kind='epoch', epoch=step // 5, step=step)
    if asked:
        open('checkpoints/last', 'w').write(str(step))
        say(kind='checkpoint', path='checkpoints/last', step=step, epoch=step // 5, resumable=True)
        sys.exit(0)
"""
    run = run_program(make_run, code, "{resume}")
    launch(run)
    until(lambda: steps_made(run) >= 3)
    request(run, "stop")
    assert wait([run], 30)[0].state.word == "stopped"
    stopped_at = steps_made(run)
    assert 3 <= stopped_at < 20
    launch(run, resume=True)
    assert wait([run], 30)[0].state.word == "finished"
    assert load_history(run).series("train/loss")[0] == list(range(1, 21))
    begin = next(line for line in read_lines(run.attempt(2).metrics_path) if line["kind"] == "begin")
    assert begin["resumed_from_step"] == stopped_at


def test_a_grandchild_that_keeps_the_pipe_open_does_not_hold_the_run(make_run: MakeRun) -> None:
    run = run_program(make_run, "import subprocess; subprocess.Popen(['sleep', '600']); print('bye')")
    assert outcome(run).word == "finished"
    assert (run.attempt(1).exit() or {})["stragglers_killed"] == 1


def check(**changes: Any) -> list[tuple[str, str | None, bool]]:
    config = CommandConfig(**{"command": [sys.executable], **changes}).model_dump(mode="json")
    context = CheckContext(arm="a", config=config, device="cpu", train_images=None)
    return [(problem.level, problem.hint, problem.missing) for problem in CommandBackend().check(context)]


def test_what_is_wrong_is_found_before_the_start() -> None:
    assert check() == [] and check(command=["{python}", "x.py"]) == []
    assert check(command=["no-such-program"]) == [("error", "install it, or write its absolute path", True)]
    assert check(command=["./train.sh"]) == [("error", "write the absolute path", False)]
    assert check(command=[sys.executable, "{sead}"]) == [("warning", "{seed}", False)]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"command": "python train.py"}, "list"),
        ({"command": []}, "at least 1 item"),
        ({"epochs": 3}, "command is missing"),
        ({"command": ["true"], "comand": []}, "no such field"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any], text: str) -> None:
    with pytest.raises(RecipeError, match=text):
        validate(CommandConfig, config, lambda keys: ".".join(map(str, keys)))


def test_only_known_braces_are_filled() -> None:
    assert fill('{"seed": {seed}} {} {Seed} {seed', {"seed": "3"}) == '{"seed": 3} {} {Seed} {seed'
    assert unknown_placeholders("{seed} {sed} {A} {}") == ["sed"]


def test_the_training_half_imports_the_standard_library_alone(tmp_path: Path, repository: Path) -> None:
    import subprocess

    engine = tmp_path / "detui" / "engine"
    (engine / "backends").mkdir(parents=True)
    for name in ("run", "worker", "errors.py", "backends/command"):
        (engine / name).symlink_to(repository / "engine" / name)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import detui.engine.backends.command.train"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
