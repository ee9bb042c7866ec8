"""A supervisor that died is replaced by whoever looks next; what the worker did meanwhile is not lost."""

from __future__ import annotations

import os
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from second_user import as_second_user, open_way_to
from toy_runs import MakeRun, steps_made, until

from detui.engine.errors import RunError
from detui.engine.process.control import request, status, supervised, wait
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.launch import adopt, launch
from detui.engine.process.lease import take
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.state import State
from detui.tui.glance import read_status


def orphaned(run: RunDir) -> Identity:
    """Launch a run, kill its supervisor while it trains, and return who the worker is."""
    launch(run)
    until(lambda: steps_made(run) >= 2 and status(run).state.word == "running")
    owner, worker = Identity.from_json(run.owner()), Identity.from_json(run.attempt(1).worker())
    assert owner is not None and worker is not None and owner.signal(signal.SIGKILL)
    until(lambda: not owner.alive())
    assert status(run).notes == ("orphaned",)
    return worker


def ended(run: RunDir) -> State:
    state = wait([run], 30)[0].state
    until(lambda: not supervised(run))
    assert state.terminal and tagged(run.path.resolve()) == []
    free = take("cpu:0", "test")
    assert free is not None, "the device is free again"
    free.release()
    return state


def words(run: RunDir) -> list[str]:
    return [line["state"] for line in read_lines(run.events_path)]


@pytest.mark.fault("detui looks at a run whose supervisor died", "adopted: it ends as if nothing had been")
def test_an_adopted_run_ends_as_if_nothing_had_been(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.15})
    orphaned(run)
    time.sleep(0.3)  # nobody watches it
    assert adopt(run) and status(run).notes == ()
    assert take("cpu:0", "test") is None, "the worker holds its device all the while"
    assert ended(run).word == "finished"
    assert words(run) == ["queued", "starting", "running", "adopted", "finished"]
    assert (run.attempt(1).exit() or {})["state"] == "finished"
    history = load_history(run)
    assert history.series("train/loss_toy")[0] == list(range(1, 21)) and history.damaged == 0
    times = [line["t"] for line in read_lines(run.attempt(1).telemetry_path)]
    assert len(times) >= 2 and times == sorted(times), "both supervisors count from the worker's own zero"


@pytest.mark.parametrize(("what", "word"), [("stop", "stopped"), ("kill", "killed")])
def test_what_is_asked_of_an_adopted_run_is_done(make_run: MakeRun, what: str, word: str) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000})
    orphaned(run)
    assert adopt(run)
    request(run, what)
    assert ended(run).word == word
    launch(run, resume=True)
    until(lambda: len(run.attempts()) == 2 and steps_made(run) > 0)
    request(run, "kill")
    ended(run)


def test_an_adopted_worker_that_ignores_the_stop_is_killed(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000, "at": "ignore-term", "when": 1})
    orphaned(run)
    assert adopt(run)
    request(run, "stop")
    state = ended(run)
    assert (state.word, getattr(state, "reason", None)) == ("killed", "it did not stop within 1 s")


@pytest.mark.fault("kill -9 of an adopted worker", "`lost`: nobody could see its exit")
def test_an_end_that_nobody_could_see_is_lost(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000})
    worker = orphaned(run)
    assert adopt(run)
    assert worker.signal(signal.SIGKILL)
    state = ended(run)
    assert state.word == "lost" and "nobody saw its exit" in str(getattr(state, "reason", ""))
    assert (run.attempt(1).exit() or {})["code"] is None


def test_a_failure_is_told_by_the_worker_itself(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "at": "data-error", "when": 12})
    orphaned(run)
    assert adopt(run)
    state = ended(run)
    assert state.word == "failed" and "A label lies outside its picture" in str(getattr(state, "reason", ""))


def test_looking_adopts_and_all_who_look_at_once_agree(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000})
    orphaned(run)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_status(run), range(4)))
    assert {state.word for state, _ in found} == {"running"}
    assert words(run).count("adopted") == 1 and status(run).notes == ()
    request(run, "kill")
    ended(run)


def test_a_second_orphaning(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000})
    orphaned(run)
    assert adopt(run)
    successor = Identity.from_json(run.owner())
    assert successor is not None and successor.signal(signal.SIGKILL)
    until(lambda: status(run).notes == ("orphaned",))
    assert adopt(run)
    assert words(run) == ["queued", "starting", "running", "adopted", "adopted"]
    request(run, "stop")
    assert ended(run).word == "stopped"


def test_a_supervisor_that_died_before_it_said_whom_it_started(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000})
    worker = orphaned(run)
    (run.attempt(1).path / "worker.json").unlink()
    assert status(run).notes == ("orphaned",) and adopt(run)
    until(lambda: Identity.from_json(run.attempt(1).worker()) == worker)
    request(run, "kill")
    assert ended(run).word == "killed"


def test_nothing_to_adopt(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05})
    assert not adopt(run), "it was never started"
    launch(run)
    until(lambda: steps_made(run) >= 1)
    assert not adopt(run), "it has a supervisor"
    assert ended(run).word == "finished"
    assert not adopt(run) and "adopted" not in words(run)


def test_what_a_run_writes_is_private(make_run: MakeRun) -> None:
    before = os.umask(0o022)
    try:
        run = make_run({"seconds": 0.01})
        launch(run)
    finally:
        os.umask(before)
    ended(run)
    written = [path for path in run.attempt(1).path.rglob("*") if not path.is_symlink()]
    assert len(written) > 5
    assert [path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as a second user")


@pytest.mark.fault("a request put there by another user", "refused, removed and logged")
@needs_root
def test_a_request_of_another_user_is_refused_by_the_supervisor(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000})
    launch(run)
    until(lambda: steps_made(run) >= 2)
    request_file = run.control_dir / "made by somebody else"
    write_json(request_file, {})
    os.chown(request_file, 54321, 54321)
    request_file.rename(run.control_dir / "kill")
    until(lambda: not (run.control_dir / "kill").exists())
    assert "refused the request 'kill' of user 54321" in run.supervisor_log.read_text()
    assert not status(run).state.terminal, "the run goes on"
    request(run, "stop")
    assert ended(run).word == "stopped"


@needs_root
def test_asking_somebody_elses_run_names_its_owner(make_run: MakeRun) -> None:
    run = make_run()
    open_way_to(run.path)

    def ask() -> None:
        with pytest.raises(RunError, match="belongs to root") as told:
            request(run, "stop")
        assert "ask root" in str(told.value.hint)

    child = as_second_user(ask)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
