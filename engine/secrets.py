"""Secrets kept out of what people paste: records, frozen plans, `--json`.

A recipe may pass a token to a program, a command line may hold a password, a URL may carry both. What a run needs stays
in its spec.json, which its user alone can read; everything that is written to be shown goes through `redacted`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
"""Stands where a secret was."""

_WORDS = r"token|secret|password|passwd|passphrase|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|auth"

_NAME = re.compile(rf"(?:.*[_.-])?(?:{_WORDS})(?:[_.-](?:id|key|value))?", re.IGNORECASE)
"""Names of fields whose text is a secret: `wandb_api_key`, `HF_TOKEN`; not `tokenizer`, not `num_tokens`."""

_OPTION = re.compile(rf"--?(?:[\w-]*-)?(?:{_WORDS})", re.IGNORECASE)
"""A command-line option whose value is one."""

_IN_URL = re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]*://)[^/\s@'\"]+@", re.IGNORECASE)
"""The user and the password of a URL."""

_ASSIGNED = re.compile(
    rf"(?P<keep>(?:^|(?<=[\s\"'{{,&?;]))(?:[\w.-]*[_.-])?(?:{_WORDS})[\"']?\s*(?:=|:\s)\s*[\"']?)(?P<value>[^\s\"',;&}}]+)",
    re.IGNORECASE | re.MULTILINE,
)
"""`api_key=…`, `token: …`, in command lines, query strings and YAML."""

_AFTER_OPTION = re.compile(
    rf"(?P<keep>(?:^|(?<=[\s\"']))--?(?:[\w-]*-)?(?:{_WORDS})(?:[= ]|[\"']?,\s*)[\"']?)(?P<value>[^\s\"',\]]+)",
    re.IGNORECASE,
)
"""`--api-key …` in a command line."""

_KNOWN = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}|sk-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
)
"""What well-known services hand out, wherever it stands."""


def redacted(value: Any) -> Any:
    """Return `value` with every secret in its texts, at any depth, as `***`. Numbers are none and stay."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, Mapping):
        return {key: _field(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return _words_of(value)
    return value


def _field(name: str, value: Any) -> Any:
    return _hidden(value) if _NAME.fullmatch(name) else redacted(value)


def _hidden(value: Any) -> Any:
    """Hide every text of a field that is a secret by its name, whatever it is made of."""
    if isinstance(value, str):
        return HIDDEN if value else value
    if isinstance(value, Mapping):
        return {key: _hidden(item) for key, item in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, (list, tuple)) else value


def _words_of(words: list[Any] | tuple[Any, ...]) -> list[Any]:
    """Redact a list; in a command the word after `--token` is the secret."""
    found = []
    before = ""
    for word in words:
        secret = isinstance(word, str) and _OPTION.fullmatch(before)
        found.append(HIDDEN if secret else redacted(word))
        before = word if isinstance(word, str) else ""
    return found


def redacted_text(text: str) -> str:
    """Return a text with passwords in URLs, values given to telling names, and known kinds of tokens as `***`."""
    text = _IN_URL.sub(rf"\g<keep>{HIDDEN}@", text)
    text = _AFTER_OPTION.sub(rf"\g<keep>{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\g<keep>{HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)
