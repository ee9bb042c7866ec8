"""Words of the record of a fine-tuning, in English and Chinese: parts, rates, masks, losses on validation pictures."""

from __future__ import annotations

LABELS: dict[str, tuple[str, str]] = {
    "convergence/epochs_to_90": ("epochs to 90 % of the final value", "达到最终值 90 % 的轮数"),
    "convergence/seconds_to_90": ("training time to 90 % of the final value", "达到最终值 90 % 的训练时间"),
    "train/loss_rpn_cls": ("loss RPN cls", "RPN 分类损失"),
    "train/loss_rpn_bbox": ("loss RPN bbox", "RPN 框损失"),
    "train/loss_mask": ("loss mask", "掩膜损失"),
    "train/acc": ("accuracy of the box head", "框头分类准确率"),
}
"""Metrics whose names say too little by themselves."""
_MASK = ("mask {}", "掩膜 {}")
"""Before the name of a metric that is one of boxes otherwise."""


def label(metric: str, language: str = "en") -> str | None:
    """ "val/mask_AP_small" → "mask AP small", "train/loss_rpn_cls" → "loss RPN cls"; None for any other name.

    What stands behind a second slash, a class, is left out. `language`: en or zh.
    """
    place, base = int(language == "zh"), "/".join(metric.split("/")[:2])
    if base.startswith("val/mask_"):
        return _MASK[place].format(base.removeprefix("val/mask_").replace("_", " "))
    return LABELS[base][place] if base in LABELS else None


