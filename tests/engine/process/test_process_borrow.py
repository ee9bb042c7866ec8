"""Borrowing a device for a short task."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.errors import MissingError, RunError
from detui.engine.process.borrow import borrow
from detui.engine.process.lease import held, holder, take


@pytest.fixture(autouse=True)
def two_slots(leases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETUI_CPU_SLOTS", "2")


def test_the_whole_cpu_is_leased_for_a_measurement_and_given_back() -> None:
    with borrow("cpu", "detui speed, a/b", alone=True) as on:
        assert (on.kind, on.devices, len(on.leases)) == ("cpu", (), 2)
        assert held("cpu:0") and held("cpu:1") and holder("cpu:1") == "detui speed, a/b"
    assert not held("cpu:0") and not held("cpu:1")


def test_a_measurement_beside_a_training_is_refused_unless_forced() -> None:
    training = take("cpu:1", "logs/a/runs/baseline-s0")
    assert training is not None
    with (
        pytest.raises(RunError, match=r"cpu:1 is leased to logs/a/runs/baseline-s0") as caught,
        borrow("cpu", "me", alone=True),
    ):
        pass
    assert "--force" in str(caught.value.hint)
    assert not held("cpu:0"), "what was leased before the refusal stays leased"
    with borrow("cpu", "me", alone=True, force=True) as on:
        assert [lease.resource for lease in on.leases] == ["cpu:0"]
    training.release()


def test_a_measurement_waits_as_long_as_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    training, told = take("cpu:1", "a training"), []
    assert training is not None
    monkeypatch.setattr("detui.engine.process.borrow._POLL", 0.01)

    def ends(reason: str) -> None:
        told.append(reason)
        training.release()

    with borrow("cpu", "me", alone=True, patience=30, waiting=ends) as on:
        assert len(on.leases) == 2
    assert len(told) == 1 and "cpu:1 is leased to a training" in told[0]
    training = take("cpu:0", "a training")
    assert training is not None
    with pytest.raises(RunError, match="cpu:0 is leased"), borrow("cpu", "me", alone=True, patience=0.03):
        pass
    assert not held("cpu:1")
    training.release()


def test_a_prediction_shares_the_cpu() -> None:
    training = take("cpu:0", "a training")
    assert training is not None
    with borrow("cpu", "me") as on:
        assert on.leases == ()
    training.release()


def test_a_gpu_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("0", "cuda:0"):
        with pytest.raises(MissingError, match="no GPU 0"), borrow(name, "me"):
            pass
