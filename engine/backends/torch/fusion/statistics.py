"""What AQR did in a step, as named numbers for `statistic` lines, and two checks on them.

Each name is `aqr/<lidar|camera>_<what>`, or `aqr/<what>` where it is about both:

    weight_mean, _std, _min, _max    of the queries that are not padding
    map_max, map_raw_max             the largest value of the map, clamped and as it was splatted
    zero_fraction, clamped_fraction  parts of the map without any weight, and above the clamp
    mean_change, max_change          of a feature: after − before, and its largest size
    relative_change                  |after − before| / |before| over all features; those of zero count as unchanged
    relative_change_active           the same over the features that are not zero; the two differ several times over
    active_fraction                  which part those are
    gain_min, gain_max               after / before, measured on the active features
    gain_low, gain_high              what bounds them
    padding_fraction                 of all rows of queries
    unseen_fraction                  of the others: those that no camera sees
    balance                          the mean weight of the camera over that of the LiDAR
    gradient_norm                    of what computes the weights
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from detui.engine.backends.torch.fusion.aqr import AqrTrace, SideTrace
from detui.engine.backends.torch.gain import Bounds, Mode, gain_bounds, within
from detui.engine.errors import RunError

ACTIVE = 1e-6
"""A feature is active where its size lies above this."""


def statistics(trace: AqrTrace, residual_weight: float, mode: Mode) -> dict[str, float]:
    """All of the above but the gradient's norm. The GPU is waited for once."""
    found: dict[str, Tensor] = {}
    for name, side in (("lidar", trace.lidar), ("camera", trace.camera)):
        found |= {f"aqr/{name}_{what}": value for what, value in _side(side, trace.clamp).items()}
    real = trace.queries - trace.padding
    found["aqr/padding_fraction"] = trace.padding / max(trace.queries, 1)
    found["aqr/unseen_fraction"] = trace.unseen / real.clamp_min(1)
    found["aqr/balance"] = found["aqr/camera_weight_mean"] / found["aqr/lidar_weight_mean"]
    found["aqr/clamp"] = trace.clamp
    values = torch.stack([value.double() for value in found.values()]).tolist()
    numbers = dict(zip(found, values, strict=True))
    low, high = gain_bounds(numbers["aqr/clamp"], residual_weight, mode)
    return numbers | {"aqr/gain_low": low, "aqr/gain_high": high}


def _side(side: SideTrace, clamp: Tensor) -> dict[str, Tensor]:
    weights, (rendered, raw) = side.weights.double(), side.rendered
    before, after = side.before.float(), side.after.float()
    change, size = after - before, before.abs()
    active = size > ACTIVE
    # 0/0 where nothing is active is 0: no feature was changed.
    relative = torch.where(active, change.abs() / size.clamp_min(ACTIVE), torch.zeros_like(size))
    gain = after[active] / before[active]
    gain = gain if gain.numel() else gain.new_ones(1)
    return {
        "weight_mean": weights.mean(),
        "weight_std": weights.std(correction=0),
        "weight_min": weights.min(),
        "weight_max": weights.max(),
        "map_max": rendered.max(),
        "map_raw_max": raw.max(),
        "zero_fraction": (rendered == 0).double().mean(),
        "clamped_fraction": (raw > clamp).double().mean(),
        "mean_change": change.double().mean(),
        "max_change": change.abs().max(),
        "relative_change": relative.double().mean(),
        "relative_change_active": relative.double().sum() / active.sum().clamp_min(1),
        "active_fraction": active.double().mean(),
        "gain_min": gain.min(),
        "gain_max": gain.max(),
    }


def gain_violation(numbers: Mapping[str, float]) -> str | None:
    """The text of the alarm `aqr_gain` where a measured gain lies outside of its bounds; None where none does."""
    bounds = Bounds(numbers["aqr/gain_low"], numbers["aqr/gain_high"])
    for name in ("lidar", "camera"):
        low, high = numbers[f"aqr/{name}_gain_min"], numbers[f"aqr/{name}_gain_max"]
        # Features are either all unchanged, which no bound needs to allow, or scaled; NaN compares false with both.
        if numbers[f"aqr/{name}_active_fraction"] > 0 and not within(low, high, bounds):
            return (
                f"AQR scaled {name} features by {low:.6g} to {high:.6g}, "
                f"and its settings allow {bounds.low:.6g} to {bounds.high:.6g}."
            )
    return None


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """The norm of the gradient of what computes the weights, after `backward` and before any clipping.

    Raises RunError where it is zero, or where there is none: then AQR does not learn, and a run that went on would be
    recorded as one in which it did.
    """
    gradients = [p.grad for p in parameters if getattr(p, "grad", None) is not None]
    norm = float(torch.stack([g.detach().float().norm() for g in gradients]).norm()) if gradients else 0.0
    if norm == 0.0:
        message = "No gradient reaches the AQR weights: they would stay as they were initialised."
        hint = "all cells may be clamped: --set model.aqr.saturate=straight-through; or set model.aqr.weights=constant"
        raise RunError(message, where="model.aqr", hint=hint)
    return norm
