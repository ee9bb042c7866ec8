"""Whole-or-absent JSON files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from detui.engine.errors import FormatError, MissingError, RunError
from detui.engine.run.files import number, read_json, read_json_if_there, write_json


def test_what_is_written_is_read_back_with_a_schema(hostile_path: Path) -> None:
    path = hostile_path / "a.json"
    write_json(path, {"名": "值", "nan": math.nan, "inf": [-math.inf], "path": Path("/x")})
    found = read_json(path)
    assert found == {"schema": 1, "名": "值", "nan": "NaN", "inf": ["-Infinity"], "path": "/x"}
    assert math.isnan(number(found["nan"]) or 0) and number(found["inf"][0]) == -math.inf
    assert "名" in path.read_text(), "Chinese stays readable"
    assert list(hostile_path.iterdir()) == [path], "no temporary file is left"


def test_a_file_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "a.json", {"path": name})
    assert read_json(tmp_path / "a.json")["path"] == name


def test_a_broken_file_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    path.write_text('{\n "state": "finished",\n "code": }\n')
    with pytest.raises(FormatError) as caught:
        read_json(path)
    assert caught.value.where == f"{path}:3:10"


@pytest.mark.parametrize("content", [b"[]", b"\xff{}", b"", b'{"schema": "1"}'])
def test_what_is_no_object_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_json(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(caught.value)


def test_a_newer_schema_is_refused_by_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"schema": 7}))
    with pytest.raises(FormatError, match=r"format 7.*up to 1"):
        read_json(path)


def test_an_absent_file(tmp_path: Path) -> None:
    assert read_json_if_there(tmp_path / "no.json") is None
    with pytest.raises(MissingError, match=r"no\.json"):
        read_json(tmp_path / "no.json")


def test_a_directory_that_is_gone_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="was the experiment removed") as caught:
        write_json(tmp_path / "gone" / "a.json", {})
    assert str(tmp_path / "gone" / "a.json") in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    (tmp_path / f".a.json.{os.getpid()}.tmp").mkdir()  # the temporary file cannot be made
    with pytest.raises(RunError):
        write_json(path, {"x": 2})
    assert read_json(path)["x"] == 1
