"""What the screen of devices is made of: histories, their rings, the host."""

from __future__ import annotations

from pathlib import Path

from detui.tui.devices import HostReader
from detui.tui.widgets.history import LONGEST, History, ring


def test_a_history_keeps_the_means_of_ten_minutes() -> None:
    history = History(10.0)
    history.add(4.0, 1000.0)
    assert dict(history.values()) == {100: 4.0}, "something to see at once"
    history.add(6.0, 1009.0)
    history.add(None, 1010.0)
    assert dict(history.values()) == {100: 5.0}
    history.add(1.0, 1025.0)
    for second in range(1030, 2000):
        history.add(2.0, second)
    assert len(history.values()) == LONGEST and set(history.values().values()) == {2.0}
    assert History(1.0).values() == {}


def test_a_ring_changes_one_cell_and_the_gap_before_the_oldest() -> None:
    values = {stretch: float(stretch % 8) for stretch in range(100, 108)}
    before = ring(values, 8, 0.0, 8.0)
    assert before == "▁▂▃▄ ▆▇█" and ring({}, 3, 0.0, 1.0) == "   "
    after = ring({**values, 108: 0.0}, 8, 0.0, 8.0)
    assert [index for index in range(8) if before[index] != after[index]] == [4, 5]
    assert ring({100: -1.0, 101: 99.0, 103: 4.0}, 5, 0.0, 8.0, ascii_only=True) == "_# = "


def test_the_host(tmp_path: Path) -> None:
    reader = HostReader(tmp_path / "not" / "there" / "yet")
    assert reader.read().cpu is None
    sum(range(3_000_000))
    host = reader.read()
    assert host.cpu is not None and 0 < host.cpu <= 100
    assert host.load is not None and host.memory_used and host.memory_total and host.disk_free
