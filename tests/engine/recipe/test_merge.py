"""The merging rules that docs/recipes.md explains by example."""

from __future__ import annotations

from typing import Any

from detui.engine.recipe.merge import Layer, Merged, merge


def stack(*layers: dict[str, Any]) -> Merged:
    named = [
        Layer(f"layer {i}", values, lambda keys, i=i: f"{i}:{'.'.join(map(str, keys))}")
        for i, values in enumerate(layers)
    ]
    return merge(named)


def test_mappings_merge_and_values_replace() -> None:
    merged = stack({"train": {"lr0": 0.01, "epochs": 100}}, {"train": {"lr0": 0.001}})
    assert merged.values == {"train": {"lr0": 0.001, "epochs": 100}}


def test_lists_replace_and_never_extend() -> None:
    assert stack({"milestones": [50, 100]}, {"milestones": [5]}).values == {"milestones": [5]}


def test_null_takes_a_value_away() -> None:
    merged = stack({"train": {"lr0": 0.01, "epochs": 3}}, {"train": {"lr0": None}})
    assert merged.values == {"train": {"epochs": 3}}
    assert merged.reset == [("train", "lr0")]


def test_an_empty_mapping_changes_nothing() -> None:
    assert stack({"train": {"lr0": 0.01}}, {"train": {}}).values == {"train": {"lr0": 0.01}}


def test_a_mapping_replaces_a_value_and_a_value_a_mapping() -> None:
    assert stack({"a": 1}, {"a": {"b": 2}}).values == {"a": {"b": 2}}
    assert stack({"a": {"b": 2}}, {"a": 1}).values == {"a": 1}


def test_every_leaf_remembers_the_last_layer_that_spoke_for_it() -> None:
    merged = stack({"train": {"lr0": 0.01, "epochs": 100}}, {"train": {"lr0": 0.001}})
    assert merged.origins[("train", "lr0")] == ("layer 1", "1:train.lr0")
    assert merged.origins[("train", "epochs")] == ("layer 0", "0:train.epochs")


def test_a_replaced_mapping_leaves_no_origin_behind() -> None:
    merged = stack({"a": {"b": 2}}, {"a": 1})
    assert list(merged.origins) == [("a",)]


def test_layers_are_not_changed_by_merging() -> None:
    base = {"train": {"lr0": 0.01}}
    stack(base, {"train": {"epochs": 5}})
    assert base == {"train": {"lr0": 0.01}}
