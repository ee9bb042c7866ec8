"""By how much AQR can scale a feature in each arm of a recipe: computed from its settings, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detui.tui.language import tr
from detui.tui.output import DASH, table

if TYPE_CHECKING:
    from detui.engine.planning import Plan


def gain_lines(plan: Plan) -> list[str]:
    """Return the table of a recipe of the backend `torch` and what it means; of another, or without any AQR, nothing.

    The clamp is that of the end of the training: where it grows, the bounds are narrower before.
    """
    if plan.recipe.backend.name != "torch":
        return []
    from detui.engine.backends.torch.gain import gain_table

    found = gain_table({arm.name: arm.config for arm in plan.arms})
    if all(row.weights == "off" for row in found):
        return []
    rows = [("", tr("clamp"), tr("residual"), tr("mode"), tr("smallest"), tr("largest"), "")]
    for row in found:
        clamp = _number(row.clamp) if row.clamp_from is None else f"{_number(row.clamp_from)}→{_number(row.clamp)}"
        numbers = (_number(row.residual), row.mode or DASH, _number(row.low), _number(row.high))
        alike = tr("equal to {arm}", arm=row.same_as) if row.equal else tr("same bounds as {arm}", arm=row.same_as)
        note = alike if row.same_as else ""
        if row.weights == "constant":
            note = ", ".join(filter(None, (note, tr("constant weights"))))
        rows.append((row.arm, clamp, *numbers, tr("no AQR") if row.weights == "off" else note))
    return [
        *table(rows, right=(1, 2, 4, 5)),
        tr("A feature f becomes f·r + f·m·(1 − r) (convex) or f·r + f·m (additive); m lies between 0 and the clamp."),
    ]


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.4g}"
