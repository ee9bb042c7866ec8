"""Charts: what is drawn, where, and how little is drawn again."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from detui.tui.output import percent_tick
from detui.tui.widgets.axes import Limits, decades, grown, rounded, steady, ticks
from detui.tui.widgets.chart import Chart, Series
from detui.tui.widgets.raster import characters, rasterise


def dots(x: list[float], y: list[float], width: int, height: int, box: tuple[float, float, float, float]) -> np.ndarray:
    """The dots of a picture as booleans, (height * 4, width * 2)."""
    bits = rasterise(np.array(x), np.array(y), width, height, box)
    order = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    found = (bits[:, None, :, None] & order[None, :, None, :]) > 0
    return found.reshape(height * 4, width * 2)


def test_a_line_goes_from_corner_to_corner_without_holes() -> None:
    picture = dots([0, 1], [0, 1], 20, 10, (0, 1, 0, 1))
    assert picture[-1, 0]
    assert picture[0, -1]
    assert picture.any(axis=0).all()
    assert picture.any(axis=1).all()


def test_one_peak_among_many_points_is_kept() -> None:
    y = np.zeros(100_000)
    y[54_321] = 1.0
    picture = dots(list(range(100_000)), y.tolist(), 10, 5, (0, 99_999, 0, 1))
    assert picture[0].sum() == 1
    assert picture[:, 10].all()


def test_a_gap_stays_a_gap() -> None:
    picture = dots([0, 1, 2, 3, 4], [1, 1, math.nan, 1, 1], 20, 4, (0, 4, 0, 2))
    columns = picture.any(axis=0)
    assert columns[:10].all()
    assert not columns[15:25].any()
    assert columns[30:].all()


@pytest.mark.parametrize("y", [[], [math.nan], [math.inf, math.nan]])
def test_nothing_finite_is_nothing_drawn(y: list[float]) -> None:
    assert not dots(list(range(len(y))), y, 4, 4, (0, 1, 0, 1)).any()


def test_ascii_needs_no_braille() -> None:
    bits = rasterise(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 8, 4, (0, 1, 0, 1))
    assert set("".join(characters(bits, ascii_only=True))) <= set(" .':")


def test_limits_are_round_and_hold_the_data() -> None:
    for low, high in [(0.0, 2.93), (0.00011, 0.00098), (-3.0, 41.0), (5.0, 5.0), (0.0, 0.0), (1e9, 3e9)]:
        limits = rounded(low, high)
        assert limits.low <= low <= high <= limits.high
        assert limits.low < limits.high
        assert limits.low >= 0 or low < 0
        assert all(limits.low - 1e-9 <= tick <= limits.high * (1 + 1e-9) for tick in ticks(limits, 4))


def test_limits_stand_still_while_the_data_fits() -> None:
    limits = rounded(0.1, 2.9)
    assert steady(limits, 0.5, 2.8) is limits
    assert steady(limits, 0.5, 3.1) != limits
    assert steady(limits, 0.1, 0.2) != limits
    x = grown(None, 1, 100)
    assert x.high >= 120
    assert grown(x, 1, 120) is x
    assert grown(None, 1, 100, most=110).high == 110


def test_a_logarithmic_axis_has_round_numbers() -> None:
    assert [round(10**value, 6) for value in decades(Limits(-2, 0), 9)] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert [round(10**value, 6) for value in decades(Limits(-4, 0), 5)] == [0.0001, 0.001, 0.01, 0.1, 1.0]


class ChartApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Chart("Loss")


def lines(chart: Chart) -> list[str]:
    return [chart.render_line(y).text for y in range(chart.size.height)]


def test_a_new_point_redraws_its_columns_only() -> None:
    async def check() -> None:
        app = ChartApp()
        async with app.run_test(size=(80, 20)) as pilot:
            chart = app.query_one(Chart)
            y = [3.0 - 0.01 * i + 0.3 * math.sin(i) for i in range(104)]
            chart.set_series([Series("box", list(range(100)), y[:100])])
            await pilot.pause()
            regions: list[Region] = []
            chart.refresh = lambda *found, **more: regions.extend(found) or chart  # type: ignore[method-assign]
            chart.set_series([Series("box", list(range(104)), y)])
            assert regions, "the whole chart was drawn again"
            assert sum(region.area for region in regions) < 80 * 3

    asyncio.run(check())


def test_the_legend_and_the_axes_name_what_is_seen() -> None:
    async def check() -> None:
        app = ChartApp()
        async with app.run_test(size=(60, 14)) as pilot:
            chart = app.query_one(Chart)
            assert "nothing yet" in "".join(lines(chart))
            chart.set_series(
                [Series("box", [0, 1, 2], [4.0, 2.0, 1.0]), Series("cls", [0, 1, 2], [3.0, 2.0, math.nan])]
            )
            await pilot.pause()
            text = lines(chart)
            assert text[0].startswith("Loss  ━box 1 ━cls 2")
            assert "step" in text[-1]
            assert any("4 ┤" in line for line in text)
            chart.toggle_log()
            assert "log" in chart.render_line(0).text
            assert all(len(line) <= 60 for line in lines(chart))

    asyncio.run(check())


def test_an_axis_below_one_percent_tells_its_ticks_apart():
    assert [percent_tick(value) for value in (0.0, 0.0002, 0.0005, 0.0095, 0.01, 0.24)] == [
        "0.0", "0.02", "0.05", "0.95", "1.0", "24.0",
    ]  # fmt: skip
