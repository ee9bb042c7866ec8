"""Words of the record of two frameworks that train one model, in English and Chinese."""

from __future__ import annotations

PARITY: dict[str, tuple[str, str]] = {
    # equality
    "tensor shapes": ("names and shapes of all tensors (checksum)", "全部张量的名称与形状 (校验和)"),
    "tensor count": ("tensors", "张量数"),
    "trained": ("of them trained", "其中参与训练"),
    "frozen parameters": ("of them frozen", "其中冻结"),
    "constants": ("stored beside them (running statistics, frozen norms)", "另存数值 (运行统计量、冻结的归一化)"),
    "published": ("published parameters of this size", "该尺寸公布的参数量"),
    "published constants": (
        "stored beside them in the published model of this size",
        "该尺寸公布模型中另存的数值",
    ),
    "counts": ("parameter counts", "参数量"),
    "first weights": ("first weights (checksum)", "初始权重 (校验和)"),
    "before jitter": ("first weights before they were moved", "扰动之前的初始权重"),
    "first batches": ("first three batches (checksums)", "前三个批次 (校验和)"),
    "data checksum": ("data (fingerprint)", "数据 (指纹)"),
    "framework used here": ("framework", "框架"),
    "equal": ("✅ equal", "✅ 相同"),
    "unequal": ("❌ not equal", "❌ 不同"),
    "moved on purpose": ("{} was moved on purpose", "{} 为有意扰动"),
    "said equality": ("what was trained", "训练对象"),
    # the document's rows
    "value of arm": ("the arm", "该实验组"),
    "relative difference": ("(arm − reference) / reference", "(该组 − 参照组) / 参照组"),
    "first step loss": ("loss of the first step", "第一步的损失"),
    "first epoch loss": ("first loss (mean of epoch 1)", "初始损失 (第 1 轮均值)"),
    "last epoch loss": ("last loss (mean of the last epoch)", "最终损失 (末轮均值)"),
    "claimed against": ("claimed: {} against {} ({} %)", "声称: {} 对 {} ({} %)"),
    "claimed at": ("of epoch {}, where these runs have {}", "为第 {} 轮，此处的运行共 {} 轮"),
    # drift
    "steps": ("steps", "步"),
    "typical drift": ("median size of the difference", "差异绝对值的中位数"),
    "largest drift": ("largest", "最大"),
    "signed drift": ("mean with its sign", "带符号的均值"),
    "times floor": ("times the noise floor", "噪声基线的倍数"),
    "said drift": ("losses by step", "逐步损失"),
    # cost
    "cost training": ("training time", "训练时间"),
    "cost compiling": ("of it long first steps: compiling, warming up", "其中最初的长步：编译、预热"),
    "cost training bare": ("training time without compiling", "训练时间 (不含编译)"),
    "cost step": ("a step (median)", "每步 (中位数)"),
    "cost inference": ("inference (median)", "推理 (中位数)"),
    "cost memory": ("host memory (RSS, peak)", "主机内存 (RSS 峰值)"),
    "seconds/data": ("of a step: waiting for data", "每步：等待数据"),
    "seconds/forward": ("outputs and losses", "前向与损失"),
    "seconds/update": ("gradients and optimiser", "梯度与优化器"),
    "the best queries, no NMS": ("the best queries, no NMS", "得分最高的查询 (无 NMS)"),
    "said cost here": ("cost", "代价"),
    # verdicts
    "nobody judged": (
        "No arm of this experiment computes in another framework than the reference: there is nothing to judge.",
        "本实验中没有与参照组框架不同的实验组：无可判定。",
    ),
    "question asked": ("question", "问题"),
    "ask equal": ("Was the same model trained on the same bits?", "训练的是同一模型、同一批数据吗？"),
    "ask accuracy": ("Is the accuracy the same?", "精度是否相同？"),
    "ask first": ("Is the loss of the first step the same?", "第一步的损失是否相同？"),
    "ask later": ("Do later losses stay within the noise?", "之后的损失是否在噪声之内？"),
    "ask training": ("What does the training cost, compiling included?", "训练代价（含编译）？"),
    "ask training bare": ("What does the training cost, compiling left out?", "训练代价（不含编译）？"),
    "ask step": ("What does a step cost, compiling left out?", "每步代价（不含编译）？"),
    "ask inference": ("What does inference cost?", "推理代价？"),
    "ask memory": ("What does it cost in memory?", "内存代价？"),
    "model equal": (
        "✅ the same model: shapes, parameters, first weights and batches are equal (seeds: {})",
        "✅ 同一模型：形状、参数量、初始权重与批次均相同 ({} 个种子)",
    ),
    "model differs": ("❌ not the same: {}", "❌ 不同：{}"),
    "cannot be told begun": ("⚠️ cannot be said: not both have begun", "⚠️ 无法判定：双方尚未都开始"),
    "cannot be told of": ("⚠️ cannot be said: not told: {}", "⚠️ 无法判定：未报告：{}"),
    "cannot be told unfinished": (
        "⚠️ cannot be said: runs are unfinished, or not evaluated",
        "⚠️ 无法判定：有运行未完成或未评估",
    ),
    "cannot be told seeds": (
        "⚠️ cannot be said: fewer than three seeds ({} and {})",
        "⚠️ 无法判定：少于三个种子 ({} 与 {})",
    ),
    "cannot be told floor": ("⚠️ cannot be said: there is no noise floor yet", "⚠️ 无法判定：尚无噪声基线"),
    "cannot be told steps": ("⚠️ cannot be said: no steps of both", "⚠️ 无法判定：没有双方共有的步"),
    "cannot be told cost": ("⚠️ cannot be said: not measured on both sides", "⚠️ 无法判定：双方未都测得"),
    "cannot be told speed": (
        "⚠️ cannot be said: not measured on both sides; still to be run: {}",
        "⚠️ 无法判定：双方未都测得；尚待运行：{}",
    ),
    "cannot be told nothing": (
        "⚠️ cannot be said: all runs of both have 0, nothing was learned that could differ",
        "⚠️ 无法判定：双方全部运行均为 0，尚未学到可比较的内容",
    ),
    "cannot be told width": (
        "⚠️ cannot be said: differences below {} points would not be seen; half of the 95 % interval is {} points wide, "
        "{} are allowed ([{}, {}]); more seeds or more pictures are needed",
        "⚠️ 无法判定：小于 {} 个百分点的差异无法察觉；95 % 区间的半宽为 {} 个百分点，允许 {} ([{}, {}])；"
        "需要更多种子或图像",
    ),
    "cannot be told devices": ("⚠️ cannot be said: different devices: {}", "⚠️ 无法判定：设备不同：{}"),
    "accuracy noise": (
        "✅ indistinguishable from noise: difference {} points, 95 % interval [{}, {}], spread of the noise {}; "
        "a difference within the interval would not be seen",
        "✅ 与噪声无法区分：差值 {} 个百分点，95 % 区间 [{}, {}]，噪声幅度 {}；区间之内的差异无法察觉",
    ),
    "accuracy differs": (
        "❌ differs by {} points: the 95 % interval [{}, {}] excludes 0; spread of the noise {}",
        "❌ 相差 {} 个百分点：95 % 区间 [{}, {}] 不含 0；噪声幅度 {}",
    ),
    "accuracy undecided": (
        "⚠️ cannot be said: the difference of {} points is larger than the noise, and its 95 % interval [{}, {}] "
        "includes 0; spread of the noise {}; more seeds are needed",
        "⚠️ 无法判定：差值 {} 个百分点大于噪声，而 95 % 区间 [{}, {}] 含 0；噪声幅度 {}；需要更多种子",
    ),
    "first step equal": (
        "✅ equal: largest relative difference {} (seeds: {}); 1e-4 is allowed",
        "✅ 相同：最大相对差异 {}，{} 个种子；允许 1e-4",
    ),
    "first step differs": (
        "❌ differs: largest relative difference {} (seeds: {}); 1e-4 is allowed",
        "❌ 不同：最大相对差异 {}，{} 个种子；允许 1e-4",
    ),
    "losses within": (
        "✅ within the noise: worst in steps {}, {}× the noise floor ({} against {}; seeds: {}); "
        "2×, or 1e-4, is allowed",
        "✅ 在噪声之内：最差为第 {} 步，为噪声基线的 {} 倍 ({} 对 {}；{} 个种子)；允许 2 倍或 1e-4",
    ),
    "losses beyond": (
        "❌ beyond the noise: in steps {} {}× the noise floor ({} against {}; seeds: {})",
        "❌ 超出噪声：第 {} 步为噪声基线的 {} 倍 ({} 对 {}；{} 个种子)",
    ),
    "slower": ("slower by {}× (runs: {})", "用时为 {} 倍 ({} 个运行)"),
    "faster": ("faster by {}× (runs: {})", "用时仅为 1/{} ({} 个运行)"),
    "as fast": ("as fast within 5 % ({}×, runs: {})", "速度相同 (5 % 以内，{} 倍，{} 个运行)"),
    "more memory": ("{}× the memory (runs: {})", "内存为 {} 倍 ({} 个运行)"),
    "less memory": ("less memory by {}× (runs: {})", "内存仅为 1/{} ({} 个运行)"),
    "same memory": ("as much memory within 5 % ({}×, runs: {})", "内存相同 (5 % 以内，{} 倍，{} 个运行)"),
}
