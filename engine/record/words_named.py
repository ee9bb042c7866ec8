"""Words of goals and claims about bands, statistics, fields and iterations, in English and Chinese."""

from __future__ import annotations

NAMED_WORDS: dict[str, tuple[str, str]] = {
    "band": ("{} to {}", "{} 至 {}"),
    "colon": (": ", "："),
    "no statistic": ("the run reports no number of this name", "该运行没有这一名称的数值"),
    "at iteration": (" at iteration {}", "（第 {} 次迭代）"),
    "used setting": ("{} (as the training used it)", "{}（训练实际使用的值）"),
    "sum of terms": ("{} (sum of its terms)", "{}（各项之和）"),
    "said goal": ("beside a goal", "与目标并列"),
    "no used value": (
        "the training does not say which number it used for this field",
        "训练未说明该字段实际使用的数值",
    ),
    "beyond iterations": ("the run has {} iterations", "该运行共 {} 次迭代"),
    "no line of iteration": ("no line of this iteration; the nearest: {}", "没有该次迭代的记录；最近的：{}"),
    "no line so early": (
        "no line at or before the chosen checkpoint; the first is of iteration {}",
        "选定检查点及之前没有记录；首条为第 {} 次迭代",
    ),
    "no step line": ("no step was reported at this iteration", "该次迭代没有逐步记录"),
    "by iteration": (
        "statistics are of an iteration, and the claim names an epoch",
        "统计量属于某次迭代，而声称值指明的是轮次",
    ),
}
