"""How the training loop uses the detector: its losses, the check of AQR's gradient, and the statistics of AQR."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from detui.engine.backends.torch.fusion.aqr import AqrTrace
from detui.engine.backends.torch.fusion.inputs import Batch
from detui.engine.backends.torch.fusion.losses import balance_loss, detection_losses
from detui.engine.backends.torch.fusion.statistics import gain_violation, gradient_norm, statistics
from detui.engine.backends.torch.loop import Moment
from detui.engine.worker.reporter import Reporter


class FusionTask:
    """The detector's own part of a step."""

    def __init__(
        self, report: Reporter, every: int, balance: tuple[float, float] | None = None, *, tell: bool = True
    ) -> None:
        """`every`: steps between two looks at AQR, the first step of an attempt included.

        `balance`: the wanted ratio of camera to LiDAR weight, and the factor of the term that asks for it. `tell`:
        whether this process reports.
        """
        self.report, self.every, self.balance, self.tell = report, every, balance, tell
        self._looked = False
        self._trace: AqrTrace | None = None
        self._norm: float | None = None
        self._settings: tuple[float, Any] = (1.0, "convex")

    def losses(self, model: nn.Module, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """All terms of the detector, and `aqr_balance` where a ratio is wanted."""
        bare = getattr(model, "module", model)
        if bare.aqr is not None:
            bare.aqr.set_progress(moment.progress)
            self._settings = (bare.aqr.options.residual_weight, bare.aqr.options.mode)
        output = model(batch, denoise=True, trace=self._due(moment))
        found = detection_losses(output.layers, batch.boxes, batch.labels, output.denoising)
        if output.aqr is not None:
            self._trace = output.aqr.trace
            if self.balance is not None:
                ratio, factor = self.balance
                found["aqr_balance"] = factor * balance_loss(output.aqr.weights, output.real, ratio)
        return found

    def after_backward(self, model: nn.Module, moment: Moment) -> None:
        """Measure the gradient of what computes AQR's weights. Raises RunError where none reaches it."""
        aqr: Any = getattr(model, "aqr", None)
        parameters = list(aqr.weights.parameters()) if aqr is not None else []
        self._norm = gradient_norm(parameters) if parameters and self._due(moment) else None

    def after_step(self, moment: Moment) -> None:
        """Report what AQR did, and raise the alarm `aqr_gain` where it scaled features out of bounds."""
        self._looked = True
        trace, self._trace = self._trace, None
        if trace is None or not self.tell:
            return
        numbers = statistics(trace, *self._settings)
        if self._norm is not None:
            numbers["aqr/gradient_norm"] = self._norm
        self.report.statistic(moment.step, numbers)
        if text := gain_violation(numbers):
            self.report.alarm("aqr_gain", text)

    def _due(self, moment: Moment) -> bool:
        return not self._looked or moment.step % self.every == 0
