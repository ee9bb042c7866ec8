"""The models side by side in the record: built, measured and claimed numbers, each where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from trials import Trial

from detui.engine.record.components import Components
from detui.engine.record.gather import gather
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words
from detui.engine.run.measurements import add_measurement
from detui.engine.speed import _waiting

L: dict[str, Any] = {
    "name": "rtdetr-l", "backbone": "HGNetv2-L", "parameters": 32_812_241, "gflops": 103.4,
    "parameters_by_part": {"backbone": 13_553_376, "neck": 11_950_848, "head": 7_308_017},
    "backbone_convolutions": 80, "levels": {"P3": 512, "P4": 1024, "P5": 2048},
}  # fmt: skip
LIGHT: dict[str, Any] = {
    "name": "rtdetr-mnv4-hybrid-m", "backbone": "mobilenetv4_hybrid_medium", "parameters": 27_210_849, "gflops": 60.1,
    "parameters_by_part": {"backbone": 8_562_288, "neck": 11_340_544, "head": 7_308_017},
    "backbone_convolutions": 119, "levels": {"P3": 80, "P4": 160, "P5": 960},
}  # fmt: skip
CLAIMS = [
    {"metric": "model/parameters", "arm": "baseline", "value": 32e6, "source": "a document, line 22"},
    {"metric": "model/parameters", "arm": "no-mosaic", "value": 11e6, "source": "a document, line 22"},
    {"metric": "val/AP", "arm": "baseline", "value": 0.2, "source": "a document, line 31"},
]


def table(trial: Trial, language: str = "en") -> tuple[list[str], dict[str, list[str]], Components, Ledger]:
    ledger, words = Ledger(), Words(language)
    components = Components(Results(gather(trial.path), words, ledger))
    found = components.table()
    return list(found.head), {row[0]: list(row[1:]) for row in found.rows}, components, ledger


def measured(epoch: int, milliseconds: float) -> dict[str, Any]:
    return {
        "at": "2026-11-20T14:00:00.000Z", "checkpoint": "checkpoints/a.pt", "epoch": epoch, "alone": True,
        "gmacs": 54.6, "batch": 1, "precision": "fp32", "input": [3, 640, 640], "fused": False, "threads": 4,
        "device": {"kind": "cuda", "name": "Some GPU"}, "postprocess": {"kind": "threshold, no NMS"},
        "memory": {"bytes": 300 << 20, "what": "allocator's peak"},
        "forward": {"median_ms": 1.0, "fps": 2000.0}, "whole": {"median_ms": milliseconds, "fps": 1.0},
    }  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Two detectors, two seeds each, nothing evaluated; for tests that only read it."""
    return train(Trial(tmp_path_factory.mktemp("compared"), claims=CLAIMS))


def train(trial: Trial, *, evaluate: bool = False) -> Trial:
    for name in trial.runs:
        trial.train(name, begin={"model": L if name.startswith("baseline") else LIGHT}, evaluate=evaluate)
    return trial


def test_components_stand_side_by_side_with_their_ratio(compared: Trial) -> None:
    head, rows, components, ledger = table(compared)
    assert components.measured()
    assert head == ["component", "`baseline`", "`no-mosaic`", "÷ `baseline`", "claimed", "source"]
    assert rows["backbone"][:3] == ["`HGNetv2-L`", "`mobilenetv4_hybrid_medium`", ""]
    assert rows["channels at P5 (stride 32)"][:3] == ["2,048", "960", "0.47×"]
    assert rows["parameters"][:3] == ["32,812,241", "27,210,849", "0.83×"]
    assert rows["parameters of the head (decoder)"][:3] == ["7,308,017", "7,308,017", "1.00×"]
    assert rows["depth of the backbone (layers of convolution)"][:3] == ["80", "119", "1.49×"]
    files = {mark: source.file for mark, source, _ in ledger.entries()}
    assert [files[mark] for mark in rows["parameters"][-1].split(", ")] == [
        f"runs/{name}/attempts/1/metrics.jsonl"
        for name in ("baseline-s0", "baseline-s1", "no-mosaic-s0", "no-mosaic-s1")
    ]


def test_what_is_claimed_stands_apart_with_its_own_ratio(compared: Trial) -> None:
    _, rows, _, _ = table(compared)
    assert rows["parameters"][3] == "`baseline`: 32,000,000; `no-mosaic`: 11,000,000 (0.34×)"
    assert "".join(row[3] for name, row in rows.items() if name != "parameters") == "", "AP is no part of a model"


def test_the_frameworks_own_count_of_flops_has_no_ratio(compared: Trial) -> None:
    _, rows, components, _ = table(compared)
    assert rows["GFLOPs (framework's own count)"][:3] == ["103.4", "60.1", ""]
    assert any("leaves out layers" in line for line in components.notes())
    assert "latency (median, a batch)" not in rows, "nobody asked for it"


