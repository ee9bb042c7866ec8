"""The screen of devices: GPUs through the real nvidia-ml-py and a compiled stand-in, and a queue that really waits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pilots import LARGE, SMALL, WIDE, play, shows, text, until
from textual.pilot import Pilot
from toy_runs import MakeRun, leases, make_run  # noqa: F401

from detui.engine.process.control import status
from detui.engine.process.launch import launch
from detui.engine.process.lease import Lease, take
from detui.engine.process.places import HOLD, REASON
from detui.engine.process.queue import Queue
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.spec import DeviceRequest
from detui.tui import queueing
from detui.tui.app import DetuiApp
from detui.tui.keys import DEVICES
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.screens.devices import DevicesScreen
from detui.tui.screens.run import RunScreen
from detui.tui.widgets.line_list import LineList

WORKERS = Path(__file__).resolve().parents[1] / "workers"
CPU = DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",))
GIB = 1 << 30
Played = Callable[..., str]


def uuid(index: int) -> str:
    return f"GPU-{index:08d}-0000-0000-0000-000000000000"


def answers() -> str:
    """Eight GPUs: 0 and 1 with runs, 3 divided, 4 silent about its memory, 5 lost, 6 full with somebody else's work."""
    lines = ["count=8"]
    for index in range(8):
        lines += [f"gpu{index}.uuid={uuid(index)}", f"gpu{index}.name=NVIDIA A100-SXM4-80GB"]
        lines += [f"gpu{index}.total={80 * GIB}", f"gpu{index}.used={index * GIB // 2}", f"gpu{index}.util=87"]
        lines += [f"gpu{index}.power=321500", f"gpu{index}.temp=6{index}"]
    lines += ["gpu3.mig=1", "gpu3.mig1.uuid=MIG-1e5d0000", "gpu3.mig1.name=NVIDIA A100 MIG 3g.40gb"]
    lines += [f"gpu3.mig1.total={40 * GIB}", f"gpu3.mig1.used={3 * GIB}"]
    lines += ["gpu4.fail.nvmlDeviceGetMemoryInfo=4", "gpu4.fail.nvmlDeviceGetMemoryInfo_v2=4", "gpu5.fail=15"]
    lines += [f"gpu6.used={79 * GIB}", f"gpu6.procs={os.getpid()}:{70 * GIB},999999:NA"]
    return "\n".join(lines) + "\n"


@pytest.fixture
def played(library: Path, tmp_path: Path, leases: Path, workspace: Path) -> Played:  # noqa: F811
    """Play one of tests/workers/device_scripts.py on a machine with eight GPUs; return what it prints."""
    path = tmp_path / "answers"
    path.write_text(answers())

    def run(script: str, size: tuple[int, int], *more: str, **environ: str) -> str:
        words = [sys.executable, str(WORKERS / "device_scripts.py"), script, str(workspace), *map(str, size), *more]
        known = {**os.environ, "LD_LIBRARY_PATH": str(library), "NVML_STAND_IN": str(path), "DETUI_CPU_SLOTS": "3"}
        known.pop("CUDA_VISIBLE_DEVICES", None)
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, env={**known, **environ}, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture
def taken(written: Path, leases: Path) -> Iterator[None]:  # noqa: F811
    """Two GPUs and a slot have runs."""
    holders = {uuid(0): "baseline-s0", uuid(1): "no-mosaic-s0", "cpu:1": "no-mosaic-s0"}
    kept = [take(resource, str(written / "runs" / run)) for resource, run in holders.items()]
    yield
    for lease in kept:
        assert lease is not None
        lease.release()


