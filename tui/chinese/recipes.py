"""The recipes, a recipe's page, and the form from which it is started."""

from __future__ import annotations

_COUNTED = {
    "1 run": "1 个运行",
    "{count} runs": "{count} 个运行",
    "1 arm": "1 组",
    "{count} arms": "{count} 组",
    "1 seed": "1 个种子",
    "{count} seeds": "{count} 个种子",
    "1 thread": "1 线程",
    "{count} threads": "{count} 线程",
    "1 epoch": "1 轮",
    "{count} epochs": "{count} 轮",
    "1 percentage point": "1 个百分点",
    "{points} percentage points": "{points} 个百分点",
}

_LIST = {
    "Reading the recipes…": "正在读取配方…",
    "Reading the recipe…": "正在读取配方…",
    "No recipe fits. esc takes the filter away.": "没有符合的配方。按 esc 取消筛选。",
    "missing: {things}": "缺少：{things}",
    "environment {name}": "环境 {name}",
    "data {name}": "数据 {name}",
    "weights {name}": "权重 {name}",
}

_SECTIONS = {
    "Missing": "缺少",
    "To be mended before it can start": "启动前须修正",
    "Question": "研究问题",
    "Arms": "实验组",
    "What differs": "差异",
    "Protocol": "训练规程",
    "Data": "数据",
    "Models": "模型",
    "Goals": "目标",
    "Claimed (stated by documents, not measured here)": "声称值（出自文献，并非在此测得）",
    "Is the comparison fair?": "比较是否公平？",
    "Memory and time": "显存/内存与用时",
    "Built model": "构建出的模型",
    "Warnings": "警告",
    "Run it": "运行命令",
    "Runs, in the order in which they get a device": "运行，按获得设备的先后",
    "Begins at another run's checkpoint": "从另一运行的检查点开始",
    "Needed before, on such a device": "此前在同类设备上的用量",
    "Values that all arms share": "各实验组相同的值",
    "Values of {arm}": "{arm} 的值",
}

_PAGE = {
    "nothing": "无",
    "! not in `varies`": "! 未列入 `varies`",
    "epochs: {each}": "轮数：{each}",
    "stages: {each}": "阶段：{each}",
    "Stages of {arm}": "{arm} 的各阶段",
    "stages of {arm}: {each}": "{arm} 的阶段：{each}",
    "epoch {epoch}": "第 {epoch} 轮",
    "iteration {iteration}": "第 {iteration} 次迭代",
    "{arm} from {low} to {high}": "{arm} 在 {low} 至 {high} 之间",
    "{field} as the training used it": "{field}（训练实际使用的值）",
    "another data set in place of the recipe's": "以另一数据集代替配方中的数据集",
    "checkpoint: the best by {metric}": "检查点：{metric} 最高者",
    "checkpoint: the last": "检查点：最后一个",
    "evaluated after epochs {epochs}": "在这些轮次之后评估：{epochs}",
    "profile: {name}": "档位：{name}",
    "device: {device}": "设备：{device}",
    "with a depth map for every image": "每张图像附有深度图",
    "the program brings its own": "由程序自带",
    "{role}: the first {count} images of {split}": "{role}：{split} 的前 {count} 张图像",
    "{role}: the first {count} frames of {split}": "{role}：{split} 的前 {count} 帧",
    "every arm": "所有实验组",
    "{arm} at least {by} above {against}": "{arm} 比 {against} 至少高 {by}",
    "{arm} at most {by} below {against}": "{arm} 比 {against} 至多低 {by}",
    "{arm} as in {against}": "{arm} 与 {against} 相同",
    "{arm} at least {value}": "{arm} 至少 {value}",
    "{arm} at most {value}": "{arm} 至多 {value}",
    "claimed: {metric} {value}{arm} – {source}{note}": "声称值：{metric} {value}{arm} – {source}{note}",
    "try: {hint}": "试试：{hint}",
    "{field} differs, as declared ({values}).": "{field} 按声明有差异（{values}）。",
    "{field} is declared in `varies` but does not differ.": "{field} 已在 `varies` 中声明，但没有差异。",
    "{field} differs between the arms ({values}) and the recipe does not declare it in `varies`.": (
        "{field} 在各实验组间不同（{values}），而配方没有在 `varies` 中声明。"
    ),
    "give all arms the same {field}, or add it to `varies`": "让各实验组的 {field} 相同，或把它加入 `varies`",
    "nothing differs that `varies` does not declare": "除 `varies` 声明的字段外没有差异",
    "{run}, after epoch {epoch} (step {step})": "{run}，第 {epoch} 轮之后（第 {step} 步）",
    "nothing is changed": "没有改动",
    "Several devices": "多设备",
    "{devices} devices a run, {images} images of a step on each: a batch of {batch}, as asked": (
        "每个运行 {devices} 个设备，每步每个设备 {images} 张图像：批大小 {batch}，与所求一致"
    ),
    "{nodes} nodes a run, {count} of its devices on each; only the first node is sampled": (
        "每个运行 {nodes} 个节点，每个节点 {count} 个设备；只对第一个节点采样"
    ),
    "the learning rate is not scaled: the batch does not depend on the number of devices": (
        "学习率不缩放：批大小与设备数量无关"
    ),
    "batch normalisation, where the model has it, sees the {images} images of one device": (
        "若模型有批归一化，其统计只含一个设备的 {images} 张图像"
    ),
    "threads of each worker: {count}": "每个 worker 的线程数：{count}",
    "not yet known: parameters, FLOPs and layers of {arms}": "尚不清楚：{arms} 的参数量、FLOPs 与层数",
}

