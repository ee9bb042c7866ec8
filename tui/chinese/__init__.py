"""The Chinese of the interface: English text → Chinese text. What is missing is shown in English.

The words are those of the records (`engine/record/words.py` and the templates): 配方, 实验组, 运行, 档位, 测得, 声称值.
Titles of columns, tabs, states and the line of keys are short: a character takes two cells.
"""

from __future__ import annotations

from detui.tui.chinese import compare, keys, places, recipes, runs, settings, weights

TEXTS: dict[str, str] = {
    **keys.TEXTS,
    **runs.TEXTS,
    **recipes.TEXTS,
    **compare.TEXTS,
    **places.TEXTS,
    **settings.TEXTS,
    **weights.TEXTS,
}
