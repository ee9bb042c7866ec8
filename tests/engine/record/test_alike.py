"""The measured half of the audit, on set-ups in which the arms differed in more than the thing under test."""

from __future__ import annotations

from typing import Any

from detui.engine.record.alike import compare_facts, facts_of
from detui.engine.record.gather import gather


def confounders(sides: dict[str, dict[str, Any]], varies: list[str]) -> dict[str, dict[str, Any]]:
    return {one.field: one.values for one in compare_facts(sides, varies) if one.level == "confounder"}


def test_large_from_coco_weights_against_light_from_scratch() -> None:
    """Document 000: said to compare two models from scratch."""
    large = {"model.name": "rtdetr-l", "model.weights": "rtdetr-l.pt", "train.lr0": 0.0018, "train.batch": 4,
             "train.epochs": 100, "predictions.confidence": 0.25, "protocol.seeds": [0],
             "built.parameters": 32_800_000}  # fmt: skip
    light = {"model.name": "rtdetr-mnv4.yaml", "model.weights": None, "train.lr0": 0.0005, "train.batch": 6,
             "train.epochs": 300, "predictions.confidence": 0.001, "protocol.seeds": [0],
             "built.parameters": 27_200_000}  # fmt: skip
    found = confounders({"L": large, "MNV4": light}, ["model.name"])
    assert set(found) == {"model.weights", "train.lr0", "train.batch", "train.epochs", "predictions.confidence"}
    assert found["train.batch"] == {"L": 4, "MNV4": 6}
    levels = {one.field: one.level for one in compare_facts({"L": large, "MNV4": light}, ["model.name"])}
    assert levels["built.parameters"] == "varies", "another model has other parameters: that follows from the treatment"


def test_one_model_in_two_frameworks_that_were_two_models() -> None:
    """Document 001: 300 queries and 6 layers against 100 and 1, where only the framework was to differ."""
    jittor = {"framework": "jittor", "built.parameters": 31_139_112, "built.queries": 300, "built.decoder_layers": 6,
              "train.lr0": 5e-5, "package.numpy": "1.26"}  # fmt: skip
    torch = {"framework": "pytorch", "built.parameters": 25_467_436, "built.queries": 100, "built.decoder_layers": 1,
             "train.lr0": 5e-5, "package.numpy": "1.26"}  # fmt: skip
    found = confounders({"jittor": jittor, "pytorch": torch}, ["framework"])
    assert set(found) == {"built.parameters", "built.queries", "built.decoder_layers"}
    assert found["built.queries"] == {"jittor": 300, "pytorch": 100}


def test_what_a_side_does_not_know_yet_is_no_difference() -> None:
    sides = {"a": {"train.lr0": 0.1, "built.parameters": 5, "package.torch": "2.13"}, "b": {"train.lr0": 0.1}}
    assert compare_facts(sides, []) == []
    assert set(confounders({"a": {"train.lr0": 0.1}, "b": {}}, [])) == {"train.lr0"}, "a field is, a fact may come"


def test_packages_follow_from_environments_that_are_declared_to_differ() -> None:
    sides = {"torch": {"package.numpy": "2.4", "package.scipy": "1.17", "package.python": "3.11"},
             "moved": {"package.numpy": "2.4", "package.scipy": "1.16", "package.python": "3.11"},
             "jittor": {"package.numpy": "1.26", "package.scipy": "1.15", "package.python": "3.11"}}  # fmt: skip
    of = {"torch": "detui", "moved": "detui", "jittor": "jittor"}
    both = {"package.numpy", "package.scipy"}
    assert set(confounders(sides, ["environment"])) == both, "nobody says which environments those are"
    found = compare_facts(sides, ["train.lr0"], environments=of)
    assert {one.field for one in found if one.level == "confounder"} == both, "the recipe does not declare them"
    scipy, note = compare_facts(sides, ["environment"], environments=of)
    assert (scipy.field, scipy.level) == ("package.scipy", "confounder"), "two versions within one environment"
    assert (note.field, note.level) == ("packages", "note")
    assert note.text == "Packages differ, as the environments do: numpy 2.4 (detui) / 1.26 (jittor)."


def test_wall_times_are_a_note() -> None:
    sides = {"a": {"train.lr0": 0.1}, "b": {"train.lr0": 0.1}}
    (note,) = compare_facts(sides, [], {"a": 100.0, "b": 130.0})
    assert note.level == "note" and "1 min 40 s" in note.text and "2 min 10 s" in note.text
    assert compare_facts(sides, [], {"a": 100.0, "b": 105.0}) == []


def test_facts_of_real_runs(make_trial) -> None:
    trial = make_trial()
    for name in trial.runs:
        other = {"packages": {"Python": "3.11.7", "torch": "2.12.0", "ultralytics": "8.4.190"}}
        model = {"model": {"name": "yolo12n", "parameters": 2602288 + len(name), "gflops": 6.5}}
        trial.train(name, begin={**other, **model} if name.startswith("no-mosaic") else {})
    facts = gather(trial.path)
    sides = {arm: facts_of(facts, arm, facts.of(arm)) for arm in facts.arms}
    assert sides["baseline"]["package.torch"] == "2.13.0" and sides["baseline"]["data.fingerprint"] == "sha256:0a1b2c3d"
    assert sides["baseline"]["protocol.seeds"] == [0, 1] and sides["baseline"]["device.model"] == "Some CPU"
    assert set(confounders(sides, ["train.mosaic"])) == {"package.torch", "built.parameters"}