_RATES = {
    "Learning rates by part": "各部分的学习率",
    "neck": "颈部",
    "heads": "头部",
    "frozen": "冻结",
    "pictures a step": "每步图片数",
    "lr is of": "lr 对应的图片数",
    "After the warm-up, before any drop: lr × the part's factor × pictures a step / pictures that lr is of.": (
        "预热之后、首次下降之前：lr × 该部分的系数 × 每步图片数 / lr 对应的图片数。"
    ),
}

_GAIN = {
    "Gain of AQR, computed": "AQR 的增益（计算值）",
    "clamp": "截断",
    "residual": "残差",
    "mode": "模式",
    "smallest": "最小",
    "largest": "最大",
    "equal to {arm}": "等同于 {arm}",
    "same bounds as {arm}": "界限同 {arm}",
    "constant weights": "权重恒定",
    "no AQR": "无 AQR",
    "A feature f becomes f·r + f·m·(1 − r) (convex) or f·r + f·m (additive); m lies between 0 and the clamp.": (
        "特征 f 变为 f·r + f·m·(1 − r)（convex）或 f·r + f·m（additive）；m 介于 0 与截断值之间。"
    ),
}

_NEEDS = {
    "CPU, {runs} at a time, {threads} each": "CPU，同时 {runs}，各 {threads}",
    "one of: {names}": "以下之一：{names}",
    "{count} of: {names}": "以下中的 {count} 个：{names}",
    "{device} has {size} GB free": "{device} 空闲 {size} GB",
    "no history for this configuration: --preflight measures it": "此配置尚无历史数据：可用 --preflight 测量",
    "needed {size} GB before": "以往用 {size} GB",
    "needed {size} GB of host memory before": "以往用主机内存 {size} GB",
    "by a preflight's few steps": "由 preflight 的少量步数测得",
    "days": "天",
    "not yet known; a first run or --preflight tells": "尚不清楚；首次运行或 --preflight 之后可知",
}

