"""The language of the interface. English stands in the code and is the key of every translation.

`tr("Stop {name}?", name=run)` gives the sentence in the language in use. A test reads every call in `tui/` and every
key's label and tooltip, and fails where `chinese.py` lacks one or holds one that nobody says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_current = "en"


def use(language: str) -> None:
    """Speak English ("en") or Chinese ("zh") from now on."""
    global _current
    _current = language


def current() -> str:
    """Return the language in use."""
    return _current


def tr(text: str, /, **values: Any) -> str:
    """Return a text of the interface in the language in use, with `{name}` replaced by the values given."""
    if _current == "zh":
        from detui.tui.chinese import TEXTS

        text = TEXTS.get(text, text)
    return text.format(**values) if values else text


def of_environment(environ: Mapping[str, str] | None = None) -> str:
    """Return the language that the locale asks for: Chinese where it begins with "zh", else English."""
    environ = os.environ if environ is None else environ
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if locale.startswith("zh") else "en"
