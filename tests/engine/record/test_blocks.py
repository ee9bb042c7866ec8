"""Machine-owned blocks are renewed; everything else in the file is the person's, byte for byte."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detui.engine.record.blocks import find, merge, wrap

NOTICE = "> changed by hand"


def page(**blocks):
    return "# Title\n\n" + "\n\ntext between\n\n".join(wrap(name, body) for name, body in blocks.items()) + "\n"


def first(**blocks):
    return merge(None, page(**blocks), None, NOTICE)


def test_a_new_file_is_the_rendered_one():
    merged = first(a="1", b="2")
    assert merged.text == page(a="1", b="2") and set(merged.hashes) == {"a", "b"}


def test_only_the_block_changes_and_the_persons_text_stays():
    old = first(a="1", b="2")
    mine = (
        old.text.replace("text between", "MY WORDS, with trailing blanks  \t") + "more of mine, no newline at the end"
    )
    merged = merge(mine, page(a="1", b="3"), old.hashes, NOTICE)
    assert merged.text == mine.replace(wrap("b", "2"), wrap("b", "3")) and not merged.kept


def test_windows_line_endings_and_invalid_bytes_survive():
    old = first(a="1\nx", b="2")
    mine = (old.text + "caf\udce9").replace("\n", "\r\n")
    merged = merge(mine, page(a="1\ny", b="2"), old.hashes, NOTICE)
    assert merged.text == mine.replace("1\r\nx", "1\r\ny") and not merged.kept
    assert "\n" not in merged.text.replace("\r\n", "")


def test_a_removed_block_stays_removed_and_a_changed_one_is_kept_beside_the_new():
    old = first(a="1", b="2", c="3")
    mine = old.text.replace(wrap("a", "1"), "").replace("\n2\n", "\n2 (I doubt this)\n")
    merged = merge(mine, page(a="9", b="8", c="7"), old.hashes, NOTICE)
    assert "detui:begin a" not in merged.text and merged.kept == ("b",)
    assert merged.text.index("2 (I doubt this)") < merged.text.index(NOTICE) < merged.text.index(wrap("b", "8"))
    assert find(merged.text)["c"].strip() == "7"
    again = merge(merged.text, page(a="9", b="8", c="7"), merged.hashes, NOTICE)
    assert again.text == merged.text and not again.kept
    later = merge(merged.text, page(a="9", b="0", c="7"), merged.hashes, NOTICE)
    assert later.text == merged.text.replace(wrap("b", "8"), wrap("b", "0"))


def test_without_the_hashes_nothing_is_overwritten():
    mine = page(a="1")
    merged = merge(mine, page(a="2"), None, NOTICE)
    assert merged.text.index("1") < merged.text.index(wrap("a", "2")) and merged.kept == ("a",)
    assert merge(mine, page(a="1"), None, NOTICE).text == mine


def test_a_block_that_the_template_gained_lands_after_its_neighbour():
    old = first(a="1", c="3")
    merged = merge(old.text, page(a="1", b="2", c="3"), old.hashes, NOTICE)
    assert list(find(merged.text)) == ["a", "b", "c"]
    assert merge(merged.text, page(a="1", b="2", c="3"), merged.hashes, NOTICE).text == merged.text


def test_a_block_whose_end_is_gone_is_left_alone():
    old = first(a="1", b="2")
    mine = old.text.replace("<!-- detui:end a -->", "")
    merged = merge(mine, page(a="9", b="8"), old.hashes, NOTICE)
    assert merged.text == mine.replace(wrap("b", "2"), wrap("b", "8"))


def test_a_marker_inside_a_block_cannot_end_it():
    evil = wrap("a", "x <!-- detui:end a --> y <!--detui:begin b -->")
    assert list(find(evil)) == ["a"] and evil.count("<!-- detui:end a -->") == 1


def test_either_of_the_two_files_may_be_lost_in_a_power_failure():
    old = first(a="1")
    merged = merge(old.text, page(a="2"), old.hashes, NOTICE)
    # record.json is written first: with the new hashes, the old text must still count as detui's.
    assert merge(old.text, page(a="2"), merged.hashes, NOTICE).text == merged.text


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<>"), max_size=30)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(TEXT, TEXT, TEXT, TEXT, TEXT, st.booleans())
def test_filling_twice_is_filling_once_and_outside_text_never_changes(before, between, after, one, two, windows):
    def file(a, b):
        return f"{before}{wrap('a', a)}{between}{wrap('b', b)}{after}"

    old = merge(None, file("old", "old"), None, NOTICE)
    mine = old.text.replace("\r\n", "\n").replace("\n", "\r\n") if windows else old.text
    merged = merge(mine, page(a=one, b=two), old.hashes, NOTICE)
    again = merge(merged.text, page(a=one, b=two), merged.hashes, NOTICE)
    assert again.text == merged.text and not merged.kept and not again.kept
    outside = merged.text
    for name in ("a", "b"):
        begin, end = f"<!-- detui:begin {name} -->", f"<!-- detui:end {name} -->"
        outside = outside[: outside.index(begin)] + outside[outside.index(end) + len(end) :]
    kept = "".join((before, between, after))
    assert outside == (kept.replace("\r\n", "\n").replace("\n", "\r\n") if windows else kept)
