"""What the screen of devices shows with GPUs: a process of its own, as the driver's library is found at the start.

LD_LIBRARY_PATH=… NVML_STAND_IN=FILE python device_scripts.py SCRIPT WORKSPACE COLUMNS ROWS [ascii]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pilots import play, shows, text, until
from textual.geometry import Region
from textual.pilot import Pilot

from detui.tui.app import DetuiApp
from detui.tui.screens.devices import DevicesScreen
from detui.tui.screens.run import RunScreen
from detui.tui.settings import Settings
from detui.tui.widgets.line_list import LineList


async def everything(app: DetuiApp, pilot: Pilot[int]) -> None:
    """Scroll from the top to the end and print all that was to be seen on the way."""
    await pilot.press("4")
    await shows(app, pilot, "GPU")
    lines = app.screen.query_one(LineList)
    seen: list[str] = []
    while True:
        print(text(app))
        seen.append(text(app))
        if lines.scroll_offset.y >= lines.max_scroll_y:
            break
        await pilot.press("pagedown")
        await pilot.pause(0.1)
    await pilot.press("pageup", "G", "g")
    await until(pilot, lambda: lines.scroll_offset.y == 0)
    assert all(len(line) <= app.size.width for screen in seen for line in screen.splitlines())


async def moving(app: DetuiApp, pilot: Pilot[int]) -> None:
    """What changes is the only thing that is drawn."""
    await pilot.press("4")
    await shows(app, pilot, "87 %")
    lines = app.screen.query_one(LineList)
    await pilot.pause(0.5)
    drawn: list[Region] = []
    refresh = lines.refresh

    def noted(*regions: Region, **options: bool) -> LineList:
        drawn.extend(regions or [lines.size.region])
        return refresh(*regions, **options)

    lines.refresh = noted  # type: ignore[method-assign]
    path = Path(os.environ["NVML_STAND_IN"])
    path.write_text(path.read_text() + "gpu0.util=88\n")
    await shows(app, pilot, "88 %")
    ours = [region for region in drawn if region.y == 2]
    assert [(region.width, region.height) for region in ours] == [(1, 1)], drawn
    assert sum(region.area for region in drawn) < 80, drawn
    path.write_text(path.read_text() + "gpu0.fail=15\n")
    await until(pilot, lambda: text(app).count("! GPU is lost") == 2)
    assert "88 %" not in text(app)


async def opening(app: DetuiApp, pilot: Pilot[int]) -> None:
    """The run on a GPU is opened with enter."""
    await pilot.press("4")
    await shows(app, pilot, "baseline-s0")
    await pilot.press("enter")
    assert isinstance(app.screen, RunScreen) and app.screen is not None
    await pilot.press("q")
    assert isinstance(app.screen, DevicesScreen)
    await pilot.press("y")
    assert app.clipboard.endswith("/baseline-s0")


if __name__ == "__main__":
    script, workspace, columns, rows, *more = sys.argv[1:]
    play(Path(workspace), globals()[script], (int(columns), int(rows)), Settings(language="en", ascii="ascii" in more))
