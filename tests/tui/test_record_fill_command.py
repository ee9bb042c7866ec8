"""`detui record fill FILE` as its user calls it."""

from __future__ import annotations

import json

import pytest

DOCUMENT = """\
# 记录

- **mAP@0.5**: (待填写)
- **观察**: (待填写)

| 指标 | Baseline | 改进 |
| ---- | -------- | ---- |
| mAP@0.5 | 24.00% | ? |

**状态**: 训练中
"""


@pytest.fixture
def experiment(workspace, write_runs):
    return write_runs(workspace)


@pytest.fixture
def write_runs():
    """Two finished arms of one seed, evaluated each fourth epoch: AP50 is 0.02 × epoch."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("tui_conftest", Path(__file__).with_name("conftest.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def write(workspace, **facts):
        arms = [{"name": name, "title": None, "config": {}} for name in ("baseline", "no-mosaic")]
        plan = {"arms": arms, "seeds": [0], "checkpoint_rule": {"rule": "best", "metric": "val/AP"}}
        runs = {"baseline-s0": "finished", "no-mosaic-s0": "finished"}
        return module.write_experiment(workspace, runs=runs, **{**plan, **facts})

    return write


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "my record.md"
    path.write_bytes(DOCUMENT.replace("\n", "\r\n").encode())
    return path


def test_it_fills_the_file_and_says_from_where(detui, experiment, document):
    done = detui("record", "fill", str(document))
    assert done.returncode == 0, done.stderr
    text = document.read_bytes().decode()
    assert text.replace("\r\n", "\n") == DOCUMENT.replace("**: (待填写)\n- **观", "**: 24.00%\n- **观").replace(
        "| ? |", "| 24.00% |"
    )
    assert text.count("\r\n") == text.count("\n")
    filled = next(line for line in done.stdout.splitlines() if "mAP@0.5 × 改进" in line)
    assert "val/AP50 (no-mosaic)" in filled and "no-mosaic-s0 attempt 1 epoch 12 evaluations.jsonl" in filled
    assert "a person's to write" in done.stdout and "训练中 → 已完成" in done.stdout
    assert "2 filled, 1 contradicted, 1 left" in done.stderr and "quick run: its numbers are no result" in done.stderr
    again = detui("record", "fill", str(document))
    assert again.returncode == 0 and document.read_bytes().decode() == text and "nothing written" in again.stderr


def test_dry_run_shows_a_diff_and_writes_nothing(detui, experiment, document):
    before = document.read_bytes()
    done = detui("record", "fill", str(document), "--dry-run", "--update")
    assert done.returncode == 0 and document.read_bytes() == before
    assert "+- **mAP@0.5**: 24.00%" in done.stdout and "-**状态**: 训练中" in done.stdout
    assert "val/AP50" in done.stderr and "val/AP50" not in done.stdout


def test_json_has_every_source(detui, experiment, document):
    done = detui("record", "fill", str(document), "--json", "--map", "mAP@0.5=val/AP", "--arm", "baseline")
    report = json.loads(done.stdout)
    assert report["written"] and [entry["quantity"] for entry in report["filled"]] == ["val/AP", "val/AP"]
    file = "runs/baseline-s0/attempts/1/evaluations.jsonl"
    assert report["filled"][0]["sources"] == [
        {"run": "baseline-s0", "attempt": 1, "epoch": 12, "iteration": None, "file": file}
    ]
    assert report["left"][0]["note"] == "a person's to write" and report["left"][0]["line"] == 4


def test_an_experiment_still_fills_its_own_record(detui, experiment):
    assert detui("record", "fill", "last", "--dry-run").returncode == 2
    assert "FILE" in detui("record", "fill", "last", "--map", "a=b").stderr


def test_mistakes_say_what_and_where_and_what_next(detui, experiment, document, tmp_path):
    def wrong(*arguments: str) -> tuple[int, str]:
        done = detui("record", "fill", *arguments)
        assert "Traceback" not in done.stderr and done.stdout == ""
        return done.returncode, done.stderr

    before = document.read_bytes()
    latin = tmp_path / "latin.md"
    latin.write_bytes("# x\n\n- 训练时间: ?\n".encode("gb18030"))
    code, said = wrong(str(latin))
    assert code == 2 and "latin.md:3" in said and "iconv" in said
    assert wrong(str(tmp_path))[0] == 2 and "directory" in wrong(str(tmp_path))[1]
    assert wrong(str(tmp_path / "none.md"))[0] == 3
    assert wrong(str(document), "--experiment", "nosuch")[0] == 3
    code, said = wrong(str(document), "--map", "x=val/AP5O")
    assert code == 2 and "val/AP50" in said
    assert wrong(str(document), "--map", "nothing")[0] == 2
    code, said = wrong(str(document), "--arm", "no-mosiac")
    assert code == 2 and "no-mosaic" in said
    assert wrong(str(document), "--seed", "7")[0] == 3
    assert document.read_bytes() == before


def test_without_an_evaluation_nothing_can_be_filled(detui, workspace, write_runs, document):
    write_runs(workspace, epochs_done=4)
    done = detui("record", "fill", str(document))
    assert done.returncode == 1 and "has a finished evaluation yet" in done.stderr and done.stdout == ""
