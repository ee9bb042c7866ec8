"""Which figure of the experiment a label means, and its path as the document would write it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from detui.engine.record.facts import ExperimentFacts, Source
from detui.engine.record.foreign.labels import key
from detui.engine.record.foreign.questions import Question, Refusal
from detui.engine.record.foreign.values import Value

_KINDS = (
    (re.compile(r"(?<![a-z])p-?r(?![a-z])|precision[ -]recall"), "pr"),
    (re.compile(r"loss|损失"), "losses"),
    (re.compile(r"(?<![a-z])m?ap(?![a-z])"), "ap"),
    (re.compile(r"检测|detection"), "detections"),
)
"""The first that a label matches, else the first that its section matches. Every figure shows all arms."""
_CURVES = re.compile(r"曲线|curve")
_COMPARED = re.compile(r"对比图?|comparison")
_SIZE = re.compile(r"small|medium|large|小目标|大目标")
_SMALL = re.compile(r"small|小目标")
_FAILURE = re.compile(r"fail|失败|误检|漏检")


def picture(question: Question, facts: ExperimentFacts, folder: Path) -> Value | Refusal:
    """The figure that a placeholder asks for, with its path seen from `folder`; no path of another kind is written."""
    names = sorted(path.name for path in (facts.path / "figures").glob("*.png"))
    there = f"the experiment's figures: {', '.join(names) or 'none yet'}"
    label, section = key(question.label), key(" ".join(question.path[-1:]))
    curves = bool(_CURVES.search(section))
    kind = _kind((label, "" if curves else section)) or ("ap" if curves and _COMPARED.search(label) else None)
    if _FAILURE.search(label):
        kind = next((name for name in ("misses", "failures") if f"{name}.png" in names), None)
    if kind == "detections" and _SIZE.search(label):
        if not _SMALL.search(label) or "small_objects.png" not in names:
            return Refusal("there is no figure with detections of this size alone (figures/detections.png shows all)")
        kind = "small_objects"
    if kind is None:
        return Refusal(f"which figure is meant is not known ({there})")
    path = facts.path / "figures" / f"{kind}.png"
    if not path.is_file():
        return Refusal(f"figures/{kind}.png has not been drawn ({there})")
    text = os.path.relpath(path, folder)
    source = Source("", 0, None, f"figures/{kind}.png")
    return Value(kind="text", text=text, quantity=f"figure/{kind}", arm="", sources=(source,), note="all arms")


def _kind(texts: Sequence[str]) -> str | None:
    return next((kind for text in texts for pattern, kind in _KINDS if pattern.search(text)), None)
