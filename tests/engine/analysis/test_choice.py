"""Which evaluation counts."""

from __future__ import annotations

from types import SimpleNamespace

from detui.engine.analysis import chosen, standing

BEST = {"rule": "best", "metric": "val/AP"}


def history(*lines):
    return SimpleNamespace(
        evaluations=[
            {"epoch": epoch, "attempt": attempt, "values": {"val/AP": value}} for epoch, attempt, value in lines
        ]
    )


def test_best_is_the_highest_value_not_the_last():
    assert chosen(history((10, 1, 0.2), (20, 1, 0.4), (30, 1, 0.3)), BEST)["epoch"] == 20


def test_last_is_the_last_epoch_whatever_its_value():
    assert chosen(history((30, 1, 0.3), (20, 1, 0.4)), {"rule": "last"})["epoch"] == 30


def test_a_tie_goes_to_the_earlier_epoch():
    assert chosen(history((20, 1, 0.4), (10, 1, 0.4)), BEST)["epoch"] == 10


def test_values_that_are_not_available_are_never_chosen():
    assert chosen(history((10, 1, None), (20, 1, "NaN"), (30, 1, 0.1)), BEST)["epoch"] == 30
    assert chosen(history((10, 1, None)), BEST) is None
    assert chosen(history(), BEST) is None and chosen(history(), {"rule": "last"}) is None


def test_a_later_attempt_speaks_for_the_same_epoch():
    assert [line["values"]["val/AP"] for line in standing(history((10, 2, 0.1), (10, 1, 0.9)))] == [0.1]


def test_another_split_never_chooses():
    lines = history((10, 1, 0.2), (20, 1, 0.4))
    lines.evaluations.append({"epoch": 20, "attempt": 1, "split": "test", "values": {"test/AP": 0.9, "val/AP": 0.1}})
    lines.evaluations.append({"epoch": 30, "attempt": 1, "split": "test", "values": {"test/AP": 0.9, "val/AP": 0.9}})
    assert chosen(lines, BEST)["epoch"] == 20 and chosen(lines, {"rule": "last"})["epoch"] == 20


def test_what_somebody_asked_for_later_is_no_candidate():
    """Else one arm would get more tries than the others, and a look at epoch 1 could change a published result."""
    told = history((2, 1, 0.1), (3, 1, 0.2))
    told.evaluations.append({"epoch": 1, "attempt": 1, "values": {"val/AP": 0.9}, "on_request": True})
    assert chosen(told, BEST)["epoch"] == 3 and [line["epoch"] for line in standing(told)] == [2, 3]
