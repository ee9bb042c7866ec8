"""The table of keys against the screens that use it."""

from __future__ import annotations

import pytest

from detui.tui import keys
from detui.tui.app import DetuiApp
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.screens.help import help_text
from detui.tui.screens.launch import LaunchScreen
from detui.tui.screens.recipe import RecipeScreen
from detui.tui.screens.recipes import RecipesScreen
from detui.tui.screens.record import RecordScreen
from detui.tui.screens.run import RunScreen
from detui.tui.screens.runs import RunsScreen

USERS = {
    keys.EVERYWHERE: [DetuiApp],
    keys.MOVE: [RunsScreen, RunScreen, RecipesScreen, RecipeScreen, LaunchScreen, RecordScreen],
    keys.RUNS: [RunsScreen],
    keys.RUN: [RunScreen],
    keys.RECIPES: [RecipesScreen],
    keys.RECIPE: [RecipeScreen],
    keys.LAUNCH: [LaunchScreen],
    keys.RECORD: [RecordScreen],
    keys.CONFIRM: [ConfirmScreen],
}
ALL = [key for group in keys.CATEGORIES.values() for key in group]


def test_every_key_has_its_own_name() -> None:
    assert len({key.id for key in ALL}) == len(ALL)


@pytest.mark.parametrize("key", ALL, ids=lambda key: key.id)
def test_every_key_does_something(key: keys.Key) -> None:
    users = next(users for group, users in USERS.items() if key in group)
    assert all(hasattr(user, f"action_{key.action}") for user in users)
    assert key.tooltip.endswith((".", "…"))
    # tmux's prefix, the terminal's own backspace, tab and enter.
    assert not {"ctrl+b", "ctrl+a", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m"} & set(key.keys.split(","))


@pytest.mark.parametrize("groups", [(keys.EVERYWHERE, keys.MOVE, more) for more in USERS if more[0].id[:3] != "con"])
def test_no_key_does_two_things_on_one_screen(groups: tuple[tuple[keys.Key, ...], ...]) -> None:
    pressed = [one for group in dict.fromkeys(groups) for key in group for one in key.keys.split(",")]
    assert len(set(pressed)) == len(pressed)


def test_help_is_made_from_the_table() -> None:
    text = help_text().plain
    assert all(key.tooltip in text for key in ALL)
