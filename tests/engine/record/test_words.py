"""The words of a record: none of them stands under two meanings, and each has both languages."""

from __future__ import annotations

import ast
import string
from collections import Counter
from pathlib import Path

from detui.engine.record import words

PARTS = [*sorted(Path(words.__file__).parent.glob("words*.py")), Path(words.__file__).with_name("captions.py")]


def test_no_word_is_written_over_by_another() -> None:
    found: Counter[str] = Counter()
    for part in PARTS:
        tree = ast.parse(part.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict):
                found.update(key.value for key in node.value.keys if isinstance(key, ast.Constant))
    assert [key for key, times in found.items() if times > 1] == []
    assert set(words.WORDS) <= set(found)


def test_both_languages_take_as_many_values() -> None:
    def values(text: str) -> int:
        return sum(field is not None for _, field, _, _ in string.Formatter().parse(text))

    assert [key for key, (english, chinese) in words.WORDS.items() if values(english) != values(chinese)] == []
