"""What is sent to the terminal, held to a terminal emulator that gets what Textual writes."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len, set_cell_size
from rich.style import Style

from detui.tui.terminal.changes import Shadow
from detui.tui.terminal.picture import Picture, cells
from detui.tui.terminal.plain_text import ascii_only
from detui.tui.terminal.styles import PLAIN, Styles, UnknownSequence

COLUMNS, ROWS = 24, 6
# Two regions side by side, as widgets are: Textual redraws whole regions, and cuts text at their edges.
REGIONS = ((0, 15), (15, 9))
TEXTS = st.text(alphabet="ab  xyz01中文测试⠋⣿│é", max_size=20)
COLOURS = st.sampled_from([None, "red", "bright_blue", "color(200)", "#102030"])
STYLES = st.builds(
    Style,
    color=COLOURS,
    bgcolor=COLOURS,
    bold=st.booleans(),
    italic=st.booleans(),
    underline=st.booleans(),
    reverse=st.booleans(),
    strike=st.booleans(),
)
PIECES = st.lists(st.tuples(TEXTS, STYLES), min_size=1, max_size=3)
UPDATES = st.dictionaries(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, len(REGIONS) - 1)), PIECES, min_size=1, max_size=6
)


def line(pieces: list[tuple[str, Style]], width: int) -> str:
    """Text of several styles in exactly so many cells."""
    found, room = "", width
    for index, (text, style) in enumerate(pieces):
        last = index == len(pieces) - 1
        fitted = set_cell_size(text, room if last else min(room, 5))
        room -= len(cells(fitted))
        found += style.render(fitted)
    assert room == 0 or len(pieces) == 1, room
    return found


def frame(update: dict[tuple[int, int], list[tuple[str, Style]]]) -> str:
    """What Textual's compositor writes for regions that changed."""
    rows: dict[int, str] = {}
    for (y, index), pieces in sorted(update.items()):
        x, width = REGIONS[index]
        rows[y] = rows.get(y, "") + f"\x1b[{y + 1};{x + 1}H{line(pieces, width)}"
    return "\n".join(rows.values()) + "\x1b[1;1H"


def whole(pieces: list[tuple[str, Style]]) -> str:
    return frame({(y, index): pieces for y in range(ROWS) for index in range(len(REGIONS))})


