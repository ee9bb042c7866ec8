"""Runs side by side: curves, metrics, differences."""

from __future__ import annotations

_CURVES = {
    "Curves": "曲线",
    "Metrics": "指标",
    "Differences": "差异",
    "Total loss": "总损失",
    "Learning rate ({name})": "学习率（{name}）",
    "mask {metric}": "掩膜 {metric}",
    "Loss ({name})": "损失（{name}）",
    "{metric}, mean ± sd over seeds": "{metric}，种子间均值 ± 标准差",
    "at cursor": "光标处",
    "reference": "参照",
    "This is the last one. q goes back.": "这是最后一个。按 q 返回。",
}

_LEAD = {
    "There is one run only, and nothing to compare it with.": "只有一个运行，没有可比较的对象。",
    "Mark another run in the list of runs with space, then press c.": "在运行列表中用空格再标记一个运行，然后按 c。",
    "Arms of {experiment} with the seeds that are listed: {names}.": "{experiment} 的各实验组，含所列种子：{names}。",
    "Each run is a side of its own: {names}.": "每个运行各为一方：{names}。",
    "{said} Reference: {name}.": "{said}参照：{name}。",
    "Not finished, so left out of the numbers: {runs}.": "未完成，因而不计入数值：{runs}。",
    "To finish one: enter in the list of runs here, then r to resume it.": "要完成它：在此列表中按回车，再按 r 继续。",
    "comparing…": "正在比较…",
    "comparing over the validation images…": "正在逐张验证图像比较…",
}

_TABLES = {
    "{side} against {reference}": "{side} 相对 {reference}",
    "metric": "指标",
    "delta (pp)": "差值 (pp)",
    "95 % over seeds": "95 % 区间 (种子)",
    "verdict": "判定",
    "inconclusive": "无法判定",
    "higher": "更高",
    "lower": "更低",
    "too few seeds": "种子太少",
    "interval holds zero": "区间包含 0",
    "interval excludes zero": "区间不含 0",
    "runs unfinished": "有运行未完成",
    "seen from (pp)": "可检出 (pp)",
    "not measured": "尚未测得",
    "no finished run has been evaluated": "还没有已完成且已评估的运行",
    "{side}, alone on {data}": "{side}，{data} 上没有其他可比较者",
    "! Not all sides were judged on the same images": "! 各方并非在同样的图像上评估",
    "! other images than above": "! 与上面的图像不同",
    "The data differ. No side is subtracted from one on other data, and no images are compared: each stands against"
    " the first side that was judged on the same images.": (
        "数据不同。不同数据上的各方之间不求差值，也不逐图比较：每一方只与在同样图像上评估的第一方比较。"
    ),
    "sides": "各方",
    "side": "一方",
    "data": "数据",
    "name": "名称",
    "objects an image (val)": "每图目标数 (val)",
    "AP (%)": "AP (%)",
    "Arms by data": "各实验组在各数据上",
    "Differences between arms on the same data, and at the right how much those differ from one data set to"
    " another, with their 95 % intervals over seeds.": (
        "同一数据上各实验组之间的差值，最右为差值随数据的变化，均附种子间 95 % 区间。"
    ),
    "{name} by {first} against {other}: {said}.": "{name}，{first} 相对 {other}：{said}。",
    "Claimed elsewhere": "他处声称的数值",
    "claimed": "声称值",
    "iteration": "迭代",
    "measured": "测得值",
    "source of the claim": "声称值来源",
    "Claimed: what a document states, and nothing that was measured here. No difference is computed and no verdict"
    " rests on it. Without an epoch or iteration, measured is that of the chosen checkpoints, or the last that"
    " a program told of its own: mean ± standard"
    " deviation (n).": (
        "声称值：某文献所述，并非此处测得。不据此求差值，也不据此判定。"
        "未注明轮次或迭代时，测得值取自选定检查点，或程序自己最后报告的数值：均值 ± 标准差 (n)。"
    ),
    "no finished run of each has been evaluated": "至少一方还没有已完成且已评估的运行",
    "mean ± standard deviation (n) of the chosen checkpoints of finished runs. seen from: so large a difference"
    " would show in 80 % of repetitions with as many seeds of this spread; a smaller one would mostly not be seen.": (
        "已完成运行选定检查点的均值 ± 标准差 (n)。可检出：以同样多的种子与同样的离散程度，"
        "这么大的差异在 80 % 的重复实验中能看出；更小的多半看不出来。"
    ),
    "{second} against {first}, over the validation images": "{second} 相对 {first}，验证图像上",
    "not compared: {problem}": "未比较：{problem}",
    "{count} images of the validation split, paired bootstrap. It is about these two trained models on images like"
    " these, and says nothing of what another seed would give.": (
        "验证集的 {count} 张图像，配对自助法。它只说明这两个训练好的模型在此类图像上的差异，与其他种子无关。"
    ),
    "first (%)": "前者 (%)",
    "second (%)": "后者 (%)",
    "95 % over images": "95 % 区间 (图像)",
    "field": "字段",
    "declared": "已声明",
    "! not declared": "! 未声明",
    "note": "备注",
    "no metric in common: the numbers of an imported run are its framework's own": (
        "没有共同的指标：导入的运行只有其框架自报的数值"
    ),
    "How an imported side was configured is not known: nobody can say here that nothing else differs.": (
        "导入一方的配置未知：无法断言没有其他差异。"
    ),
    "No confounder: nothing differs but what is declared.": "没有混杂因素：除已声明的字段外没有差异。",
    "1 confounder: the recipe does not declare them in `varies`.": "1 个混杂因素：配方没有在 `varies` 中声明。",
    "{count} confounders: the recipe does not declare them in `varies`.": (
        "{count} 个混杂因素：配方没有在 `varies` 中声明。"
    ),
}

TEXTS = {**_CURVES, **_LEAD, **_TABLES}
