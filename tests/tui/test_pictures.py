"""Every screen as it looks, held against pictures that were looked at before they were accepted.

A picture is two grids: what stands in each cell, and its style as a letter that the legend explains. After a change
that is meant, `DETUI_ACCEPT=1 pytest tests/tui/test_pictures.py` writes them anew, and an SVG of each into
`.build/pictures/`: look at those first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from aqr_runs import written
from pilots import LARGE, SMALL, WIDE, play, shows, text, until
from rich.color import ColorSystem
from rich.style import Style
from textual.pilot import Pilot

from detui.tui.app import DetuiApp
from detui.tui.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
NEW = Path(__file__).parents[2] / ".build" / "pictures"
ACCEPT = bool(os.environ.get("DETUI_ACCEPT"))
SIZE_WEIGHTS = ("slash", *"size-weights", "enter")
"""Keys that choose a recipe, whichever others there are."""
SCREENS: dict[str, tuple[tuple[str, ...], str]] = {
    "runs": ((), "baseline-s0"),
    "runs-marked": (("space", "space", "slash", *"state:f", "enter"), "state:f"),
    "recipes": (("2",), "finetune/check"),
    "recipe": (("2", *SIZE_WEIGHTS, "enter"), "$ detui run"),
    "launch": (("2", *SIZE_WEIGHTS, "enter", "s"), "detui run"),
    "run": (("enter",), "a━box"),
    "run-log": (("enter", "tab", "tab", "tab", "slash", *"epoch 1", "enter"), "epoch 1"),
    "run-configuration": (("enter", "tab", "tab", "tab", "tab"), "yolo12n"),
    "compare": (("space", "space", "c"), "no-mosaic-s0"),
    "record": (("5",), "Mosaic for a nano detector"),
    "help": (("question_mark",), "Everywhere"),
    "settings": (("comma",), "app.runs"),
    "palette": (("colon", *"mos"), "starter/mosaic"),
    "question": (("j", "r"), "Resume from the last checkpoint?"),
}
"""Screen → the keys that lead there, and what stands there once it has been read."""
VARIANTS: dict[str, tuple[tuple[int, int], Settings]] = {
    "80x24": (SMALL, Settings(language="en")),
    "120x40": (LARGE, Settings(language="en")),
    "200x60": (WIDE, Settings(language="en")),
    "ascii": (SMALL, Settings(language="en", ascii=True)),
    "16": (LARGE, Settings(language="en", theme="terminal")),
    "light": (LARGE, Settings(language="en", theme="light")),
    "zh": (SMALL, Settings(language="zh")),
}
QUICK = ("80x24",)
CASES = [
    pytest.param(screen, variant, id=f"{screen}-{variant}", marks=[] if variant in QUICK else pytest.mark.slow)
    for screen in SCREENS
    for variant in VARIANTS
]
AQR_SCREENS: dict[str, tuple[tuple[str, ...], str]] = {
    "runs-aqr": ((), "NDS 36.0"),
    "run-aqr": (("enter",), "v AQR"),
    "run-aqr-panel": (("enter", "v"), "AQR, step 96"),
}
"""The same where a run reports AQR."""
AQR_CASES = [
    pytest.param(screen, variant, id=f"{screen}-{variant}", marks=[] if quick else pytest.mark.slow)
    for screen, variants in {
        "runs-aqr": ("80x24", "120x40"),
        "run-aqr": ("80x24", "120x40", "200x60"),
        "run-aqr-panel": ("80x24", "120x40", "ascii", "16", "zh"),
    }.items()
    for variant in variants
    for quick in [(screen, variant) == ("run-aqr-panel", "80x24")]
]


@pytest.fixture
def furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path, writer: Callable[..., Path]) -> Path:
    """A workspace in a home directory of its own, with a record, so that no path of this machine is in a picture."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DETUI_CPU_SLOTS", "2")
    workspace = tmp_path / "logs"
    workspace.mkdir()
    names = {"baseline-s0": "finished", "no-mosaic-s0": "stopped", "baseline-s1": "failed", "no-mosaic-s1": "crashed"}
    path = writer(workspace, runs=names)
    writer(workspace, "starter.mosaic-20261119-090000")
    golden = repository / "tests/engine/record/golden"
    for name in ("record.md", "record.zh.md"):
        source = golden / name.replace("record.md", "record.en.md")
        (path / name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return workspace


@pytest.mark.parametrize(("screen", "variant"), CASES)
def test_a_screen_looks_as_it_did(furnished: Path, screen: str, variant: str) -> None:
    keys, sign = SCREENS[screen]
    looks(furnished, screen, variant, keys, ("baseline-s0", sign))


@pytest.mark.parametrize(("screen", "variant"), AQR_CASES)
def test_a_run_with_aqr_looks_as_it_did(
    furnished: Path, writer: Callable[..., Path], screen: str, variant: str
) -> None:
    written(furnished, writer)
    keys, sign = AQR_SCREENS[screen]
    looks(furnished, screen, variant, keys, ("aqr-2.5-0.6-s0", sign))


def looks(workspace: Path, screen: str, variant: str, keys: tuple[str, ...], signs: tuple[str, str]) -> None:
    """Hold a screen against its picture. `signs`: what stands there before the keys are pressed, and after."""
    size, settings = VARIANTS[variant]
    found: list[str] = []

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, signs[0])
        await settled(app, pilot, 0.2)
        await pilot.press(*keys)
        if variant not in ("zh", "ascii"):
            await shows(app, pilot, signs[1])
        await settled(app, pilot)
        found.append(picture(app, sixteen=variant == "16"))
        if ACCEPT:
            NEW.mkdir(parents=True, exist_ok=True)
            app.save_screenshot(str(NEW / f"{screen}-{variant}.svg"))

    play(workspace, script, size, settings)
    file = PICTURES / f"{screen}-{variant}.txt"
    if ACCEPT:
        PICTURES.mkdir(exist_ok=True)
        file.write_text(found[0], encoding="utf-8")
    assert found[0] == file.read_text(encoding="utf-8")


