"""spec.json and the names in a run directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_runs import toy_spec

from detui.engine.errors import FormatError, MissingError, RunError
from detui.engine.run.directory import RunDir, find_run
from detui.engine.run.spec import RunSpec, StageSpec


def test_a_spec_survives_its_file(hostile_path: Path) -> None:
    spec = toy_spec(environ={"A": "中"}, after=("true",), data={"name": "scenes"})
    run = RunDir.create(hostile_path / "runs" / "baseline-s0", spec)
    assert run.spec() == spec
    assert find_run(run.path) == run
    assert (spec.name, spec.total_epochs) == ("baseline-s0", 4)


def test_a_stage_may_train_on_other_data_and_older_files_say_nothing_of_it(tmp_path: Path) -> None:
    other = {"prepared": "/prepared/simple", "classes": ["cup"]}
    spec = toy_spec(stages=(StageSpec(name="first", epochs=2, config={}, data=other),
                            StageSpec(name="second", epochs=2, config={})))  # fmt: skip
    run = RunDir.create(tmp_path / "runs" / "baseline-s0", spec)
    assert run.spec() == spec and [stage.data for stage in run.spec().stages] == [other, None]
    old = json.loads(run.spec_path.read_text())
    del old["stages"][0]["data"]
    assert RunSpec.from_json(old).stages[0].data is None
    with pytest.raises(FormatError, match=r"`stages\[0\]\.data`"):
        RunSpec.from_json({**old, "stages": [{**old["stages"][0], "data": "simple"}]})


def test_unknown_keys_are_ignored() -> None:
    obj = json.loads(json.dumps(toy_spec().to_json()))
    obj["later"], obj["device"]["later"], obj["stages"][0]["later"] = 1, 2, 3
    assert RunSpec.from_json(obj) == toy_spec()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": "0"}, "`seed`"),
        ({"seed": True}, "`seed`"),
        ({"stages": [{"name": "main", "config": {}}]}, r"`stages\[0\]\.epochs` is missing"),
        ({"device": {"kind": "cpu", "count": 1, "candidates": [0]}}, r"`device\.candidates\[0\]`"),
        ({"after": "true"}, "`after`"),
        ({"schema": 2}, "format 2"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(FormatError, match=field) as caught:
        RunSpec.from_json({**json.loads(json.dumps(toy_spec().to_json())), **change}, "/x/spec.json")
    assert caught.value.where == "/x/spec.json"


def test_a_missing_field_is_named() -> None:
    obj = toy_spec().to_json()
    del obj["trainer"]
    with pytest.raises(FormatError, match="`trainer` is missing"):
        RunSpec.from_json(obj)


def test_a_directory_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="not a run"):
        RunDir(tmp_path).spec()
    assert RunDir(tmp_path).attempts() == [] and RunDir(tmp_path).latest() is None


def test_a_run_is_made_once(tmp_path: Path) -> None:
    RunDir.create(tmp_path / "runs" / "baseline-s0", toy_spec())
    with pytest.raises(RunError, match="File exists"):
        RunDir.create(tmp_path / "runs" / "baseline-s0", toy_spec())


def test_attempts_come_in_order_of_their_numbers(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for name in ("10", "9", "1", "notes"):
        (run.attempts_dir / name).mkdir(parents=True)
    assert [attempt.number for attempt in run.attempts()] == [1, 9, 10]
    latest = run.latest()
    assert latest is not None and latest.number == 10 and latest.run == run
