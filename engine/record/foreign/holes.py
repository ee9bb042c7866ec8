"""What counts as a placeholder that somebody left to be filled."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CHINESE = "待(?:填写|填|补充|补|生成|定|测试|测量|测|更新|完成|评估|确认|统计|记录)"
_ENGLISH = (
    r"tbd|tba|todo|fixme|to be (?:filled(?: in)?|added|measured|determined|completed|generated|done|confirmed)"
    r"|to fill(?: in)?|fill in|not yet measured"
)
_OPEN, _CLOSE = r"[(（\[【<{]+", r"[)）\]】>}]+"
_NOTE = r"(?:\s*[,，;；:：][^()（）\[\]【】<>{}|]*)?"
"""What a bracketed placeholder may add: "(待填写, +15-20 小时)"."""
_WORD = rf"(?:{_CHINESE}|{_ENGLISH})"
_PLACE = rf"(?:{_OPEN}\s*(?:{_WORD}{_NOTE}|[?？]+|_{{2,}})\s*{_CLOSE}|{_WORD}|[?？]+|(?:\\?_){{2,}})"
_UNIT = r"(?:\s*(?P<unit>%|％|[MKGBTmkgbt](?![\w]))|)"
_WHOLE = re.compile(
    rf"\s*(?P<mark>\*{{1,3}}|_(?=[(（\[【])|`+|)\s*(?P<place>{_PLACE}){_UNIT}\s*(?P=mark)\s*", re.IGNORECASE
)
_WITHIN = re.compile(rf"{_OPEN}\s*{_WORD}{_NOTE}\s*{_CLOSE}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hole:
    """A placeholder within a text: characters `start` to `end` are to be replaced."""

    start: int
    end: int
    unit: str = ""
    """A unit that stands behind the placeholder and stays there: "___ %"."""


def hole(text: str) -> Hole | None:
    """Return the placeholder that is all of `text`, but for blanks, emphasis and a unit; None where there is none.

    An empty text is a placeholder only to a table: its reader decides.
    """
    match = _WHOLE.fullmatch(text)
    return Hole(match.start("place"), match.end("place"), match["unit"] or "") if match else None


def mentions(text: str) -> bool:
    """Tell whether a bracketed placeholder stands somewhere in a longer text, or is all of it."""
    return bool(_WITHIN.search(text)) or hole(text) is not None


def bracketed(text: str) -> list[tuple[int, int]]:
    """Return where the bracketed placeholders of a text begin and end: "(to be filled in)", "(待填写)"."""
    return [match.span() for match in _WITHIN.finditer(text)]
