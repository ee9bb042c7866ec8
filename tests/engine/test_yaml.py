"""YAML 1.2 with the place of every value."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.errors import MissingError, UsageError
from detui.engine.yaml import load_yaml, parse_yaml, walk


def test_numbers_and_words_as_the_field_writes_them() -> None:
    value = parse_yaml("a: 1e-4\nb: no\nc: 1_000\nd: 0.5\ne: true\nf: 12:30\n", source="x").value
    assert (value["a"], value["b"], value["d"], value["e"], value["f"]) == (1e-4, "no", 0.5, True, "12:30")


def test_places_are_those_of_the_keys() -> None:
    document = parse_yaml("a: 1\nb:\n  c: [1, {d: 2}]\n", source="x.yaml")
    assert document.where(("b", "c")) == "x.yaml:3:3"
    assert document.where(("b", "c", 1, "d")) == "x.yaml:3:11"
    assert document.where(("b", "absent")) == "x.yaml:2:1"


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: [1", "a: !!python/name:os.x 1", "a: !x {b: 1}", "? [1]\n: 2", "a: &x [*x]"]
)
def test_what_is_refused_has_a_place(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_yaml(text, source="x.yaml")
    assert str(caught.value.where).startswith("x.yaml:")


def test_files_that_are_absent_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        load_yaml(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_walk_gives_leaves() -> None:
    assert dict(walk({"a": {"b": 1, "c": {}}, "d": [1]})) == {("a", "b"): 1, ("a", "c"): {}, ("d",): [1]}