@pytest.mark.parametrize("size", [(60, 16), SMALL, LARGE, WIDE])
def test_every_gpu_and_who_is_on_it(played: Played, taken: None, size: tuple[int, int]) -> None:
    seen = played("everything", size)
    lines = [line.rstrip("▁▂▃▄▅▆▇█ ") for line in seen.splitlines()]  # the scroll bar touches the last column

    def gpu(index: int) -> str:
        return next(line for line in lines if line[1:].startswith(f"  {index} "))

    assert "0.5/80.0 GiB" in gpu(1) and "87 %" in gpu(1) and "322 W" in gpu(1) and "61 °C" in gpu(1)
    assert "baseline-s0" in seen and "no-mosaic-s0" in seen and "F finished" in seen and "12/24" in seen
    assert "MIG-1e5d" in gpu(3) and "3.0/40.0 GiB" in gpu(3) and gpu(3).split()[-3:] == ["–", "–", "–"]
    assert gpu(4).split()[-6:] == ["87", "%", "322", "W", "64", "°C"] and "0.0" not in gpu(4)
    assert "memory: Insufficient Permissions" in seen
    assert gpu(5).split()[-4:] == ["–"] * 4 and "! GPU is lost" in seen
    assert "79.0/80.0 GiB" in gpu(6) and "70.0 GiB" in seen and f"pid {os.getpid()}" in seen
    assert "pid 999999" in seen and "free" in seen
    assert "1 of 3 slots in use" in seen and "cpu:1" in seen and "nobody waits" in seen
    assert "load" in seen or size[0] < 72
    # Two with runs, one with a process, two whose memory somebody holds who is not to be seen.
    assert "5/8 GPUs in use" in seen or size[0] < 120
    assert "disk free" in seen


def test_without_unicode(played: Played, taken: None) -> None:
    seen = played("everything", LARGE, "ascii")
    assert "####" in seen and not any(block in seen for block in "▁▂▃▄▅▇█▏▎▍")


def test_only_what_changed_is_drawn_and_a_gpu_may_get_lost(played: Played) -> None:
    played("moving", LARGE)


def test_the_run_on_a_gpu_is_opened(played: Played, taken: None) -> None:
    played("opening", SMALL)


def test_a_driver_that_fails_is_named(played: Played, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("fail.nvmlInit=18\n")
    seen = played("everything", SMALL)
    assert "none: " in seen and "version mismatch" in seen and "no GPU, 0 waiting" in seen
    assert "0 of 3 slots in use" in seen and "CPU" in seen and "nobody waits" in seen
    (tmp_path / "answers").write_text("count=0\n")
    assert "none: the driver lists none" in played("everything", SMALL)


@pytest.fixture
def hostile_path(tmp_path: Path) -> Path:
    """One path that has everything a path can have, instead of two."""
    folder = tmp_path / "space 'quote\" 数据"
    folder.mkdir()
    return folder


@pytest.fixture
def waiting(make_run: MakeRun, leases: Path) -> Iterator[list[RunDir]]:  # noqa: F811
    """Four runs whose supervisors really wait for a device, which somebody has."""
    lease = take("cpu:0", "somebody else")
    assert isinstance(lease, Lease)
    runs = [make_run(seed=seed, device=CPU) for seed in range(4)]
    for run in runs:
        launch(run)
    yield runs
    lease.release()


async def told(app: DetuiApp, pilot: Pilot[int], part: str) -> None:
    """Wait until a person is told this: the tests' application shows no toasts."""
    await until(pilot, lambda: any(part in notice.message for notice in app._notifications))


def order() -> list[str]:
    return [Path(one.want.run).name for one in Queue().waiters()]


@pytest.mark.slow
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_every_key_on_runs_that_wait(workspace: Path, waiting: list[RunDir], size: tuple[int, int]) -> None:
    a, b, c, d = (run.name for run in waiting)
    pressed: set[str] = set()

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        async def press(*keys: str) -> None:
            pressed.update(keys)
            await pilot.press(*keys)

        await press("4")
        await shows(app, pilot, a, d, "4 waiting", "1 of 1 slots", "<1m")
        screen = app.screen
        assert isinstance(screen, DevicesScreen)

        def selected() -> str:
            return screen.selected.name if screen.selected else ""

        await press("g")
        assert selected() == a
        await press("greater_than_sign")
        await until(pilot, lambda: order() == [b, a, c, d])
        await until(pilot, lambda: text(app).index(b) < text(app).index(a))
        assert selected() == a, "the cursor stays on its run"
        await press("less_than_sign")
        await until(pilot, lambda: order() == [a, b, c, d])
        await press("less_than_sign")
        await told(app, pilot, "before the others already")
        await press("j", "h")
        await until(pilot, lambda: (waiting[1].control_dir / HOLD).exists())
        await shows(app, pilot, "1 held")
        await press("h")
        await until(pilot, lambda: not (waiting[1].control_dir / HOLD).exists())
        await press("end", "k", "F")
        await until(pilot, lambda: order() == [c, a, b, d])
        await press("y")
        assert app.clipboard == f"{waiting[2].experiment_dir.name}/{c}"
        await press("enter")
        assert isinstance(app.screen, RunScreen)
        await press("q", "X")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await shows(app, pilot, c, "Kill")
        await pilot.press("n")
        await press("X")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: status(waiting[2]).state.word == "killed")
        await until(pilot, lambda: order() == [a, b, d] and f"/{c}" not in text(app))
        await press("G")
        assert selected() == d
        await press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: status(waiting[3]).state.word == "stopped")
        await shows(app, pilot, "2 waiting")
        await until(pilot, lambda: selected() == b)
        await press("pageup", "pagedown", "home", "up", "down")

    play(workspace, script, size)
    assert {key for one in DEVICES for key in one.keys.split(",")} <= pressed


