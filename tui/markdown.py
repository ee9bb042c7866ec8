"""Markdown of records, made ready for a terminal."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def without_comments(text: str) -> str:
    """Return Markdown without HTML comments: they mark who owns a block, and are not for reading."""
    return _COMMENT.sub("", text)