_MODELS = {
    "classes": "类别数",
    "input": "输入",
    "backbone": "主干网络",
    "convolutions in it": "其卷积层数",
    "channels at {level}, stride {stride}": "{level} 通道数（步长 {stride}）",
    "parameters": "参数量",
    "of the backbone": "主干网络",
    "of the neck (encoder)": "颈部（编码器）",
    "of the head (decoder)": "头部（解码器）",
    "of the camera encoder": "相机编码器",
    "of the pillar encoder (LiDAR)": "柱体编码器（激光雷达）",
    "of the position encoding": "位置编码",
    "of AQR's weights": "AQR 权重",
    "of the decoder": "解码器",
    "of the heads": "预测头",
    "of the queries": "查询",
    "GFLOPs of one frame, all its cameras, as torch counts them: a multiply-add is 2": (
        "GFLOPs 为一帧（含其全部相机），由 torch 计数：一次乘加计 2"
    ),
    "a frame of noise with {points} points": "一帧噪声，含 {points} 个点",
    "a pass: one frame of noise, random weights, {precision}, no decoding, median;": (
        "单次前向：一帧噪声，随机权重，{precision}，不含解码，取中位数；"
    ),
    "memory of a pass": "单次前向内存",
    "time of a pass": "单次前向时间",
    "claimed": "声称值",
    "ratio": "比值",
    "ratio: to {models}": "比值：相对于 {models}",
    "built without weights, by {packages}": "未载入权重构建：{packages}",
    "GFLOPs of one picture as torch counts them: a multiply-add is 2": "GFLOPs 为单张图像，由 torch 计数：一次乘加计 2",
    "a pass: one picture of noise, random weights, {precision}, no post-processing, median;": (
        "单次前向：一张噪声图像，随机权重，{precision}，不含后处理，取中位数；"
    ),
    "on {device}, threads: {threads}; memory: {what}": "设备 {device}，线程数 {threads}；内存：{what}",
    "not built yet: {arms}; {key} builds them, without weights": "尚未构建：{arms}；按 {key} 构建（不载入权重）",
    "not built yet: {arms}; {command} builds them, without weights": (
        "尚未构建：{arms}；可用 {command} 构建（不载入权重）"
    ),
    "The models are being built.": "正在构建模型。",
    "building the models…": "正在构建模型…",
    "building model {number} of {count}…": "正在构建模型 {number}/{count}…",
    "The models are built: see Models.": "模型已构建：见“模型”一节。",
}

_FORM = {
    "Profile": "档位",
    "Seeds": "种子",
    "Free memory": "空闲显存",
    "When busy": "设备占满时",
    "Executor": "执行方式",
    "partitions: {names}": "分区：{names}",
    "A quote is not closed.": "引号没有闭合。",
    "Slurm: {words}": "Slurm：{words}",
    "CPU slots": "CPU 槽位",
    "Other values": "其他数值",
    "Name": "名称",
    "Tags": "标签",
    "with commas between": "以逗号分隔",
    "Note": "备注",
    "goes into the record": "写入实验记录",
    "Evaluate": "评估",
    "after training": "训练之后",
    "all GPUs for each run": "每个运行使用全部 GPU",
    "now {value} · {type} · {source}": "当前 {value} · {type} · {source}",
    "one of {words}": "{words} 之一",
    "true or false": "true 或 false",
    "whole number": "整数",
    "number": "数",
    "text": "文本",
    "list": "列表",
    "anything": "任意值",
    "Choose at least one arm.": "至少选择一个实验组。",
    "{text} is not a list of seeds.": "{text} 不是种子列表。",
    "{text} is not a whole number.": "{text} 不是整数。",
    "There is no environment {name}.": "没有名为 {name} 的环境。",
    "The environment {name} was made from other pins.": "环境 {name} 是按另一份版本清单建立的。",
    "The environment {name} is being made right now.": "环境 {name} 正在建立。",
    "The environment {name} was not made to its end.": "环境 {name} 没有建立完成。",
    "The environment {name} has no interpreter any more.": "环境 {name} 的解释器已不存在。",
    "The environment {name} is not made yet.": "环境 {name} 尚未建立。",
    "Planning…": "正在制定计划…",
    "Ready.": "可以启动。",
    "about {time}": "约 {time}",
    "time not yet known": "用时未知",
    "Start {runs}": "启动 {runs}",
    "Start {runs} on {device}?": "启动 {runs}？设备：{device}",
    "and {count} more": "另有 {count} 个",
    "Starting…": "正在启动…",
    "Started {experiment}.": "已启动 {experiment}。",
}

TEXTS = {**_COUNTED, **_LIST, **_SECTIONS, **_PAGE, **_GAIN, **_RATES, **_NEEDS, **_MODELS, **_FORM}
