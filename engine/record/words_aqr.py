"""Labels of the statistics of AQR, in English and Chinese: those of the backend `torch`, and those of imported logs.

A relative change says in its label what it counts: the mean over all features, in which those of zero count as
unchanged, is several times lower than the mean over the features that are not zero.
"""

from __future__ import annotations

_ENGLISH, _CHINESE = 0, 1
_ENDS = (("mean", "mean", "均值"), ("std", "standard deviation", "标准差"), ("min", "lowest", "最小值"),
         ("max", "highest", "最大值"))  # fmt: skip
_SIDES = {"lidar": ("LiDAR", "激光雷达"), "camera": ("camera", "相机")}
_ALL = ("relative change of a feature, all features counted (those of zero as unchanged)",
        "特征相对变化，计入全部特征（零特征按未变化计）")  # fmt: skip
_WEIGHT = {end: (f"weight of the queries, {en}", f"查询权重{zh}") for end, en, zh in _ENDS}
_OF_A_SIDE: dict[str, tuple[str, str]] = {
    **{f"weight_{end}": text for end, text in _WEIGHT.items()},
    "map_max": ("largest value of the map, clamped", "权重图最大值（裁剪后）"),
    "map_raw_max": ("largest value of the map, before the clamp", "权重图最大值（裁剪前）"),
    "zero_fraction": ("part of the map without any weight", "权重图中权重为零的比例"),
    "clamped_fraction": ("part of the map above the clamp", "权重图中超出裁剪上限的比例"),
    "relative_change": _ALL,
    "relative_change_active": (
        "relative change of a feature, only active features counted (those that are not zero)",
        "特征相对变化，仅计入活跃特征（非零特征）",
    ),
    "mean_change": ("change of a feature, mean", "特征变化均值"),
    "max_change": ("change of a feature, largest", "特征变化最大值"),
    "active_fraction": ("active features (those that are not zero)", "活跃特征（非零特征）的比例"),
    "gain_min": ("smallest gain measured on active features", "活跃特征上测得的最小增益"),
    "gain_max": ("largest gain measured on active features", "活跃特征上测得的最大增益"),
}
_OF_BOTH: dict[str, tuple[str, str]] = {
    "gain_low": ("lower bound of the gain", "增益下界"),
    "gain_high": ("upper bound of the gain", "增益上界"),
    "clamp": ("clamp of the map", "权重图裁剪上限"),
    "balance": ("mean weight of the camera over that of the LiDAR", "相机与激光雷达平均权重之比"),
    "padding_fraction": ("queries that are padding", "填充查询的比例"),
    "unseen_fraction": ("queries that no camera sees", "没有相机看到的查询的比例"),
    "gradient_norm": ("norm of the gradient of what computes the weights", "权重计算部分的梯度范数"),
}
_MAPS = {"bev": ("LiDAR (BEV)", "激光雷达 (BEV)"), "perspective": ("camera (perspective)", "相机 (透视)")}
_OF_A_LOG: dict[str, tuple[str, str]] = {
    **{f"map_{end}": (f"map of weights, {en}", f"权重图{zh}") for end, en, zh in _ENDS},
    **{f"change_{end}": (f"change of a feature, {en}", f"特征变化{zh}") for end, en, zh in _ENDS},
    "change_relative": _ALL,
}
_LOGGED: dict[str, tuple[str, str]] = {
    **{f"output_{end}": (f"modulated features, {en}", f"调制后特征{zh}") for end, en, zh in _ENDS},
    "queries": ("queries", "查询数"),
    "ranks": ("processes that printed the block", "打印该块的进程数"),
}
_RANKS = {
    "rank_sd": ("standard deviation over processes", "各进程间标准差"),
    "rank_min": ("lowest of the processes", "各进程最小值"),
    "rank_max": ("highest of the processes", "各进程最大值"),
}


def _joined(sides: dict[str, tuple[str, str]], texts: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {f"aqr/{side}_{name}": (f"{of[_ENGLISH]}: {text[_ENGLISH]}", f"{of[_CHINESE]}：{text[_CHINESE]}")
            for side, of in sides.items() for name, text in texts.items()}  # fmt: skip


BUILT_IN: dict[str, tuple[str, str]] = {
    **_joined(_SIDES, _OF_A_SIDE),
    **{f"aqr/{name}": text for name, text in _OF_BOTH.items()},
}
"""Name → label in English and Chinese, of what the backend `torch` reports: docs/fusion.md."""
LOGGED: dict[str, tuple[str, str]] = {
    **_joined(_SIDES, {f"weight_{end}": text for end, text in _WEIGHT.items()}),
    **_joined(_MAPS, _OF_A_LOG),
    **{f"aqr/{name}": text for name, text in _LOGGED.items()},
}
"""The same of what forks of CMT print; the mean over their processes."""
_LABELS = {**LOGGED, **BUILT_IN}


def label(name: str, language: str = "en") -> str | None:
    """ "aqr/camera_weight_mean" → "camera: weight of the queries, mean"; None for a name that is none of AQR's.

    Of several processes, "aqr/camera_weight_mean/rank_min" says so behind it. `language`: en or zh.
    """
    place = _CHINESE if language == "zh" else _ENGLISH
    base, _, rank = name.rpartition("/") if name.rpartition("/")[2] in _RANKS else (name, "", "")
    if base not in _LABELS:
        return None
    text = _LABELS[base][place]
    if not rank:
        return text
    return f"{text}（{_RANKS[rank][place]}）" if place == _CHINESE else f"{text} ({_RANKS[rank][place]})"
