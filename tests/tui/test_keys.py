"""The table of keys against the screens that use it."""

from __future__ import annotations

import pytest
from key_users import ALL, SCREENS, users

from detui.tui import keys
from detui.tui.screens.base import DetuiScreen
from detui.tui.screens.help import help_lines
from detui.tui.widgets.key_bar import KeyBar


def test_every_screen_has_keys_and_is_known() -> None:
    names = {screen.__name__ for screen in SCREENS}
    assert names >= {"RunsScreen", "RecipesScreen", "CompareScreen", "DevicesScreen", "RecordScreen", "RunScreen"}


def test_every_key_has_its_own_name() -> None:
    assert len({key.id for group in keys.CATEGORIES.values() for key in group}) == len(ALL)
    assert sum(map(len, keys.CATEGORIES.values())) == len(ALL)


@pytest.mark.parametrize("key", ALL, ids=lambda key: key.id)
def test_every_key_belongs_to_a_screen_that_acts_on_it(key: keys.Key) -> None:
    assert users(key), "no screen has this key"
    assert all(hasattr(user, f"action_{key.action}") for user in users(key))
    assert key.tooltip.endswith((".", "…"))
    # tmux's prefix, the terminal's own backspace, tab and enter.
    assert keys.forbidden(key.keys) is None


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)
def test_no_key_does_two_things_on_one_screen(screen: type[DetuiScreen]) -> None:
    own = [one for group in screen.KEYS for key in group for one in key.keys.split(",")]
    everywhere = [one for key in keys.EVERYWHERE for one in key.keys.split(",")]
    assert len(set(own)) == len(own)
    taken = set(own) & set(everywhere)
    assert taken <= {"escape"}, "a screen takes a key that means something else everywhere"


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)
def test_what_matters_on_a_screen_fits_into_80_columns(screen: type[DetuiScreen]) -> None:
    """The first three keys of each screen, and help and back, are always to be seen."""
    bar = KeyBar(*screen.KEYS, remapped={})
    assert len(bar.fitting(80)) >= min(3, len(bar.fitting(1000)))


def test_help_is_made_from_the_table_and_says_the_keys_that_a_person_chose() -> None:
    lines = ["".join(segment.text for segment in line.segments) for line in help_lines(80, {"runs.stop": "f9"})]
    text = " ".join(" ".join(lines).split())
    assert all(key.tooltip in text for key in ALL)
    assert any(line.split()[0] == "f9" and "Stop with a checkpoint" in line for line in lines if line.strip())
    assert max(map(len, lines)) <= 80
