"""YAML with places: every value remembers the line and column where it was written.

YAML 1.2 through ruamel.yaml's safe loader: ``1e-4`` is a number (YAML 1.1
reads a string), ``no`` is a string, and no tag can construct an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.errors import MissingError, UsageError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

Keys = tuple["str | int", ...]
"""The way from the root of a document to a value: ``("arms", "weighted", "train", "lr0")``."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file: its value, and where each part of it stands."""

    value: Any
    source: str
    """What to call the file in messages."""
    text: str
    places: dict[Keys, tuple[int, int]] = field(repr=False)
    """Line and column (from 1) of each key; of the item itself in a list."""

    def where(self, keys: Keys) -> str:
        """`file:line:column` of a value, or of the nearest enclosing one that the file has."""
        for end in range(len(keys), -1, -1):
            if place := self.places.get(keys[:end]):
                return f"{self.source}:{place[0]}:{place[1]}"
        return self.source

    def below(self, *prefix: str | int) -> Callable[[Keys], str]:
        """`where` for a part of the file: the keys given to it continue `prefix`."""
        return lambda keys: self.where((*prefix, *keys))


def load_yaml(path: Path) -> Document:
    """Read a file. Raises MissingError when it is absent, UsageError with line and column when it is broken."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingError(f"There is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The file is not UTF-8 text (byte {error.start}).", where=str(path), hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise UsageError(f"The file cannot be read: {error.strerror}.", where=str(path)) from None
    return parse_yaml(text, source=str(path))


def parse_yaml(text: str, *, source: str) -> Document:
    """Parse YAML text. Raises UsageError with line and column: syntax, a repeated key, a tag, an alias loop."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        places: dict[Keys, tuple[int, int]] = {}
        value = _Builder(yaml, source, places).build(root, ()) if root is not None else None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        message = f"This is not valid YAML: {error.problem or error.context}."
        raise UsageError(message, where=place, hint="check indentation, quotes and brackets there") from None
    except YAMLError as error:
        raise UsageError(f"This is not valid YAML: {str(error).splitlines()[0]}.", where=source) from None
    return Document(value, source, text, places)


def walk(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every leaf of nested mappings (a list counts as one leaf) with the keys that lead to it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from walk(inner, (*keys, key))
    else:
        yield keys, value


_PLAIN_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


class _Builder:
    """Turns composed nodes into plain values, noting where each one stands."""

    def __init__(self, yaml: Any, source: str, places: dict[Keys, tuple[int, int]]) -> None:
        self._yaml, self._source, self._places = yaml, source, places
        self._open: list[int] = []

    def build(self, node: Node, keys: Keys) -> Any:
        """The plain value of `node`; its place is noted unless its key has one already."""
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        self._places.setdefault(keys, _place(node))
        if not isinstance(node, ScalarNode) and str(node.tag) not in _PLAIN_TAGS:
            raise UsageError(f"The tag {node.tag} is not read: values are plain.", where=self._where(node))
        if id(node) in self._open:
            raise UsageError("An alias refers to itself.", where=self._where(node))
        self._open.append(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, keys)
            if isinstance(node, SequenceNode):
                return [self.build(item, (*keys, index)) for index, item in enumerate(node.value)]
            return self._yaml.constructor.construct_object(node, deep=True)
        finally:
            self._open.pop()

    def _mapping(self, node: Node, keys: Keys) -> dict[str | int, Any]:
        result: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            key = self._yaml.constructor.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int)):
                raise UsageError(f"A key must be a word, and this is {key!r}.", where=self._where(key_node))
            if key in result:
                raise UsageError(
                    f"The key {key!r} stands here a second time.",
                    where=self._where(key_node),
                    hint="keep one of the two",
                )
            path = (*keys, key)
            self._places[path] = _place(key_node)
            result[key] = self.build(value_node, path)
        return result

    def _where(self, node: Node) -> str:
        line, column = _place(node)
        return f"{self._source}:{line}:{column}"


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
