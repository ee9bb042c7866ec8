"""Words of the tables of convergence, of claims at an epoch and of arms by data sets, in English and Chinese."""

from __future__ import annotations

CONVERGENCE: dict[str, tuple[str, str]] = {
    "no number": ("— ({})", "—（{}）"),
    # convergence
    "final AP": ("final {} (%)", "最终 {} (%)"),
    "reached": ("epoch of {} % of it", "达到其 {} % 的轮次"),
    "reached at first": ("≤ {} (first evaluation)", "≤ {}（首次评估）"),
    "area": ("mean {} over the epochs (%)", "各轮平均 {} (%)"),
    "spread of last": ("spread over the last {} epochs (pp)", "最后 {} 轮的波动 (pp)"),
    "spread": ("{}; std {} (n = {})", "{}；标准差 {} (n = {})"),
    "still rising": ("still rising at the end", "结束时仍在上升"),
    "rising": ("yes ({} pp since epoch {})", "是（自第 {1} 轮起 {0} pp）"),
    "not rising": ("no ({} pp since epoch {}; highest at {})", "否（自第 {1} 轮起 {0} pp；最高在第 {2} 轮）"),
    "rising in": ("{} of {}", "{} / {}"),
    "time an epoch": ("time an epoch", "每轮用时"),
    "peak memory": ("peak memory", "内存峰值"),
    "on gpu": ("{} (GPU)", "{} (GPU)"),
    "on host": ("{} (host)", "{} (主机)"),
    "areas differ": ("over different epochs", "所跨轮次不同"),
    "said convergence": ("convergence", "收敛情况"),
    "convergence MISSING": ("nothing evaluated", "没有评估"),
    "convergence ONE": ("one evaluation only", "仅一次评估"),
    "convergence NO_AP": ("the last evaluation has no AP", "最后一次评估没有 AP"),
    "convergence ZERO": ("the final AP is 0", "最终 AP 为 0"),
    "convergence GAP": ("an evaluation in between has no AP", "其间有一次评估没有 AP"),
    "convergence FEW": ("fewer than two evaluations in the last {} epochs", "最后 {} 轮内评估少于两次"),
    "convergence rule": (
        "By the evaluations of detui's evaluator, {2}. Final {1}: the last evaluation, not the "
        "highest. (a, b]: after epoch a, which was evaluated below, and at epoch b at the latest, the first evaluated "
        "at or above; in a row of means the mean of b. Mean {1}: the area under the curve by trapezoids, divided by "
        "the epochs that it spans, from the first evaluated epoch to the last (in brackets). Spread: highest minus "
        "lowest evaluation within the last {0} epochs trained, and their standard deviation (n − 1); a curve that "
        "still rises has one, too. Rising: the last evaluation is above every earlier one. Time: the mean of the "
        "epochs that say theirs. Memory: the allocator's peak on a GPU, of the process on the host (RSS) otherwise.",
        "依据 detui 评估器的结果，{2}。最终 {1}：最后一次评估，而非最高。(a, b]：第 a 轮已评估且低于该值，"
        "最迟在第 b 轮（首次评估达到或超过）；均值行为 b 的均值。各轮平均 {1}：曲线下面积（梯形法）除以所跨轮数，"
        "自首次评估的轮次至最后一次（见括号）。波动：所训练的最后 {0} 轮内评估的最高值减最低值，以及标准差（n − 1）；"
        "仍在上升的曲线也会有波动。上升：最后一次评估高于此前所有评估。用时：报告了用时的各轮的均值。"
        "内存：GPU 上为分配器的峰值，否则为主机进程 (RSS) 的峰值。",
    ),
    "not every epoch": ("which are not of every epoch", "并非每轮都评估"),
    "every epoch": ("which are of every epoch", "每轮都评估"),
    # claims
    "claim of nobody": ("the claim names no arm", "声称值未指明实验组"),
    "claim of another": ("this experiment has no such arm", "本实验没有该实验组"),
    "claim of no data": ("the claim does not say on which data set", "声称值未指明数据集"),
    "claim of other data": ("claimed of the data set {}", "声称值针对数据集 {}"),
    "claim without gpu": ("no GPU was used", "未使用 GPU"),
    "claim of no class": ("the data has no such class", "该数据集没有此类别"),
    "claim without epoch": ("the claim names no epoch", "声称值未指明轮次"),
    "claim beyond": ("the run has {} epochs", "该运行共 {} 轮"),
    "claim after end": ("the run ended after epoch {}", "该运行在第 {} 轮之后结束"),
    "claim no value": ("no value at this epoch", "该轮没有数值"),
    "claim no such": ("the run reports no number of this name; it has {}", "该运行没有这一名称的数值；有 {}"),
    "claim not evaluated": ("not evaluated at this epoch; evaluated: {}", "该轮未评估；已评估：{}"),
    "claim at epoch": (", epoch {}", "，第 {} 轮"),
    "of chosen": ("chosen", "选定"),
    "said claimed": ("beside a claim", "与声称值并列"),
    # arms by data sets
    "references": ("of the same data ({})", "(同一数据上的 {})"),
    "objects an image": ("objects an image: {}", "每图目标数：{}"),
    "interaction said": (
        "({0} − {1} on {2}) − ({0} − {1} on {3}): {4}",
        "({2} 上 {0} − {1}) − ({3} 上 {0} − {1})：{4}",
    ),
    "said interaction": ("arms by data sets", "实验组 × 数据集"),
}
