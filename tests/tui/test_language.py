"""Both languages say everything: each text of the interface has its Chinese, and no Chinese is left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from pilots import SMALL, play, shows, text
from textual.pilot import Pilot

from detui.engine.backends import BACKENDS, backend
from detui.engine.importing.left import FORMS
from detui.engine.run.alarms import ALARMS
from detui.engine.run.state import STATES
from detui.tui import keys, language
from detui.tui.app import DetuiApp
from detui.tui.chinese import TEXTS
from detui.tui.columns import COLUMNS, NAMED, SORTS
from detui.tui.output import width
from detui.tui.run_charts import KINDS
from detui.tui.screens import compare, run
from detui.tui.settings import CHOICES, Settings
from detui.tui.widgets.title_bar import PLACES

TUI = Path(__file__).parents[2] / "tui"


@lru_cache
def said() -> dict[str, str]:
    """Every literal that goes through `tr`, and where."""
    found = {}
    for path in TUI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tr" and node.args:
                for literal in literals(node.args[0]):
                    found[literal] = f"{path.name}:{node.lineno}"
    return found


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*literals(node.body), *literals(node.orelse))


def tabled() -> set[str]:
    """The texts that stand in tables and go through `tr` by name."""
    found = {part for key in keys.all_keys().values() for part in (key.label, key.tooltip)}
    found |= {*keys.CATEGORIES, *PLACES, *SORTS, *run.TAB_NAMES, *compare.TAB_NAMES}
    found |= {column.title for column in (*COLUMNS, NAMED)} | {kind.title for kind in KINDS}
    found |= {"step", "epoch", "minutes"}  # the axes of charts
    found |= {state.word for state in STATES} | {"broken", *FORMS}
    found |= {*ALARMS.values(), *(backend(name).resume_grain for name in BACKENDS)}
    return found | {value for values in CHOICES.values() for value in values if isinstance(value, str)}


def wanted() -> set[str]:
    # What is the same in every language needs no translation.
    return {text for text in {*said(), *tabled()} if re.search("[A-Za-z]{2}", re.sub(r"\{\w+\}", "", text))}


def test_everything_is_said_in_chinese() -> None:
    missing = sorted(wanted() - set(TEXTS))
    assert not missing, "\n".join(f"{text!r} ({said().get(text, 'a table')})" for text in missing)


def test_nothing_is_translated_that_nobody_says() -> None:
    assert not sorted(set(TEXTS) - {*said(), *tabled()})


def test_a_translation_has_the_same_places() -> None:
    def places(text: str) -> list[str]:
        return sorted(re.findall(r"\{(\w+)\}", text))

    assert not [text for text, chinese in TEXTS.items() if places(text) != places(chinese)]


@pytest.mark.parametrize(
    ("environ", "spoken"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW"}, "zh"),
    ],
)
def test_the_locale_chooses(environ: dict[str, str], spoken: str) -> None:
    assert language.of_environment(environ) == spoken


def test_the_language_changes_at_once_and_nothing_is_too_wide(workspace: Path, written: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "baseline-s0", "finished")
        await pilot.press("comma")
        await shows(app, pilot, "Settings", "app.runs")
        await pilot.press("enter", "enter")
        assert app.settings.language == "zh"
        await shows(app, pilot, TEXTS["Settings"])
        await pilot.press("escape")
        await shows(app, pilot, TEXTS["finished"], TEXTS["Runs"], TEXTS["epoch"], TEXTS["Mark"])
        assert all(width(line) == SMALL[0] for line in text(app).splitlines())

    play(workspace, script, SMALL, Settings(language="auto"))