def shown(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """What a person sees: the colour of a text that is a space is not seen."""
    rows = []
    for y in range(ROWS):
        row = []
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            marks = (cell.bg, cell.underscore, cell.strikethrough, cell.reverse)
            seen = cell.underscore or cell.strikethrough or cell.reverse or cell.data != " "
            # Bold and italic do not show on a space, whatever lines it has.
            text = (cell.bold, cell.italics) if cell.data != " " else ()
            row.append((cell.data, *marks, cell.fg if seen else None, *text))
        rows.append(row)
    return rows


class Pair:
    """Two terminals: one gets everything, one what changed."""

    def __init__(self) -> None:
        self.raw, self.lean = pyte.Screen(COLUMNS, ROWS), pyte.Screen(COLUMNS, ROWS)
        self.streams = pyte.Stream(self.raw), pyte.Stream(self.lean)
        for screen in (self.raw, self.lean):
            screen.reset_mode(pyte.modes.DECAWM)
        styles = Styles()
        self.picture, self.shadow = Picture(styles, COLUMNS, ROWS), Shadow(styles)
        self.shadow.forget(self.picture)

    def write(self, data: str) -> str:
        self.picture.draw(data)
        sent = self.shadow.changes(self.picture)
        self.streams[0].feed(data.replace("\n", "\r\n"))
        self.streams[1].feed(sent)
        return sent


@settings(max_examples=300, deadline=None)
@given(first=PIECES, updates=st.lists(UPDATES, max_size=6))
def test_the_difference_shows_what_the_whole_shows(
    first: list[tuple[str, Style]], updates: list[dict[tuple[int, int], list[tuple[str, Style]]]]
) -> None:
    pair = Pair()
    pair.write(whole(first))
    assert shown(pair.lean) == shown(pair.raw)
    for update in updates:
        data = frame(update)
        sent = pair.write(data)
        assert shown(pair.lean) == shown(pair.raw)
        assert len(sent.encode()) <= len(data.encode())
        assert pair.write(data) == ""


@settings(max_examples=100, deadline=None)
@given(first=PIECES, second=PIECES, forgotten=UPDATES)
def test_a_terminal_that_was_written_over_is_painted_whole(
    first: list[tuple[str, Style]], second: list[tuple[str, Style]], forgotten: dict
) -> None:
    pair = Pair()
    pair.write(whole(first))
    pair.streams[1].feed("\x1b[3;3Hbroadcast message \x1b[31m中文")
    pair.lean.cursor.attrs = pair.lean.default_char
    pair.shadow.forget(pair.picture)
    pair.write(frame(forgotten))
    assert shown(pair.lean) == shown(pair.raw)


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        ("epoch 10/90", "epoch 11/90", "\x1b[1;8H1"),
        ("12.5  7.5", "12.6  7.6", "\x1b[1;4H6  7.6"),
        ("a                a", "b                b", "\x1b[Hb\x1b[18Gb"),
        ("中文 数据", "中文 数集", "\x1b[1;8H集"),
        ("中文", "ab文", "\x1b[Hab"),
        ("ab文", "中文", "\x1b[H中"),
        ("same", "same", ""),
    ],
)
def test_few_bytes(before: str, after: str, sent: str) -> None:
    styles = Styles()
    picture, shadow = Picture(styles, 20, 3), Shadow(styles)
    shadow.forget(picture)
    picture.draw(f"\x1b[1;1H{before}")
    shadow.changes(picture)
    picture.draw(f"\x1b[1;1H\x1b[0m{after}\x1b[1;1H")
    assert shadow.changes(picture) == sent


def test_after_other_characters_the_place_is_said_anew() -> None:
    """A terminal may give them another width than Textual does."""
    styles = Styles()
    picture, shadow = Picture(styles, 30, 1), Shadow(styles)
    shadow.forget(picture)
    picture.draw("\x1b[1;1H│" + " " * 28 + "│")
    shadow.changes(picture)
    picture.draw("\x1b[1;1H┤" + " " * 28 + "x")
    assert shadow.changes(picture) == "\x1b[H┤\x1b[30Gx"


def test_only_the_attributes_that_change_are_sent() -> None:
    styles = Styles()
    red = styles.after(PLAIN, "31;40")
    bold = styles.after(red, "1")
    assert styles.way(red, bold) == "\x1b[1m"
    assert styles.way(bold, red) == "\x1b[22m"
    assert styles.way(bold, PLAIN) == "\x1b[m"
    assert styles.way(styles.after(bold, "2"), bold) == "\x1b[22;1m"
    assert styles.after(bold, "22") == red


def test_what_is_not_understood_is_refused() -> None:
    picture = Picture(Styles(), 10, 2)
    for data in ("\x1b[2J", "\x1b[1;1Ha\tb", "\x1b[4:3m", "\x1b[58;5;3mx", "\x1b[1;8Habcdef"):
        with pytest.raises(UnknownSequence):
            picture.draw(data)


def test_a_frame_that_draws_every_cell_is_known_as_one() -> None:
    picture = Picture(Styles(), 4, 2)
    assert not picture.draw("\x1b[1;1Habcd")
    assert picture.draw("\x1b[1;1Habcd\n\x1b[2;1H中文\x1b[1;1H")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30))
def test_text_in_ascii_is_as_wide_as_it_was(text: str) -> None:
    assert ascii_only(text).isascii()
    assert len(ascii_only("".join(cells(text)))) == sum(cell_len(character) for character in "".join(cells(text)))


def test_ascii_keeps_what_can_be_read() -> None:
    assert ascii_only("AP 12 – 45 %  █▌··  é │ ⣿ 数据 µs") == "AP 12 - 45 %  ##..  e | * ???? us"