def test_several_move_together_and_keep_their_order(waiting: list[RunDir]) -> None:
    a, b, c, d = (run.name for run in waiting)
    assert [one.text for one in queueing.earlier([waiting[3], waiting[1]])] == ["stands one place earlier"] * 2
    assert order() == [b, a, d, c]
    queueing.earlier([waiting[1], waiting[0]])
    assert order() == [b, a, d, c], "at the front neither passes the other"
    answers = queueing.later([waiting[0], waiting[1]])
    assert order() == [d, b, a, c] and all(one.done for one in answers)
    found = queueing.later([waiting[2], waiting[0]])
    assert order() == [d, b, a, c]
    assert [one.text for one in found] == ["stands behind the others already"] * 2


@pytest.mark.parametrize("size", [(60, 16), SMALL, LARGE, WIDE])
def test_why_a_run_waits_is_whole(workspace: Path, waiting: list[RunDir], size: tuple[int, int]) -> None:
    reason = "GPU 3 has 4.0 of 80.0 GiB in use by alice"
    write_json(waiting[1].path / REASON, {"reason": reason})

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await shows(app, pilot, reason, waiting[3].name, "4 waiting")
        await pilot.press("j", "j")
        assert isinstance(app.screen, DevicesScreen) and app.screen.selected is not None
        assert app.screen.selected.name == waiting[2].name, "the cursor passes over the reason"

    play(workspace, script, size)


def test_looking_changes_nothing(workspace: Path, waiting: list[RunDir]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await shows(app, pilot, waiting[3].name)
        for key in ("less_than_sign", "greater_than_sign", "h", "F", "x", "X"):
            await pilot.press(key)
            assert isinstance(app.screen, DevicesScreen)
        await told(app, pilot, "--read-only")
        assert order() == [run.name for run in waiting]
        assert not any((run.control_dir / HOLD).exists() for run in waiting)

    play(workspace, script, LARGE, read_only=True)


def test_a_run_that_does_not_wait_has_no_place(workspace: Path, written: Path, leases: Path) -> None:  # noqa: F811
    lease = take("cpu:0", str(written / "runs" / "baseline-s0"))

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await shows(app, pilot, "cpu:0", "baseline-s0")
        for key, words in (("less_than_sign", "does not wait"), ("h", "does not wait"), ("x", "has ended")):
            await pilot.press(key)
            await told(app, pilot, words)
        await pilot.click(LineList, offset=(10, 5))
        await pilot.press("enter")
        assert isinstance(app.screen, RunScreen)

    play(workspace, script, LARGE)
    assert lease is not None
    lease.release()


def test_with_nothing_there_every_key_does_nothing(workspace: Path, leases: Path) -> None:  # noqa: F811
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await shows(app, pilot, "nobody waits", "Host")
        await pilot.press(*(key for one in DEVICES for key in one.keys.split(",")), "j", "k", "G", "g", "pagedown")
        assert isinstance(app.screen, DevicesScreen)
        await pilot.resize_terminal(*WIDE)
        await shows(app, pilot, "nobody waits")

    play(workspace, script)