FINETUNE: dict[str, tuple[str, str]] = {
    "of boxes": ("box {}", "框 {}"),
    # configuration
    "setting": ("setting", "配置项"),
    "weights before": ("pretrained weights", "预训练权重"),
    "weights detector": ("whole detector: {}", "完整检测器：{}"),
    "weights of stage": ("trained in the stage before: {}", "由前一阶段训练：{}"),
    "weights of stage epoch": ("trained in the stage before: {}, epoch {}", "由前一阶段训练：{}，第 {} 轮"),
    "backbone only": ("of it the backbone alone", "仅取其主干网络"),
    "starts anew": ("starts anew", "重新初始化"),
    "anew nothing": ("nothing", "无"),
    "anew classes": (
        "the layers of the classes (fc_cls, fc_reg, conv_logits)",
        "与类别有关的层 (fc_cls, fc_reg, conv_logits)",
    ),
    "anew heads": ("the whole box and mask heads", "整个框头与掩膜头"),
    "anew deviations": ("{}; Normal, std {} (box), {} (mask)", "{}；正态分布，标准差 {}（框）、{}（掩膜）"),
    "anew not taken": ("neck and heads (not taken of the file)", "颈部与各头（未从文件中取用）"),
    "anew of shape": ("neck and heads (not in the file)", "颈部与各头（文件中没有）"),
    "anew everything": ("everything", "全部"),
    "base rate": ("base learning rate", "基础学习率"),
    "rate scaling": ("batch, and scaling of the rate", "批大小与学习率缩放"),
    "batch on devices": ("{} × {} device(s)", "{} × {} 个设备"),
    "not scaled": ("{}; rate not scaled", "{}；学习率不缩放"),
    "scaled": ("{}; reference batch {}: rate × {}", "{}；参考批大小 {}：学习率 × {}"),
    "layered rates": ("layered rates (factors)", "分层学习率（倍数）"),
    "no layers": ("none: all parts × 1", "无：各部分均 × 1"),
    "layers": ("backbone × {}, neck × {}, heads × {}", "主干 × {}，颈部 × {}，各头 × {}"),
    "not learnt": ("(does not learn)", "（不学习）"),
    "rates used": ("rates used", "实际学习率"),
    "rates of parts": ("backbone {}, neck {}, RPN head {}, RoI head {}", "主干 {}，颈部 {}，RPN 头 {}，RoI 头 {}"),
    "warm-up": ("warm-up", "预热"),
    "no warm-up": ("none", "无"),
    "warm-up of": ("{} steps, from {} of the rate", "{} 步，起始为学习率的 {} 倍"),
    "drops": ("drops of the rate", "学习率下降"),
    "no drops": ("none", "无"),
    "drops at": ("after epochs {}, each × {}", "第 {} 轮之后，每次 × {}"),
    "optimiser": ("optimizer", "优化器"),
    "sgd": ("SGD, momentum {}, weight decay {}", "SGD，动量 {}，权重衰减 {}"),
    "frozen": ("frozen stages of the backbone", "主干网络冻结的层级"),
    "frozen none": ("none", "无"),
    "frozen first": ("stem and stage 1", "stem 与第 1 级"),
    "frozen to": ("stem and stages 1 to {}", "stem 与第 1–{} 级"),
    "frozen stem": ("stem", "stem"),
    "frozen all": ("the whole backbone", "整个主干网络"),
    "norm kept": ("{}; statistics of BatchNorm kept", "{}；BatchNorm 统计量保持不变"),
    "augmentation read": ("augmentation, as it was built", "数据增强（读自构建的流水线）"),
    "operators": ("operators (NMS, RoIAlign)", "算子 (NMS, RoIAlign)"),
    "operators compiled": ("compiled, of mmcv", "mmcv 的编译算子"),
    "operators torchvision": ("torchvision's, in place of mmcv's", "以 torchvision 的算子代替 mmcv 的"),
    "operators plain torch": ("plain torch, in place of mmcv's compiled ones", "以纯 torch 实现代替 mmcv 的编译算子"),
    "asked otherwise": ("{} (asked: {})", "{}（设定为 {}）"),
    # transfer by part
    "part": ("part", "部分"),
    "loaded": ("loaded", "已加载"),
    "re-initialised": ("re-initialised", "重新初始化"),
    "missing in file": ("not in the file", "文件中没有"),
    "unexpected": ("unexpected", "多余"),
    "of tensors": ("tensors: {}", "张量：{}"),
    "stage before": ("the stage before: {}", "前一阶段：{}"),
    # learning rates
    "first rate": ("first", "最初"),
    "peak rate": ("peak", "峰值"),
    "last rate": ("last", "最后"),
    "peak to heads": ("peak, of the heads'", "峰值与各头之比"),
    "part backbone": ("backbone", "主干网络"),
    "part neck": ("neck", "颈部"),
    "part head": ("heads", "各头"),
    "said rates": ("learning rates by part", "各部分学习率"),
    # convergence
    "way of training": ("training", "训练方式"),
    "converged at": ("epochs to 90 % of the final {}", "达到最终 {} 的 90 % 的轮数"),
    "time to it": ("training time to it", "至此的训练时间"),
    "chosen value": ("{} of the chosen checkpoint (%)", "选定检查点的 {} (%)"),
    "gain points": ("difference (pp)", "差值 (pp)"),
    "gain relative": ("relative improvement (%)", "相对提升 (%)"),
    "baseline": ("reference", "基准"),
    "set against": ("{} against {}", "{} 相对 {}"),
    "said fine-tuning": ("convergence and gain", "收敛与提升"),
    # losses on validation pictures
    "training loss last": ("training loss, last epoch", "训练损失（最后一轮）"),
    "own loss last": ("validation loss, last epoch", "验证损失（最后一轮）"),
    "own loss lowest": ("validation loss, lowest (epoch)", "验证损失最低值（轮次）"),
    "own loss risen": ("risen since its lowest", "自最低值起上升"),
    "said own losses": ("losses of training and validation", "训练与验证损失"),
    # cost
    "step time": ("step time (epoch ÷ steps)", "每步用时（轮用时 ÷ 步数）"),
    "said step time": ("operators, memory and time of a step", "算子、内存与每步用时"),
}  # fmt: skip
