"""The application without a terminal, for tests that press keys and read what stands on the screen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from detui.engine.workspace import Workspace
from detui.tui.app import DetuiApp
from detui.tui.settings import Settings

os.environ["COLORTERM"] = "truecolor"
"""Without it Textual takes this process's terminal for one of sixteen colours, whatever CI runs in."""
SMALL, LARGE, WIDE = (80, 24), (120, 40), (200, 60)
Script = Callable[[DetuiApp, "Pilot[int]"], Awaitable[None]]


def play(
    workspace: Path, script: Script, size: tuple[int, int] = SMALL, settings: Settings | None = None, **options: Any
) -> DetuiApp:
    """Open the application on a workspace and do what a script says, once something stands on the screen."""
    app = DetuiApp(Workspace.open(str(workspace)), settings or Settings(language="en"), **options)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(text(app).strip()))
            await script(app, pilot)

    asyncio.run(run())
    return app


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true; fail with the screen where it does not come about."""
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not come about; the screen shows\n" + text(pilot.app))


def text(app: Any) -> str:
    """What stands on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def shows(app: DetuiApp, pilot: Pilot[int], *parts: str) -> None:
    """Wait until all of these stand on the screen, each on one line or wrapped: paths of tests differ in length."""

    def all_shown() -> bool:
        lines = text(app)
        wrapped = " ".join(lines.split())
        return all(part in lines or part in wrapped for part in parts)

    await until(pilot, all_shown)
