"""Names and captions of the record's figures, in English and Chinese."""

from __future__ import annotations

CAPTIONS: dict[str, tuple[str, str]] = {
    "losses": ("Training losses", "训练损失"),
    "val_losses": ("Losses of training and validation", "训练损失与验证损失"),
    "part_rates": ("Learning rates by part", "各部分学习率"),
    "ap": ("AP over epochs", "AP 随轮次的变化"),
    "pr": ("Precision and recall", "精确率与召回率"),
    "detections": ("Detections on the same pictures", "同一组图像上的检测结果"),
    "failures": ("Failure cases on the same pictures", "同一组图像上的失败案例"),
    "shares": ("Share of gradient by size", "各尺寸的梯度占比"),
    "small_objects": ("Detections of small objects", "小目标检测示例"),
    "misses": ("Highest-loss misses", "损失最高的漏检"),
    "parity": ("Losses of both frameworks", "两个框架的损失"),
    "detail parity": (
        "One line a run, colour: arm. Grey: between the lowest and the highest of all runs of the reference and of the "
        "noise floor, seeds included. Right: size of (arm − reference) / reference of the same seed; what lies below "
        "the dashed line counts as rounding.",
        "每条线为一个运行，颜色表示实验组。灰色：参照组与噪声基线的全部运行（含各种子）的最低值与最高值之间。"
        "右：同一种子的 (该组 − 参照组) / 参照组的绝对值；虚线以下视为舍入误差。",
    ),
    "detail shares": (
        "Of the magnitude of the gradient at the points of the detection head that learn an object, the part of each "
        "size; sampled during training, means over stretches of samples. One line a run.",
        "检测头中学习目标的点处梯度绝对值里各尺寸所占的部分；训练中抽样，按段取均值。每条线为一个运行。",
    ),
    "detail small_objects": (
        "Confidence of at least {}. Of the validation split, the pictures with the most boxes below 32² px², and of "
        "each the part where most of them lie; grey: boxes that are not small. Each arm's lowest evaluated seed, at "
        "its chosen checkpoint: {}.",
        "置信度不低于 {}。图像为验证集中面积小于 32² px² 的标注框最多者，取其中小目标最集中的区域；灰色：非小目标的框。"
        "每组取已评估的最小随机种子及其选定的检查点：{}。",
    ),
    "detail misses": (
        "The loss of a box is −ln of the best product of confidence and IoU that a detection of its class has, the "
        "product being at least {}. Of the validation split, the boxes with the highest loss, averaged over the arms; "
        "of equal ones the larger; one an image where there are enough: the worst, and so no fair sample. Dashed: the "
        "box; solid: the best detection. Each arm's lowest evaluated seed, at its chosen checkpoint: {}.",
        "一个标注框的损失为 −ln（同类检测的置信度 × IoU 的最大值），乘积下限为 {}。"
        "取验证集中各组平均损失最高的标注框，"
        "相同时取面积较大者，图像足够时每图一个：这是最差的情况，并非公平的抽样。虚线：标注框；实线：最佳检测。"
        "每组取已评估的最小随机种子及其选定的检查点：{}。",
    ),
    "detail losses": (
        "One line a run; colour: arm, line style: seed.",
        "每条线为一个运行；颜色表示实验组，线型表示随机种子。",
    ),
    "detail val_losses": (
        "Thick: MMDetection's own losses on the validation pictures after each epoch, which enter no comparison; "
        "dashed: the means of training over the same epoch, with its augmentation. One line a run, colour: arm; a gap: "
        "before it a stage trained on other data.",
        "粗线：MMDetection 自身在每轮之后于验证图像上计算的损失，不参与比较；虚线：同一轮训练损失的均值（含数据增强）。"
        "每条线为一个运行，颜色表示实验组；断开处之前为使用其他数据训练的阶段。",
    ),
    "detail part_rates": (
        "Effective rates as the training reports them at its steps, warm-up and drops included; one line a part and "
        "arm, of its lowest seed. Where arms share a rate, the wider line is the one below.",
        "训练逐步报告的实际学习率，含预热与下降；每个实验组的每个部分一条线，取最小的随机种子。"
        "若各组学习率相同，较宽的线在下方。",
    ),
    "detail ap": (
        "Solid or dashed with dots: detui's evaluator, at the milestones. Thin: the framework's own numbers on its "
        "own terms, which enter no comparison. The ring marks the chosen checkpoint.",
        "带圆点的线：detui 的评估器在里程碑处的结果。细线：框架自己的数值，口径不同，不参与比较。"
        "圆环标出选定的检查点。",
    ),
    "detail pr": (
        "Chosen checkpoints, mean over classes, at IoU 0.5; one line a run. Left: all sizes. Right: small objects.",
        "选定的检查点，IoU 0.5，各类别的均值；每条线为一个运行。左：所有尺寸。右：小目标。",
    ),
    "detail pr of frames": (
        "Chosen checkpoints, mean over the classes that are annotated; one line a run. Matched by the distance of "
        "centres: left within 0.5 m, right within 2 m.",
        "选定的检查点，有标注的各类别的均值；每条线为一个运行。按中心距离匹配：左为 0.5 米以内，右为 2 米以内。",
    ),
    "detail detections": (
        "Confidence of at least {}. The pictures are spread evenly over the validation split, not chosen by result. "
        "Each arm's lowest evaluated seed, at its chosen checkpoint: {}.",
        "置信度不低于 {}。图像在验证集中等间隔选取，不按结果挑选。每组取已评估的最小随机种子及其选定的检查点：{}。",
    ),
    "detail failures": (
        "Dashed: boxes missed; thick: false alarms; thin: boxes found, at IoU 0.5 and at each arm's own confidence of "
        "its best F1, which stands above its column. A box under a wrong class is both missed and a false alarm. Of "
        "the validation split, the pictures with the most boxes missed plus false alarms, summed over the arms: the "
        "worst, and so no fair sample. Each arm's lowest evaluated seed, at its chosen checkpoint: {1}.",
        "虚线：漏检的标注框；粗线：误检；细线：检出的标注框。IoU 阈值为 0.5，"
        "各组使用自身最佳 F1 的置信度（见各列上方）。类别判错的框同时计为漏检和误检。"
        "图像为验证集中各组漏检数与误检数之和最大者：这是最差的情况，并非公平的抽样。"
        "每组取已评估的最小随机种子及其选定的检查点：{1}。",
    ),
}
"""A figure's name, and below "detail …" what its picture shows: `{}` take a threshold and the columns."""
