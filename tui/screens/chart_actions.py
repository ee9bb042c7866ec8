"""The keys of charts, for every screen that shows some."""

from __future__ import annotations

from collections.abc import Sequence

from detui.tui.widgets.chart import SMOOTHING, Chart


class ChartActions:
    """The actions of the group CHART. A screen says which charts it shows, and what the next one and the axis are."""

    def charts(self) -> Sequence[Chart]:
        """Return the charts that are shown."""
        raise NotImplementedError

    def shown_chart(self) -> Chart:
        """Return the chart that keys are about: the one that is shown, of several the chosen."""
        raise NotImplementedError

    def show_chart(self, by: int) -> None:
        """Show the next chart or metric for +1, the one before for -1."""
        raise NotImplementedError

    def change_axis(self) -> None:
        """Show the charts over the next of: steps, epochs, time."""
        raise NotImplementedError

    def cursor_moved(self) -> None:
        """Show elsewhere what a screen shows at the cursor. Called after the cursor or the zoom changed."""

    def action_next_chart(self) -> None:
        """Show the next chart or metric."""
        self.show_chart(1)

    def action_previous_chart(self) -> None:
        """Show the chart or metric before."""
        self.show_chart(-1)

    def action_log_y(self) -> None:
        """Change between a linear and a logarithmic y axis."""
        self.shown_chart().toggle_log()

    def action_cursor_right(self) -> None:
        """Move the cursor to the right."""
        self._move(1)

    def action_cursor_left(self) -> None:
        """Move the cursor to the left."""
        self._move(-1)

    def action_zoom_in(self) -> None:
        """Show half of the x range."""
        self._zoom(1)

    def action_zoom_out(self) -> None:
        """Show twice the x range; with everything shown, take the cursor away."""
        self._zoom(-1)

    def action_x_axis(self) -> None:
        """Change the x axis."""
        self.change_axis()

    def action_smooth(self) -> None:
        """Smooth all charts more; after the most, not at all."""
        now = self.shown_chart().smoothing
        weight = next((weight for weight in SMOOTHING if weight > now), SMOOTHING[0])
        for chart in self.charts():
            chart.set_smoothing(weight)
        self.cursor_moved()

    def _alike(self) -> list[Chart]:
        """Return the charts whose x axis counts the same as that of the chosen one, without it."""
        chosen = self.shown_chart()
        return [chart for chart in self.charts() if chart is not chosen and chart.x_label == chosen.x_label]

    def _move(self, by: int) -> None:
        chosen = self.shown_chart()
        chosen.move_cursor(by)
        for chart in self._alike():  # one moment in all of them
            chart.place_cursor(chosen.cursor)
        self.cursor_moved()

    def _zoom(self, by: int) -> None:
        for chart in (self.shown_chart(), *self._alike()):
            chart.zoom(by)
        self.cursor_moved()
