"""What is asked of Slurm: where it is said, which word wins, and what is wrong with it, with its place."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.errors import MissingError, UsageError
from detui.engine.executor.slurm.submit import script_text
from detui.engine.placement import place_in_slurm
from detui.engine.slurm_options import SlurmLaunch, SlurmOptions, launched

CONFIG = """\
slurm:
  partition: main
  account: lab
  cpus: 8
  gpus: a100:1
  options: [--exclude=n7]
  recipes:
    starter/mosaic:
      partition: long
      time: 12:00:00
      account: null
"""


def configuration(folder: Path, text: str) -> Configuration:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return Configuration.load(environ={"HOME": str(folder), "DETUI_CONFIG": str(file)})


def test_a_launch_is_over_the_recipe_and_the_recipe_over_the_rest(tmp_path: Path) -> None:
    known = configuration(tmp_path, CONFIG)
    assert known.settings["slurm.recipes.starter/mosaic.time"].source.endswith("config.yaml:10:7")
    general, own = known.slurm("starter/other"), known.slurm("starter/mosaic")
    assert (general.partition, general.time, general.cpus) == ("main", None, 8)
    assert (own.partition, own.time, own.account, own.gpus) == ("long", "12:00:00", "lab", "a100:1")
    asked = launched(["partition=short", "options=--nice=5 --comment='two words'", "options=-v"]).over(own)
    assert (asked.partition, asked.time, asked.cpus) == ("short", "12:00:00", 8)
    assert asked.options == ("--nice=5", "--comment=two words", "-v"), "a list replaces a list"


def test_gpus_follow_the_run_unless_something_else_is_said() -> None:
    def gres(options: SlurmOptions, gpus: int) -> list[str]:
        return [word for word in options.words(gpus=gpus, threads=4) if word.startswith("--gres")]

    assert gres(SlurmOptions(), 2) == ["--gres=gpu:2"]
    assert gres(SlurmOptions(gpus="a100:2"), 2) == ["--gres=gpu:a100:2"]
    assert gres(SlurmOptions(gres="gpu:1,shard:2"), 2) == ["--gres=gpu:1,shard:2"]
    assert gres(SlurmOptions(gpus="a100:2"), 0) == gres(SlurmOptions(gres="gpu:1"), 0) == []
    assert gres(SlurmOptions(gres="bandwidth:1"), 0) == ["--gres=bandwidth:1"]
    assert gres(SlurmOptions(gpus="4").over(SlurmOptions(gres="gpu:1")), 1) == ["--gres=gpu:4"], "the later is meant"


def test_the_words_of_sbatch() -> None:
    words = SlurmOptions(partition="gpu", time="60", mem="8G", options=("--nice",)).words(gpus=1, threads=4)
    assert words == [
        "--partition=gpu", "--time=60", "--mem=8G", "--gres=gpu:1", "--signal=B:USR1@120", "--cpus-per-task=4", "--nice"
    ]  # fmt: skip
    assert "--signal=B:USR1@30" in SlurmOptions(notice=30).words(gpus=0, threads=1)
    assert not any(word.startswith("--signal") for word in SlurmOptions(notice=0).words(gpus=0, threads=1))
    assert "--cpus-per-task=16" in SlurmOptions(cpus=16).words(gpus=1, threads=4)
    assert SlurmOptions.from_json({**SlurmOptions(cpus=2, options=("-v",)).to_json(), "later": 1}) == SlurmOptions(
        cpus=2, options=("-v",)
    )


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("slurm: gpu\n", "1:1", "mapping of options"),
        ("slurm:\n  partiton: gpu\n", "2:3", "no option 'partiton'"),
        ("slurm:\n  cpus: many\n", "2:3", "cpus must be a whole number"),
        ("slurm:\n  cpus: 0\n", "2:3", "1 or more"),
        ("slurm:\n  time: [1]\n", "2:3", "time must be a text"),
        ("slurm:\n  options: [--array=0-3]\n", "2:3", "--array is given by detui"),
        ("slurm:\n  options: {a: b}\n", "2:3", "list of words"),
        ("slurm:\n  recipes: [a]\n", "2:3", "slurm.recipes must be a mapping"),
        ("slurm:\n  recipes:\n    mosaic: {}\n", "3:5", "family/name"),
        ("slurm:\n  recipes:\n    a/b:\n      tme: 1\n", "4:7", "no option 'tme'"),
    ],
)
def test_what_is_wrong_in_the_file_has_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        configuration(tmp_path, text)
    assert str(raised.value.where).endswith(f"config.yaml:{place}")
    assert raised.value.hint


@pytest.mark.parametrize(
    ("word", "words", "hint"),
    [
        ("partition", "key=value", "--slurm partition=gpu"),
        ("partition=", "key=value", "--slurm partition=gpu"),
        ("partitoin=gpu", "no option 'partitoin'", "partition"),
        ("cpus=-1", "whole number", "cpus: 8"),
        ("options='--a", "told apart", "quotes"),
        ("options=--signal=USR2@9", "given by detui", "notice"),
        ("options=--nodes=2", "given by detui", "nodes: 2"),
        ("nodes=0", "whole number, 1 or more", "nodes: 2"),
    ],
)
def test_what_is_wrong_at_a_launch_names_the_word(word: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        launched([word])
    assert raised.value.where == f"--slurm {word}" and hint in str(raised.value.hint)


def test_what_is_asked_for_on_several_nodes_is_asked_on_each(tmp_path: Path) -> None:
    known = configuration(tmp_path, "slurm:\n  nodes: 2\n  recipes:\n    a/b: {nodes: 3}\n")
    assert (known.slurm("a/b").nodes, known.slurm("c/d").nodes) == (3, 2)
    slurm = SlurmLaunch(launched(["nodes=2"]), ("nodes=2",))
    assert slurm.options.words(gpus=4, threads=16)[:3] == ["--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]
    assert {"--gres=gpu:4", "--cpus-per-task=16"} <= set(slurm.options.words(gpus=4, threads=16))
    found = place_in_slurm("4", slurm, own_torch=False)
    assert (found.count, found.nodes, found.devices, found.request().count) == (4, 2, 8, 4)
    assert found.facts()["nodes"] == 2 and found.names == ("4 GPUs of Slurm's choice on each of 2 nodes",)
    assert found.words() == ["--devices", "4", "--executor", "slurm", "--slurm", "nodes=2"]
    one = place_in_slurm("4", SlurmLaunch(SlurmOptions(nodes=1)), own_torch=False)
    assert (one.nodes, one.devices) == (1, 4) and "nodes" not in one.facts()
    assert not any("node" in word for word in SlurmOptions(nodes=1).words(gpus=1, threads=1))


def test_a_machine_without_gpus_plans_runs_on_gpus() -> None:
    slurm = SlurmLaunch(SlurmOptions())
    for asked, kind, count in ((None, "cuda", 1), ("auto", "cuda", 1), ("2", "cuda", 2), ("cpu", "cpu", 1)):
        found = place_in_slurm(asked, slurm, own_torch=False)
        assert (found.kind, found.count, found.candidates) == (kind, count, ())
        assert found.request().granted and found.executor()["name"] == "slurm"
    assert place_in_slurm("2", SlurmLaunch(SlurmOptions(), ("partition=gpu",)), own_torch=False).words() == [
        "--devices", "2", "--executor", "slurm", "--slurm", "partition=gpu"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "more", "where"),
    [
        ("0,3", {}, "--devices"),
        ("GPU-12", {}, "--devices"),
        ("0", {}, "--devices"),
        ("1", {"min_free_memory": "8G"}, "--min-free-memory"),
        ("1", {"on_busy": "fail"}, "--on-busy"),
        ("cpu", {"cpu_slots": 2}, "--cpu-slots"),
    ],
)
def test_what_is_of_one_machine_is_refused(asked: str, more: dict[str, object], where: str) -> None:
    with pytest.raises(UsageError) as raised:
        place_in_slurm(asked, SlurmLaunch(SlurmOptions()), own_torch=False, **more)  # type: ignore[arg-type]
    assert raised.value.where == where and raised.value.hint


def test_gpus_need_a_torch_that_can_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detui.engine.placement.version", lambda _name: "2.13.0+cpu")
    assert place_in_slurm("auto", SlurmLaunch(SlurmOptions())).kind == "cpu"
    with pytest.raises(MissingError, match="built for the CPU"):
        place_in_slurm("1", SlurmLaunch(SlurmOptions()))


def test_no_path_becomes_a_part_of_the_script(hostile_path: Path) -> None:
    path = hostile_path / "new\nline $(touch pwned) `x`" / "1.json"
    text = script_text("/opt/my env/bin/python", path, fresh=True)
    assert text.startswith("#!/bin/sh\nexec ")
    words = shlex.split(text.removeprefix("#!/bin/sh\n"))
    assert words == ["exec", "/opt/my env/bin/python", "-m", "detui.engine.process.in_job", str(path), "--fresh"]
