"""Who gets what: allotting by order, without processes."""

from __future__ import annotations

import pytest

from detui.engine.process.places import _ordinal
from detui.engine.process.queue import Waiter, Want, allot, before
from detui.engine.run.spec import DeviceRequest


def waiter(key: str, place: int, *candidates: str, count: int = 1, held: bool = False) -> Waiter:
    request = DeviceRequest(kind="cpu", count=count, candidates=candidates)
    return Waiter(place, key, held, Want(f"/runs/{key}", 0, 1, request))


def always(_device: str, _request: DeviceRequest) -> bool:
    return True


def test_each_leaves_what_those_before_it_get() -> None:
    waiters = [waiter("a", 1, "0", "1"), waiter("b", 2, "0", "1"), waiter("c", 3, "0", "1", "2")]
    assert allot("a", waiters, {"0", "1"}, always) == ["0", "1"]
    assert allot("b", waiters, {"0", "1"}, always) == ["1"]
    assert allot("c", waiters, {"0", "1"}, always) == []
    assert allot("c", waiters, {"0", "1", "2"}, always) == ["2"]
    assert allot("nobody", waiters, {"0"}, always) == []


def test_what_needs_several_gathers_them() -> None:
    waiters = [waiter("large", 1, "0", "1", count=2), waiter("small", 2, "0", "1")]
    assert allot("small", waiters, {"1"}, always) == [], "the first half of two is kept for it"
    assert allot("large", waiters, {"0", "1"}, always) == ["0", "1"]


def test_a_held_one_reserves_nothing() -> None:
    waiters = [waiter("held", 1, "0", held=True), waiter("next", 2, "0")]
    assert allot("next", waiters, {"0"}, always) == ["0"]
    assert before("next", waiters) == []


def test_what_does_not_suit_is_not_reserved() -> None:
    waiters = [waiter("picky", 1, "0", "1"), waiter("next", 2, "0")]

    def suits(device: str, request: DeviceRequest) -> bool:
        return device != "0" or len(request.candidates) == 1

    assert allot("picky", waiters, {"0"}, suits) == []
    assert allot("next", waiters, {"0"}, suits) == ["0"]


def test_only_those_who_want_the_same_stand_before() -> None:
    waiters = [waiter("a", 1, "0"), waiter("b", 2, "1"), waiter("c", 3, "1", "2")]
    assert [one.key for one in before("c", waiters)] == ["b"]


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (22, "22nd")]
)
def test_ordinals(number: int, text: str) -> None:
    assert _ordinal(number) == text
