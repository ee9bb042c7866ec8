"""What differs between arms, and whether the recipe says so."""

from __future__ import annotations

from detui.engine.analysis import audit


def levels(arms, varies):
    return [(finding.level, finding.field) for finding in audit(arms, varies)]


def test_declared_differences_vary_and_others_confound_first():
    arms = {
        "large": {"model": {"name": "rtdetr-l"}, "train": {"lr0": 0.0018, "batch": 4, "epochs": 300}},
        "small": {"model": {"name": "rtdetr-mnv4"}, "train": {"lr0": 0.0005, "batch": 6, "epochs": 300}},
    }
    assert levels(arms, ["model.name"]) == [
        ("confounder", "train.batch"),
        ("confounder", "train.lr0"),
        ("varies", "model.name"),
    ]
    text = audit(arms, [])[1].text
    assert "large: rtdetr-l" not in text and "large: 4, small: 6" in text


def test_a_declared_parent_covers_what_is_below_it_but_not_its_namesakes():
    arms = {
        "a": {"train.augment.mosaic": 1, "train.augmented": 1},
        "b": {"train.augment.mosaic": 0, "train.augmented": 2},
    }
    assert levels(arms, ["train.augment"]) == [("confounder", "train.augmented"), ("varies", "train.augment.mosaic")]


def test_declared_but_equal_is_a_note():
    assert levels({"a": {"x": 1}, "b": {"x": 1.0}}, ["x"]) == [("note", "x")]
    assert levels({"a": {"x": 1}, "b": {"x": 1}}, ["absent"]) == [("note", "absent")]


def test_a_field_only_one_arm_has_differs():
    (finding,) = audit({"a": {"weights": "yolo12n.pt"}, "b": {}}, [])
    assert finding.level == "confounder" and finding.values == {"a": "yolo12n.pt", "b": "(not set)"}


def test_true_is_not_one_and_lists_compare_whole():
    assert levels({"a": {"amp": True}, "b": {"amp": 1}}, []) == [("confounder", "amp")]
    assert levels({"a": {"size": [320, 320]}, "b": {"size": [320, 320]}}, []) == []


def test_three_arms_differ_when_any_does():
    (finding,) = audit({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2}}, ["x"])
    assert finding.values == {"a": 1, "b": 1, "c": 2}


def test_an_empty_section_is_no_field():
    assert levels({"a": {"train": {}}, "b": {"train": {"lr0": 1}}}, []) == [("confounder", "train.lr0")]


def test_a_secret_is_not_told_in_the_sentence():
    (finding,) = audit({"a": {"args": {"api_key": "hunter2"}}, "b": {}}, [])
    assert "a: ***" in finding.text and "hunter2" not in finding.text
    (finding,) = audit({"a": {"env": {"URL": "https://me:hunter2@host"}}, "b": {}}, ["env"])
    assert "https://***@host" in finding.text
