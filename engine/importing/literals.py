"""Settings in a Python file, read without running it: names that plain values and calls of `dict` are assigned to."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any


def literals(path: Path) -> dict[str, Any]:
    """Return the top-level names with plain values. What is computed is left out; of a file that is no Python all."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = _value(node.value)
            except (ValueError, RecursionError):
                continue
    return found


def _value(node: ast.expr) -> Any:
    """Raises ValueError for what is no plain value."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {word.arg: _value(word.value) for word in node.keywords if word.arg is not None}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key)): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError) as error:
        raise ValueError(str(error)) from error
