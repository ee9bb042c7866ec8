"""The learning rate of each part of the model in each arm of a recipe: computed from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detui.tui.language import tr
from detui.tui.output import DASH, table

if TYPE_CHECKING:
    from detui.engine.planning import Plan


def rate_lines(plan: Plan) -> list[str]:
    """Return the table of a recipe of the backend `mmdet`, a row a stage, and what it means; of another, nothing."""
    if plan.recipe.backend.name != "mmdet":
        return []
    from detui.engine.backends.mmdet.rates import planned

    rows = [("", tr("backbone"), tr("neck"), tr("heads"), tr("pictures a step"), tr("lr is of"))]
    for arm in plan.arms:
        for stage in arm.stages:
            found = planned(stage.config)
            name = arm.name if len(arm.stages) == 1 else f"{arm.name}, {stage.name}"
            backbone = tr("frozen") if found.backbone is None else f"{found.backbone:.4g}"
            reference = DASH if found.reference is None else str(found.reference)
            rows.append((name, backbone, f"{found.neck:.4g}", f"{found.heads:.4g}", str(found.pictures), reference))
    return [
        *table(rows, right=(1, 2, 3, 4, 5)),
        tr("After the warm-up, before any drop: lr × the part's factor × pictures a step / pictures that lr is of."),
    ]
