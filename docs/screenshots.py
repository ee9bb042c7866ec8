"""Make the pictures of the README from real runs: `make screenshots`.

Runs the quick profile of `starter/mosaic` in a workspace of its own (some minutes), or takes one that is given, opens
the application on it without a terminal, and writes what stands on each screen as SVG; a Chromium on the path makes PNG
of them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from detui.engine.workspace import Workspace
from detui.tui.app import DetuiApp
from detui.tui.settings import Settings

IMAGES = Path(__file__).parent / "images"
SIZE = (120, 36)
SCREENS: dict[str, tuple[str, ...]] = {
    "runs": ("j",),
    "run": ("j", "enter"),
    "recipe": ("2", "G", "k", "enter"),
    "compare": ("c", "b", "w"),
    "record": ("5",),
}
"""Picture → the keys that lead there."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_CELL = (12.3, 24.4)
"""Pixels of a cell in Textual's SVG."""


def main() -> None:
    """Take the pictures."""
    with tempfile.TemporaryDirectory(prefix="detui-screenshots-") as home:
        # Only the last part of the workspace's path is in the pictures.
        os.environ["HOME"] = home
        os.environ["COLORTERM"] = "truecolor"  # whatever this script runs in
        folder = Path(home) / "logs"
        if len(sys.argv) > 1:
            shutil.copytree(sys.argv[1], folder)
        else:
            detui = Path(sys.executable).with_name("detui")
            command = [detui, "--workspace", folder, "run", "starter/mosaic", "--profile", "quick", "--yes"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name, keys in SCREENS.items():
            asyncio.run(_take(folder, name, keys))
            _render(IMAGES / f"{name}.svg")


async def _take(folder: Path, name: str, keys: tuple[str, ...]) -> None:
    app = DetuiApp(Workspace.open(str(folder)), Settings(language="en"))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(3)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.5)
        await pilot.pause(3)
        app.save_screenshot(str(IMAGES / f"{name}.svg"))


def _render(svg: Path) -> None:
    """Make a PNG beside an SVG and remove the SVG; without a browser, the SVG stays."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"{svg}: there is no Chromium to make a PNG of it", file=sys.stderr)
        return
    size = f"--window-size={int(SIZE[0] * _CELL[0]) + 20},{int(SIZE[1] * _CELL[1]) + 60}"
    png = svg.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size, f"--screenshot={png}"]
    subprocess.run([browser, *flags, svg.as_uri()], check=True, capture_output=True, timeout=60)
    svg.unlink()
    print(png)


if __name__ == "__main__":
    main()
