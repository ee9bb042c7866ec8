"""A record of runs that are unlike each other, or not at their end: it says so and concludes nothing from them."""

from __future__ import annotations

import re

import pytest

from detui.engine.record import fill, record_path
from detui.engine.record.blocks import find
from detui.engine.record.gather import gather
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter

GPUS = {"kind": "cuda", "count": 1, "candidates": ["GPU-a", "GPU-b", "GPU-c"],
        "names": ["GPU 0, A100", "GPU 1, A100", "GPU 2, T4"], "driver": "550.54", "cuda": "12.4"}  # fmt: skip


def rows(text, block):
    """The body of a block's table: lists of cells."""
    lines = [line for line in find(text)[block].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def filled(trial, language="en"):
    fill(trial.path)
    return record_path(trial.path, language).read_text()


@pytest.fixture
def partly(make_trial):
    """Three seeds an arm, one of them stopped at epoch 14 of 30."""
    trial = make_trial(seeds=(0, 1, 2), profile="full")
    for name in trial.runs:
        early = name == "no-mosaic-s2"
        trial.train(name, 14 if early else 30, ended="stopped" if early else "finished")
    return trial


class TestUnfinished:
    def test_its_row_stays_with_a_mark(self, partly):
        text = filled(partly)
        row = next(row for row in rows(text, "results") if row[1].startswith("2 ") and row[0] == "`no-mosaic`")
        assert row[1] == "2 (unfinished: 14/30)" and re.fullmatch(r"[0-9.]+", row[2]) and row[8] == "10"
        assert any(row[1] == "2 (unfinished: 14/30)" for row in rows(text, "cost"))
        assert "2 (未完成: 14/30)" in record_path(partly.path, "zh").read_text()

    def test_it_enters_no_mean(self, partly):
        facts, text = gather(partly.path), filled(partly)
        whole = [run.chosen["values"]["val/AP"] for run in facts.of("no-mosaic") if run.state == "finished"]
        assert list(facts.values("no-mosaic", "val/AP").values()) == whole and len(whole) == 2
        assert list(facts.results()["no-mosaic"]["val/AP"]) == [0, 1]
        (mean,) = [row for row in rows(text, "results") if "mean" in row[1] and "no-mosaic" in row[0]]
        assert "n = 2" in mean[1] and "2 of 3 seeds finished" in mean[1]
        assert f"{50 * sum(whole):.1f}" in mean[2]
        at_ten = next(row for row in rows(text, "milestones") if row[:2] == ["10", "`no-mosaic`"])
        assert "(n = 2)" not in at_ten[2] and re.search(r"; s2: [0-9.]+ \(unfinished\)", at_ten[2])

    def test_nothing_is_concluded_from_the_rest(self, partly):
        text = filled(partly)
        reason = "(runs unfinished: `no-mosaic-s2`)"
        assert all(row[-1].endswith(reason) and "inconclusive" in row[-1] for row in rows(text, "delta"))
        assert rows(text, "delta")[0][5] == "3 / 2"
        goals = rows(text, "goals")
        assert all("inconclusive" in row[-1] and reason in row[-1] for row in goals[:2])
        assert reason in find(text)["title"]
        assert "未完成的运行" in record_path(partly.path, "zh").read_text()

    def test_an_arm_without_a_finished_run_is_open_too(self, trial):
        for name in trial.runs:
            early = name.startswith("no-mosaic")
            trial.train(name, 14 if early else 30, ended="killed" if early else "finished")
        text = filled(trial)
        assert all("runs unfinished: `no-mosaic-s0`, `no-mosaic-s1`" in row[-1] for row in rows(text, "delta"))
        (mean,) = [row for row in rows(text, "results") if "mean" in row[1] and "no-mosaic" in row[0]]
        assert mean[2] == "_(not measured yet)_" and "0 of 2 seeds finished" in mean[1]

    def test_a_stopped_run_that_was_resumed_to_its_end_counts(self, partly):
        partly.train("no-mosaic-s2", number=2, after=14)
        text = filled(partly)
        assert "(unfinished" not in text and "runs unfinished" not in text and rows(text, "delta")[0][5] == "3 / 3"
        assert gather(partly.path).values("no-mosaic", "val/AP").keys() == {0, 1, 2}


class TestDevices:
    def test_every_attempt_says_its_device(self, make_trial):
        trial = make_trial(device=GPUS)
        for name in trial.runs:
            begin_on(trial, name, "GPU-a", "A100")
        text = filled(trial)
        found = dict(rows(text, "environment"))
        assert found["GPU used"] == "A100 (`GPU-a`)" and "T4" in found["could choose from"]
        assert all(row[6] == "A100 (`GPU-a`)" for row in rows(text, "runs"))
        assert "🛑" not in find(text)["title"]

    def test_different_models_are_loud(self, make_trial):
        trial = make_trial(device=GPUS)
        for name in trial.runs:
            begin_on(trial, name, "GPU-a", "A100", epochs=20, ended="stopped")
        begin_on(trial, "baseline-s0", "GPU-c", "T4", number=2, after=20)
        text = filled(trial)
        title = find(text)["title"]
        assert "🛑" in title and "different device models" in title and "T4: `baseline-s0`" in title
        row = next(row for row in rows(text, "runs") if row[0] == "`baseline-s0`")
        assert row[6] == "1: A100 (`GPU-a`); 2: T4 (`GPU-c`)"
        assert "不同型号的设备" in find(record_path(trial.path, "zh").read_text())["title"]

    def test_a_worker_that_names_no_device_has_the_name_of_the_samples(self, make_trial):
        trial = make_trial(device=GPUS)
        begin_on(trial, "baseline-s0", "GPU-c", None)
        writer = LineWriter(trial.runs["baseline-s0"].attempt(1).telemetry_path)
        writer.write({"t": 99.0, "rss": 1, "gpus": [{"uuid": "GPU-c", "name": "T4"}]})
        writer.close()
        assert dict(rows(filled(trial), "environment"))["GPU used"] == "T4 (`GPU-c`)"


class TestCode:
    LAUNCH = {"version": "0.1.0", "commit": "a" * 40, "dirty": False, "diff": None, "tree": "sha256:" + "1" * 64}

    def test_other_code_than_the_launch_is_loud(self, make_trial):
        trial = make_trial(code=self.LAUNCH)
        same = {"version": "0.1.0", "commit": "a" * 40, "tree": "sha256:" + "1" * 64}
        trial.train("baseline-s0", 14, ended="stopped", begin={"code": same})
        assert "🛑" not in find(filled(trial))["title"]
        trial.train("baseline-s0", number=2, after=14, begin={"code": {**same, "commit": "b" * 40, "tree": "2" * 64}})
        title = find(filled(trial))["title"]
        assert "🛑" in title and "Attempt 2 of `baseline-s0` ran other code than the launch" in title
        assert "`aaaaaaaaaaaa` → `bbbbbbbbbbbb`" in title and "Attempt 1" not in title
        assert "`baseline-s0` 的第 2 次尝试" in find(record_path(trial.path, "zh").read_text())["title"]

    def test_uncommitted_changes_are_other_code_and_a_commit_alone_is_not(self, make_trial):
        trial = make_trial(code=self.LAUNCH)
        trial.train("baseline-s0", begin={"code": {"commit": "c" * 40, "tree": self.LAUNCH["tree"]}})
        trial.train("baseline-s1", begin={"code": {"commit": "a" * 40, "tree": "3" * 64}})
        title = find(filled(trial))["title"]
        assert "baseline-s0` ran other code" not in title
        assert "Attempt 1 of `baseline-s1` ran other code than the launch: tree `111111111111`" in title


class TestAttempts:
    def test_the_tables_are_those_of_the_attempt_that_made_the_checkpoint(self, make_trial):
        trial = make_trial(checkpoint_rule={"rule": "last"})
        trial.train("baseline-s0", 24, ended="stopped")
        packages = {"Python": "3.11.7", "torch": "2.14.0", "ultralytics": "8.4.190"}
        begin = {"packages": packages, "used": {"lr0": 0.009, "amp": False}}
        trial.train("baseline-s0", 26, number=2, after=24, begin=begin)
        text = filled(trial)
        (run, *_) = gather(trial.path).runs
        assert (run.chosen["attempt"], run.chosen["epoch"]) == (1, 20)
        assert dict(rows(text, "environment"))["torch"] == "2.13.0"
        assert rows(text, "hyperparameters")[0][4] == "`0.002`"
        said = find(text)["environment"]
        assert "Attempt 2 of `baseline-s0` had other packages than attempt 1: `torch` `2.13.0` → `2.14.0`" in said
        assert "other used values than attempt 1: `lr0` `0.002` → `0.009`" in said

    def test_attempts_that_are_alike_need_no_word(self, trial):
        trial.train("baseline-s0", 14, ended="stopped")
        trial.train("baseline-s0", number=2, after=14)
        assert "had other" not in filled(trial)


class TestCost:
    def test_epochs_without_a_time_are_not_passed_over(self, trial):
        trial.train("baseline-s0", 20)
        path = trial.runs["baseline-s0"].attempt(1).metrics_path
        path.write_text(path.read_text().replace('"seconds":3.25', '"seconds":null', 8))
        row = rows(filled(trial), "cost")[0]
        assert "39.0 s (12 of 20 epochs)" in row or "39 s (12 of 20 epochs)" in row
        assert "cost/training_seconds" not in gather(trial.path).runs[0].cost, "part of a time is no cost to compare"

    def test_the_allocators_peak_comes_before_what_it_held_at_a_step(self, make_trial):
        trial = make_trial(device=GPUS)
        spec = trial.runs["baseline-s0"].spec().to_json()
        write_json(trial.runs["baseline-s0"].spec_path, {**spec, "device": {**spec["device"], "kind": "cuda"}})
        trial.train("baseline-s0", evaluate=False)
        assert gather(trial.path).runs[0].cost["cost/gpu_memory"].value == 5
        path = trial.runs["baseline-s0"].attempt(1).metrics_path
        path.write_text(path.read_text().replace('"memory/reserved":5', '"memory/reserved":5,"memory/peak":4'))
        facts = gather(trial.path)
        assert facts.runs[0].cost["cost/gpu_memory"].value == 4
        assert "gpu" in str(Results(facts, Words("en"), Ledger()).cost()).lower()


def begin_on(trial, name, device, model, epochs=30, **how):
    """Train on a GPU that the worker calls `model`."""
    begin = {"device": {"kind": "cuda", "name": model, "cuda": "12.4"}}
    trial.train(name, epochs, device=device, begin=begin, evaluate=False, **how)


class TestMachines:
    """A run of Slurm's trains on a node, not where it was launched."""

    def test_the_table_is_of_the_machines_that_the_runs_were_on(self, make_trial):
        options = {
            "partition": "gpu",
            "time": "08:00:00",
            "gpus": 1,
            "options": ["--exclude=n7", "--nice"],
            "account": None,
        }
        trial = make_trial(seeds=(0, 1), executor={"name": "slurm", "options": options}, device=GPUS)
        for name in trial.runs:
            trial.train(name, device="GPU-a")
        text = filled(trial)
        assert "box" in text and "jobs none" in text, "no attempt says where it was"
        for number, run in enumerate(trial.runs.values()):
            host = {"hostname": f"n{number % 2}", "os": "Rocky 9", "cpu": "Another CPU", "cores": 8, "memory": 2**37,
                    "driver": "575.1"}  # fmt: skip
            write_json(run.attempt(1).path / "attempt.json", {"number": 1, "host": host, "slurm": f"12_{number}"})
        text = filled(trial)
        environment = dict(row[:2] for row in rows(text, "environment"))
        assert environment["host"] == "n0, n1" and environment["operating system"] == "Rocky 9"
        assert environment["CPU"] == "Another CPU (8 cores)" and environment["memory"] == "128.0 GiB"
        assert environment["GPU driver"] == "575.1", "not the launching machine's"
        setup = dict(row[:2] for row in rows(text, "setup"))
        assert setup["started by"] == (
            "Slurm; jobs `12_0`, `12_1`, `12_2`, `12_3`; asked for `partition=gpu`, `time=08:00:00`, `gpus=1`, "
            "`options=--exclude=n7 --nice`"
        )
        assert "作业 `12_0`" in record_path(trial.path, "zh").read_text()

    def test_a_run_of_this_machine_says_nothing_of_a_scheduler(self, make_trial):
        trial = make_trial(seeds=(0,), executor={"name": "local"})
        for name in trial.runs:
            trial.train(name)
        assert "started by" not in filled(trial)
