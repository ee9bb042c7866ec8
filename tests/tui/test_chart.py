"""Charts: what is drawn, where, and how little is drawn again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from detui.tui.output import percent_tick
from detui.tui.widgets.axes import Limits, decades, grown, rounded, steady, ticks
from detui.tui.widgets.chart import SMOOTHING, Chart
from detui.tui.widgets.raster import glyphs, rasterise, rasterise_band
from detui.tui.widgets.series import Series, last_value, prepared, shrunk, smoothed, value_near


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
    assert set(map(chr, glyphs(bits, ascii_only=True).ravel())) <= set(" .':")


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
            assert text[0].startswith("Loss  a━box 1 b━cls 2")
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


def averaged(values: list[float], weight: float) -> list[float]:
    """The debiased moving average as TensorBoard writes it, value by value."""
    last, count, found = 0.0, 0, []
    for value in values:
        if not math.isfinite(value):
            found.append(math.nan)
            continue
        last = weight * last + (1 - weight) * value
        count += 1
        found.append(last / (1 - weight**count))
    return found


@pytest.mark.parametrize("weight", SMOOTHING)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 5000])
def test_smoothing_is_the_average_of_tensorboard(weight: float, count: int) -> None:
    y = np.random.default_rng(0).normal(3, 1, count)
    y[5:9] = math.nan
    np.testing.assert_allclose(smoothed(y, weight), averaged(y.tolist(), weight), rtol=1e-10)
    assert not count or smoothed(y, weight)[0] == pytest.approx(y[0])


def test_thinned_lines_keep_every_peak_and_gap() -> None:
    y = np.zeros(200_000)
    y[123_456], y[77] = 5.0, -2.0
    y[100_000:120_000] = math.nan
    y[50_000] = math.inf
    line = prepared(Series("a", np.arange(200_000.0), y))
    few = shrunk(line, 0, 199_999, 200)
    assert len(few.x) <= 4 * 200
    assert (np.nanmin(few.y), np.nanmax(few.y)) == (-2, 5)
    assert (np.diff(few.x) >= 0).all()
    box = (0.0, 199_999.0, -2.0, 5.0)
    one, all_of_them = (rasterise(part.x, part.y, 100, 10, box) for part in (few, line))
    assert (one == all_of_them).all()


def test_a_part_of_a_line_is_cut_where_it_enters_and_leaves() -> None:
    line = prepared(Series("a", [0, 10, 20], [0.0, 10.0, 0.0], [-1.0, 9.0, -1.0], [1.0, 11.0, 1.0]))
    part = shrunk(line, 4, 18, 100)
    assert part.x.tolist() == [4, 10, 18]
    assert part.y.tolist() == [4, 10, 2]
    assert part.low is not None
    assert part.low.tolist() == [3, 9, 1]
    assert shrunk(line, 13, 15, 100).y.tolist() == [7, 5]
    assert line.y.tolist() == [0, 10, 0]


def test_a_line_out_of_order_is_sorted_and_values_are_read_near_it() -> None:
    line = prepared(Series("a", [3, 1, math.nan, 2], [30.0, 10.0, 5.0, math.nan]))
    assert line.x.tolist() == [1, 2, 3]
    assert value_near(line, 2.9, 0.5) == 30
    assert value_near(line, 2.1, 0.5) is None
    assert value_near(line, 9.0, 0.5) is None
    assert last_value(prepared(Series("a", range(5000), [1.0] * 2000 + [math.nan] * 3000))) == 1


def test_a_band_is_dotted_between_its_ends() -> None:
    x = np.array([0.0, 1.0])
    bits = rasterise_band(x, np.array([0.5, 0.5]), np.array([1.0, 1.0]), 10, 8, (0, 1, 0, 1))
    assert (bits[:4] > 0).all()
    assert not bits[5:].any()
    assert not rasterise_band(x, np.array([0.5, math.nan]), np.array([1.0, 1.0]), 10, 8, (0, 1, 0, 1))[:, 2:].any()


def chart_test(check: Callable[[Chart, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 20), **more: Any):
    """Run a check on a chart that fills a screen."""

    class One(App[None]):
        def compose(self) -> ComposeResult:
            yield Chart("Loss", **more)

    async def run() -> None:
        app = One()
        async with app.run_test(size=size) as pilot:
            await check(app.query_one(Chart), pilot)

    asyncio.run(run())


STEPS = list(range(1, 101))
FALLING = [100.0 - step for step in STEPS]


def test_the_cursor_reads_values_and_goes_from_point_to_point() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.move_cursor(1)
        assert chart.cursor is None
        chart.set_series([Series("box", STEPS, FALLING), Series("cls", STEPS[:50], FALLING[:50])])
        chart.move_cursor(-1)
        assert chart.cursor == 100
        assert "step 100  a━box 0 b━cls –" in lines(chart)[0]
        chart.move_cursor(-1)
        assert chart.cursor is not None
        assert 97 <= chart.cursor < 100
        assert chart.cursor == int(chart.cursor)
        assert sum("│" in line[10:] for line in lines(chart)) > 10
        for _ in range(100):
            chart.move_cursor(-1)
        assert chart.cursor == 1
        assert chart.readings() == {"a": 99.0, "b": 99.0}
        chart.clear_cursor()
        assert "step" not in lines(chart)[0]
        assert not any("│" in line[10:] for line in lines(chart))

    chart_test(check)


def test_the_cursor_steps_over_points_that_lie_apart() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("AP", [1, 2, 3, 10], [0.1, 0.2, math.nan, 0.3])], x_label="epoch", x_most=12)
        seen = []
        for _ in range(5):
            chart.move_cursor(-1)
            seen.append(chart.cursor)
        assert seen == [10, 3, 2, 1, 1]
        assert "epoch 1 " in lines(chart)[0]
        chart.move_cursor(2)
        assert chart.cursor == 2

    chart_test(check)


def test_moving_the_cursor_sends_two_columns() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("box", STEPS, FALLING)])
        chart.move_cursor(-1)
        regions: list[Region] = []
        chart.refresh = lambda *found, **more: regions.extend(found) or chart  # type: ignore[method-assign]
        chart.move_cursor(-1)
        assert regions
        assert sum(region.area for region in regions) <= 80 + 4 * 18

    chart_test(check)


def test_two_lines_that_grow_in_two_places_leave_alone_what_lies_between() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("a", STEPS[:30], FALLING[:30]), Series("b", STEPS[:90], [50.0] * 90)], x_most=200)
        regions: list[Region] = []
        chart.refresh = lambda *found, **more: regions.extend(found) or chart  # type: ignore[method-assign]
        chart.set_series([Series("a", STEPS[:33], FALLING[:33]), Series("b", STEPS[:93], [50.0] * 93)], x_most=200)
        assert len([region for region in regions if region.y > 0]) == 2
        assert sum(region.area for region in regions) < 80 + 2 * 5 * 5

    chart_test(check)


def test_zooming_fits_what_is_visible_and_follows_the_end() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("box", STEPS, FALLING)])
        whole = chart.limits
        assert whole is not None
        chart.zoom(1)
        half = chart.limits
        assert half is not None
        assert half.high - half.low == pytest.approx((whole.high - whole.low) / 2)
        assert half.low < 100 <= half.high
        top = float(next(line for line in lines(chart) if "┤" in line).split()[0])
        assert top < 90
        more = list(range(1, 161))
        chart.set_series([Series("box", more, [100.0 - step for step in more])])
        assert chart.limits is not None
        assert chart.limits.low < 160 <= chart.limits.high
        assert chart.limits.low > half.low
        chart.zoom(-1)
        assert chart.limits.high - chart.limits.low == whole.high - whole.low
        chart.zoom(-1)
        assert chart.limits.low == 0
        chart.move_cursor(-1)
        chart.zoom(-1)
        assert chart.cursor is None

    chart_test(check)


def test_zooming_around_the_cursor_stops_at_single_points() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("box", STEPS, FALLING)])
        chart.place_cursor(40)
        for _ in range(20):
            chart.zoom(1)
        near = chart.limits
        assert near is not None
        assert near.low <= 40 <= near.high
        assert near.high - near.low >= 1
        for _ in range(60):
            chart.move_cursor(1)
        assert chart.cursor == 100
        assert chart.limits is not None
        assert chart.limits.low <= 100 <= chart.limits.high
        chart.set_series([Series("box", [1, 2], [1.0, 2.0])], x_label="epoch")
        assert chart.cursor is None
        assert chart.limits.high < 5

    chart_test(check)


def test_smoothing_stands_in_the_title() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        y = [1.0, 3.0, math.nan, 5.0]
        chart.set_series([Series("box", [1, 2, 3, 4], y)])
        chart.set_smoothing(0.9)
        assert lines(chart)[0].startswith("Loss smooth 0.9  ━box")
        assert chart.readings() == {"a": pytest.approx(averaged(y, 0.9)[-1])}
        chart.set_smoothing(0)
        assert chart.readings() == {"a": 5}

    chart_test(check)


def test_lines_are_told_apart_without_colours() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("one", STEPS, FALLING), Series("two", STEPS, FALLING, letter="k", colour=4)])
        assert "a━one 0 k━two 0" in lines(chart)[0]
        drawn = "".join(lines(chart)[1:-1])
        assert "a" in drawn
        assert "k" in drawn
        chart.set_series([Series("one", STEPS, FALLING)])
        assert "a" not in "".join(lines(chart)[1:-1])

    chart_test(check)


def test_everything_is_ascii_where_it_must_be() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        y = np.array(FALLING)
        chart.set_series([Series("one", STEPS, y, y - 9, y + 9), Series("two", STEPS[:9], FALLING[:9])])
        chart.move_cursor(-1)
        text = "\n".join(lines(chart))
        assert text.isascii()
        assert "/" in text
        assert "|" in text
        chart.toggle_log()
        chart.set_smoothing(0.6)
        assert "\n".join(lines(chart)).isascii()

    chart_test(check, ascii_only=True)


@pytest.mark.parametrize("size", [(5, 2), (12, 3), (20, 5), (300, 80)])
def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("one", STEPS, FALLING), Series("none", STEPS, [math.nan] * 100)])
        for by in (1, -1):
            chart.move_cursor(by)
            chart.zoom(by)
        assert all(len(line) <= size[0] for line in lines(chart))

    chart_test(check, size)


def test_logarithms_leave_gaps_where_nothing_is_above_zero() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("one", STEPS, [0.0] * 100)])
        chart.toggle_log()
        assert "nothing above 0" in "".join(lines(chart))
        chart.set_series([Series("one", STEPS, [10.0 ** -(step % 5) * (step % 7 > 0) for step in STEPS])])
        assert any("0.01 ┤" in line for line in lines(chart))

    chart_test(check)


def test_a_hidden_chart_is_drawn_when_it_is_shown() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.display = False
        await pilot.pause()
        chart.set_series([Series("one", STEPS, FALLING)])
        assert lines(chart) == []
        chart.display = True
        await pilot.pause()
        assert "one" in lines(chart)[0]

    chart_test(check)


def test_lines_may_come_and_go() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.set_series([Series("one", STEPS, FALLING), Series("lost", [math.nan], [1.0]), Series("none", [], [])])
        assert "lost" not in lines(chart)[0]
        chart.move_cursor(-1)
        chart.zoom(1)
        chart.set_series([])
        chart.zoom(1)
        chart.move_cursor(1)
        assert "nothing yet" in lines(chart)[1]
        assert chart.readings() == {}
        chart.describe("Other", lambda value: f"{value:.0f}!")
        chart.set_series([Series("one", STEPS, FALLING)])
        assert lines(chart)[0].startswith("Other")
        assert any("! ┤" in line for line in lines(chart))

    chart_test(check)
