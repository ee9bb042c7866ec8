"""A file that somebody edits meanwhile is never overwritten."""

from __future__ import annotations

import pytest

from detui.engine.errors import RunError
from detui.engine.record import save
from detui.engine.record.save import update


def test_a_save_between_reading_and_replacing_is_merged_again(hostile_path):
    path = hostile_path / "record.md"
    path.write_text("one")
    seen = []

    def change(content):
        seen.append(content)
        if len(seen) == 1:
            path.write_text("two")  # the person saves while the change is being made
        return content + b"!"

    assert update(path, change)
    assert seen == [b"one", b"two"] and path.read_text() == "two!"
    assert [entry.name for entry in hostile_path.iterdir()] == ["record.md"]


@pytest.mark.parametrize("by_rename", [True, False], ids=["rename", "in place"])
def test_a_save_in_the_very_last_moment_is_not_lost(tmp_path, monkeypatch, by_rename):
    path = tmp_path / "record.md"
    path.write_text("one")
    exchange, saved = save._exchange, []

    def late(temporary, target):
        if not saved:
            saved.append(True)
            if by_rename:
                (tmp_path / "editor").write_text("two")
                (tmp_path / "editor").replace(path)
            else:
                path.write_text("two")
        return exchange(temporary, target)

    monkeypatch.setattr(save, "_exchange", late)
    assert update(path, lambda content: content + b"!")
    assert path.read_text() == "two!" and saved


def test_without_the_exchange_call_the_file_is_replaced_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(save, "_exchange", lambda *_: False)
    path = tmp_path / "record.md"
    path.write_text("one")
    path.chmod(0o640)
    assert update(path, lambda content: content + b"!")
    assert path.read_text() == "one!" and path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "record.md"

    def change(content):
        if content is None:
            path.write_text("mine")
            return b"new"
        return content + b"!"

    assert update(path, change) and path.read_text() == "mine!"


def test_nothing_to_change_writes_nothing(tmp_path):
    path = tmp_path / "record.md"
    path.write_text("one")
    before = path.stat().st_mtime_ns
    assert not update(path, lambda content: content) and not update(path, lambda content: None)
    assert path.stat().st_mtime_ns == before


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "notes").mkdir()
    real, link = tmp_path / "notes" / "mine.md", tmp_path / "record.md"
    real.write_text("one")
    link.symlink_to(real)
    assert update(link, lambda content: content + b"!") and link.is_symlink() and real.read_text() == "one!"


def test_endless_changes_and_absent_folders_are_errors(tmp_path):
    path = tmp_path / "record.md"
    path.write_text("x")

    def racing(content):
        path.write_text(content.decode() + "x")
        return b"never"

    with pytest.raises(RunError, match="rewrites this file"):
        update(path, racing)
    with pytest.raises(RunError, match="Cannot write"):
        update(tmp_path / "absent" / "record.md", lambda content: b"x")
