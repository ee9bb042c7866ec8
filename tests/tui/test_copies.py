"""Copies of another host's runs on the screen: shown as they were, and nothing is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pilots import WIDE, play, shows, text, until
from textual.pilot import Pilot

from detui.engine.run.directory import RunDir
from detui.engine.run.pulled import Pulled
from detui.tui.app import DetuiApp
from detui.tui.control import losses
from detui.tui.screens.run import RunScreen
from detui.tui.settings import Settings

IDENT = "starter.mosaic-20261120-134500"
DAY = "2026-11-21 08:30 UTC"


def notices(app: DetuiApp) -> list[str]:
    """What was told, however it is wrapped on the screen."""
    return [str(one.message) for one in app._notifications]


@pytest.fixture
def copy(workspace: Path, writer: Callable[..., Path]) -> Path:
    """An experiment that trained when it was copied from the host `lab`."""
    path = writer(workspace, IDENT, {"baseline-s0": "finished", "no-mosaic-s0": "running"})
    Pulled(host="lab", ssh="me@server", path=f"/data/me/logs/{IDENT}", at="2026-11-21T08:30:00.000Z").write(path)
    return path


@pytest.mark.parametrize(
    ("language", "where", "refusal"),
    [
        ("en", f"on lab, as of {DAY}", "is a copy of a run on lab"),
        ("zh", f"位于 lab，截至 {DAY}", "是 lab 上某个运行的副本"),
    ],
)
def test_it_is_shown_as_it_was_and_left_alone(
    workspace: Path, copy: Path, language: str, where: str, refusal: str
) -> None:
    before = sorted(copy.rglob("*"))

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, f"no-mosaic-s0  {where[:9]}")
        assert "nothing running" in text(app) or language == "zh"
        await pilot.press("g", "j", "j")
        for key, what in (("x", "stop"), ("X", "kill"), ("r", "resume")):
            await pilot.press(key)
            told = f"detui --host lab {what} {IDENT}/no-mosaic-s0"
            await until(pilot, lambda told=told: any(told in one and refusal in one for one in notices(app)))
        await pilot.press("enter")
        await shows(app, pilot, where)
        assert isinstance(app.screen, RunScreen)

    play(workspace, script, WIDE, Settings(language=language))
    assert sorted(copy.rglob("*")) == before


def test_marked_together_with_runs_of_here_those_alone_are_asked(
    copy: Path, workspace: Path, writer: Callable[..., Path]
) -> None:
    from detui.tui.screens.run_requests import Prepared, _prepare

    own = RunDir(writer(workspace, "starter.own-20261122-100000", {"a-s0": "stopped"}) / "runs" / "a-s0")
    found = _prepare("2 marked", [RunDir(copy / "runs" / "no-mosaic-s0"), own], "resume")
    assert isinstance(found, Prepared) and list(found.runs) == [own]
    assert losses([own])
