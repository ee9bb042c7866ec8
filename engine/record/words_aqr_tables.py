"""Words of the tables of AQR, in English and Chinese."""

from __future__ import annotations

AQR_TABLES: dict[str, tuple[str, str]] = {
    "by iteration seeds": ("{}, {} seeds", "{}，{} 个种子"),
    "said aqr": ("what AQR did, by iteration", "AQR 的逐次迭代统计"),
    # settings
    "aqr weights": ("weights (LiDAR / camera)", "权重（LiDAR / 相机）"),
    "aqr clamp": ("clamp", "裁剪上限"),
    "aqr residual": ("residual weight", "残差权重"),
    "aqr mode": ("mode", "调制形式"),
    "aqr kernel": ("kernel", "核"),
    "aqr further": ("further", "其他"),
    "aqr bounds": ("gain by theory", "理论增益"),
    "aqr off": ("off: no AQR", "关闭：无 AQR"),
    "aqr learned": ("learned", "学习"),
    "aqr starting": ("{} (from {} / {})", "{}（初值 {} / {}）"),
    "aqr being": ("{} ({} / {})", "{}（{} / {}）"),
    "aqr constant": ("constant", "常数"),
    "aqr convex": ("convex", "凸组合"),
    "aqr additive": ("additive", "加性"),
    "aqr sum": ("sum", "总和归一"),
    "aqr peak": ("peak", "峰值归一"),
    "aqr unscaled": ("1 (features as they are)", "1（特征不变）"),
    "aqr noised drawn": ("noised queries drawn", "加噪查询也渲染"),
    "aqr balance": ("camera : LiDAR to {} (factor {})", "相机 : LiDAR 趋向 {}（系数 {}）"),
    "aqr mode unknown": ("{} (mode not known)", "{}（形式未知）"),
    # gain
    "aqr lidar": ("LiDAR", "LiDAR"),
    "aqr camera": ("camera", "相机"),
    "aqr measured lidar": ("measured, LiDAR", "实测，LiDAR"),
    "aqr measured camera": ("measured, camera", "实测，相机"),
    "aqr samples": ("samples", "样本数"),
    "aqr within": ("within its bounds?", "是否在界内？"),
    "aqr inside": ("yes, in every sample", "是，所有样本"),
    "aqr outside": ("🛑 no: {}", "🛑 否：{}"),
    "aqr violated": (
        "{}, {}: {} at iteration {}, where {} is allowed; so in {} of {} samples",
        "{}，{}：{}（第 {} 次迭代），允许 {}；{} / {} 个样本如此",
    ),
    # weights and maps
    "aqr weight mean": ("mean", "均值"),
    "aqr weight std": ("standard deviation", "标准差"),
    "aqr weight min": ("smallest", "最小"),
    "aqr weight max": ("largest", "最大"),
    "aqr lidar map": ("BEV map, largest", "BEV 权重图最大值"),
    "aqr lidar raw map": ("BEV map, largest before the clamp", "BEV 权重图裁剪前最大值"),
    "aqr camera map": ("perspective map, largest", "透视权重图最大值"),
    "aqr camera raw map": ("perspective map, largest before the clamp", "透视权重图裁剪前最大值"),
    # modulation
    "aqr mean change": ("mean change", "平均变化"),
    "aqr change all": ("relative change, all features (%)", "相对变化，全部特征 (%)"),
    "aqr change active": ("relative change, active features (%)", "相对变化，活跃特征 (%)"),
    "aqr active": ("active features (%)", "活跃特征占比 (%)"),
    "aqr max change": ("largest change", "最大变化"),
    # fractions
    "aqr lidar zero": ("BEV map zero (%)", "BEV 图为零 (%)"),
    "aqr lidar clamped": ("BEV map clamped (%)", "BEV 图被裁剪 (%)"),
    "aqr camera zero": ("perspective map zero (%)", "透视图为零 (%)"),
    "aqr camera clamped": ("perspective map clamped (%)", "透视图被裁剪 (%)"),
    "aqr padding": ("padding queries (%)", "填充查询 (%)"),
    "aqr unseen": ("queries that no camera sees (%)", "任何相机都看不到的查询 (%)"),
    "aqr gradient": ("gradient norm", "梯度范数"),
    # evidence
    "aqr reference": ("reference", "参照"),
    "aqr difference": ("{} difference (pp)", "{} 差值 (pp)"),
    "aqr kept": ("kept whatever the map says (%)", "不受权重图影响而保留的部分 (%)"),
    "aqr ratio": ("camera ÷ LiDAR weight", "相机 ÷ LiDAR 权重"),
    "aqr lidar changed": ("BEV changed, all / active (%)", "BEV 变化，全部 / 活跃 (%)"),
    "aqr camera changed": ("perspective changed, all / active (%)", "透视变化，全部 / 活跃 (%)"),
    "aqr gradient at ends": ("gradient norm, first → last", "梯度范数，首 → 末"),
    # figures
    "aqr_weights": ("AQR weights by iteration", "AQR 权重随迭代的变化"),
    "aqr_changes": ("Relative change of features by iteration", "特征相对变化随迭代的变化"),
    "aqr_bounds": ("Maps and gain against their bounds", "权重图与增益及其界限"),
    "detail aqr_weights": (
        "Thick: the mean over the queries, shaded by one standard deviation; thin: the smallest and the largest "
        "weight. An arm without AQR has no line.",
        "粗线：各查询的均值，阴影为一个标准差；细线：最小与最大权重。没有 AQR 的实验组没有线。",
    ),
    "detail aqr_changes": (
        "Counted on all features, zero ones included, and on the active ones, where told. Shaded: the band of a goal "
        "that has one, in its arm's colour, grey where it is of every arm.",
        "分别按全部特征（含零特征）与活跃特征计（以有报告者为限）。阴影：目标给出的范围，取其实验组的颜色；"
        "针对所有组者为灰色。",
    ),
    "detail aqr_bounds": (
        "Maps: thick, the largest value after the clamp; thin, before it. Gain: the smallest and the largest of active "
        "features. Short dashes: the clamp, and the bounds that the settings give.",
        "权重图：粗线为裁剪后的最大值，细线为裁剪前。增益：活跃特征的最小值与最大值。短虚线：裁剪上限，以及设置给出的界限。",
    ),
    "aqr clamp then": ("clamp then", "当时的裁剪上限"),
    # cautions
    "aqr out of bounds": (
        "🛑 A gain was measured that the settings do not allow: {}.",
        "🛑 实测增益超出设置所允许的范围：{}。",
    ),
    "aqr few seeds": (
        "Fewer than three finished trainings: {}. Differences from and to these arms may be chance, and nothing is "
        "concluded.",
        "完成的训练少于三次：{}。涉及这些实验组的差异可能出于偶然，不下结论。",
    ),
    "aqr background": (
        "The relative change of all features counts those that are zero, and so do not change: a small number may be "
        "background alone. At the last sample, on all / on active features (active part): {}.",
        "全部特征的相对变化把不会变化的零特征也算在内：数值小可能只是背景多。"
        "最后一个样本，全部 / 活跃（非零）特征（活跃占比）：{}。",
    ),
    "aqr counted": ("{} {} {} % / {} % ({} %)", "{} {} {} % / {} %（{} %）"),
    "aqr background untold": (
        "The relative change is the program's own, of all features: those that are zero do not change and are counted. "
        "How large it is on the active ones was not told.",
        "相对变化为程序自报，按全部特征计：不会变化的零特征也计入。活跃特征上的数值没有给出。",
    ),
    "aqr never amplified": (
        "No feature was amplified in any sample of {}: every measured gain is 1 or less, so all that AQR did was to "
        "attenuate.",
        "{} 的任何样本中都没有特征被放大：实测增益均不超过 1，AQR 只起衰减作用。",
    ),
    "aqr never clamped": (
        "The clamp was reached in no sample of {}: its value changed nothing in what was sampled, and of arms that "
        "differ in it alone the numbers are as good as equal for that reason.",
        "{} 的任何样本中都没有权重达到裁剪上限：在所采样的范围内，上限的取值没有起作用；"
        "只有裁剪上限不同的实验组，其数值几乎相同，原因在此。",
    ),
    "aqr noised": (
        "Noised queries are drawn into the maps of {}: they stand around the true boxes, and do so in training alone.",
        "{} 的权重图中也渲染加噪查询：它们位于真实框周围，而这只发生在训练中。",
    ),
    "aqr mode untold": (
        "Not known, as it was neither dumped nor stated: whether modulation was convex or additive in {}.",
        "未导出也未声明，因此未知：{} 的调制为凸组合还是加性。",
    ),
    "aqr drawn untold": (
        "Not known: whether noised queries were drawn into the maps of {}, or rows that are padding.",
        "未知：{} 的权重图中是否渲染了加噪查询与填充查询。",
    ),
}