async def settled(app: DetuiApp, pilot: Pilot[int], seconds: float = 1.3) -> None:
    """Wait until the screen has stood still for longer than anything takes between two readings."""
    last, still = "", 0.0

    def standing() -> bool:
        nonlocal last, still
        now = text(app)
        still = still + 0.05 if now == last else 0.0
        last = now
        return still >= seconds

    await until(pilot, standing)


def picture(app: DetuiApp, *, sixteen: bool) -> str:
    """Return the screen as two grids and a legend. `sixteen`: with the colours that such a terminal is sent."""
    letters: dict[str, str] = {}
    rows, styles = [], []
    for strip in app.screen._compositor.render_strips():
        row = "".join(segment.text for segment in strip)
        marks = ""
        for segment in strip:
            said = spelt(segment.style or Style(), sixteen=sixteen)
            letter = letters.setdefault(said, _LETTERS[len(letters)])
            marks += letter * segment.cell_length
        rows.append(row.rstrip())
        styles.append(marks)
    legend = [f"{letter} {said}" for said, letter in letters.items()]
    return "\n".join([*rows, "", *legend, "", *styles, ""])


_LETTERS = ".abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@#$%&*+=~^!?<>/|;:"


def spelt(style: Style, *, sixteen: bool) -> str:
    """Return the looks of a style; links and other invisible things left out."""
    colours = [style.color, style.bgcolor]
    if sixteen:
        colours = [colour and colour.downgrade(ColorSystem.STANDARD) for colour in colours]
    names = [colour.name if colour else "-" for colour in colours]
    flags = [name for name in ("bold", "dim", "italic", "underline", "reverse", "strike") if getattr(style, name)]
    return " ".join([f"{names[0]} on {names[1]}", *flags])