def test_speed_is_the_measured_one_and_the_memory_of_training_is_labelled(make_trial: Callable[..., Trial]) -> None:
    compared = train(make_trial(), evaluate=True)
    chosen = {run.name: run.chosen["epoch"] for run in gather(compared.path).runs if run.chosen}
    for name, milliseconds in (("baseline-s0", 20.0), ("no-mosaic-s0", 8.0), ("no-mosaic-s1", 12.0)):
        add_measurement(compared.runs[name].attempt(1), measured(chosen[name], milliseconds))
    _, rows, components, ledger = table(compared)
    assert rows["latency (median, a batch)"][:3] == ["20 ms", "8 ms – 12 ms", "0.50×"]
    assert rows["GMACs (1 GMAC = 2 GFLOPs, counted by torch)"][:3] == ["54.6", "54.6", "1.00×"]
    assert rows["training: peak host memory (RSS)"][0] == "416 MiB"
    latency = rows["latency (median, a batch)"][-1].split(", ")
    files = {mark: source.file for mark, source, _ in ledger.entries()}
    assert {files[mark].rsplit("/", 1)[1] for mark in latency} == {"speed.json"}
    assert components.notes()[-1].startswith("`baseline-s0`, `no-mosaic-s0`, `no-mosaic-s1`: Some GPU, threads: 4")
    assert sum("leaves out layers" in line for line in components.notes()) == 1, "that it says nothing stays true"


def test_arms_with_the_same_model_share_a_column(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(seeds=(0,))
    for name in trial.runs:
        trial.train(name, evaluate=False)
    head, rows, components, _ = table(trial)
    assert head[1:] == ["`baseline`, `no-mosaic`", "claimed", "source"]
    assert not components.measured(), "its size alone is in the table of costs"
    assert rows["parameters"][0] == "2,602,288"
    assert rows["channels at P3 (stride 8)"][0] == "n/a", "the run has begun, and its worker did not say"


def test_before_the_first_run_everything_waits(make_trial: Callable[..., Trial]) -> None:
    _, rows, components, _ = table(make_trial(measure_speed=True))
    assert "latency (median, a batch)" in rows
    assert not components.measured()
    assert {row[0] for row in rows.values()} == {"_(not measured yet)_"}


def test_models_on_different_data_are_not_set_against_each_other(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(seeds=(0,))
    base = {arm["name"]: arm for arm in trial.info["arms"]}
    roles = {"baseline": "crowded", "no-mosaic": "simple"}
    arms = [{**base[name], "of": "l", "data_set": role} for name, role in roles.items()]
    other = make_trial_in(trial, arms)
    train(other)
    head, rows, _, _ = table(other)
    assert head[1:3] == ["`baseline`", "`no-mosaic`"] and "÷" not in "".join(head)
    assert rows["parameters"][2] == "`l`: 32,000,000", "stated of the arm on any data"


def make_trial_in(trial: Trial, arms: list[dict[str, Any]]) -> Trial:
    folder = trial.path.parent / "other"
    folder.mkdir()
    claims = [{"metric": "model/parameters", "arm": "l", "value": 32e6, "source": "a document"}]
    return Trial(folder, seeds=(0,), arms=arms, claims=claims)


def test_chinese(compared: Trial) -> None:
    head, rows, _, _ = table(compared, "zh")
    assert head[0] == "组件"
    assert rows["P5 通道数（步长 32）"][:3] == ["2,048", "960", "0.47×"]


@pytest.mark.parametrize(
    ("info", "waiting"),
    [
        ({"goals": []}, []),
        ({"goals": [], "measure_speed": True}, ["baseline-s0", "no-mosaic-s0"]),
        ({"goals": [{"metric": "model/latency", "arm": "no-mosaic", "at_most": 1}]}, ["baseline-s0", "no-mosaic-s0"]),
        ({"goals": [{"metric": "model/fps", "arm": "baseline", "at_least": 1}]}, ["baseline-s0"]),
    ],
)
def test_what_is_measured_at_the_end(finished: Trial, info: dict[str, Any], waiting: list[str]) -> None:
    facts = gather(finished.path)
    assert [run.name for run in _waiting(replace(facts, info={**facts.info, **info}))] == waiting


def test_detectors_of_cameras_and_lidar_have_parts_of_their_own(make_trial: Callable[..., Trial]) -> None:
    parts = {
        "cameras": 208_960,
        "pillars": 38_176,
        "encoding": 6_336,
        "decoder": 25_696,
        "heads": 3_036,
        "queries": 120,
    }
    without = {"name": "fusion", "backbone": "small", "parameters": 282_324, "gflops": 0.2693,
               "parameters_by_part": parts}  # fmt: skip
    with_aqr = {**without, "parameters": 285_646, "gflops": 0.2708, "parameters_by_part": {**parts, "aqr": 3_322}}
    trial = make_trial()
    for name in trial.runs:
        trial.train(name, begin={"model": without if name.startswith("baseline") else with_aqr}, evaluate=False)
    _, rows, _, _ = table(trial)
    assert rows["parameters of AQR's weights"][:3] == ["n/a", "3,322", ""]
    assert rows["parameters of the camera encoder"][:3] == ["208,960", "208,960", "1.00×"]
    assert not any("backbone (layers" in label or "channels at" in label for label in rows), "it has no such neck"
    assert "激光雷达" in " ".join(table(trial, "zh")[1])
