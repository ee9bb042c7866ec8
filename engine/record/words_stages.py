"""Words of the tables of stages and of the weights that they start from, in English and Chinese."""

from __future__ import annotations

STAGES: dict[str, tuple[str, str]] = {
    "other classes": ("not evaluated: trained on other classes", "未评估：该阶段在其他类别上训练"),
    "stage": ("stage", "阶段"),
    "said stages": ("stages", "阶段"),
    "said transfer": ("weights taken over", "沿用的权重"),
    "data used": ("trained on", "训练数据"),
    "rate used": ("learning rate used", "实际学习率"),
    "augmentation used": ("augmentation used", "实际数据增强"),
    "steps of warm-up": ("warm-up over {} steps", "预热 {} 步"),
    "rates": ("{}, highest {}, last {}", "{}，最高 {}，最后 {}"),
    "no augmentation": ("none", "无"),
    "mixing until": (
        "mosaic, mix-up, cut-mix and copy-paste in its first {} epochs",
        "前 {} 轮使用 mosaic、mix-up、cut-mix 与 copy-paste",
    ),
    "mixing never": (
        "mosaic, mix-up, cut-mix and copy-paste in none of its epochs",
        "全程不使用 mosaic、mix-up、cut-mix 与 copy-paste",
    ),
    "starts from": ("starts from", "起点"),
    "random weights": ("random weights", "随机权重"),
    "stage average": ("stage {}, epoch {} (EMA)", "阶段 {}，第 {} 轮 (EMA)"),
    "stage weights": ("stage {}, epoch {}", "阶段 {}，第 {} 轮"),
    "backbone weights": ("backbone alone: {}", "仅主干网络：{}"),
    "tensors taken": ("tensors taken over", "沿用的张量"),
    "parameters taken": ("parameters taken over", "沿用的参数"),
    "taken of": ("{} of {}", "{} / {}"),
    "by rows": ("{} by class rows", "其中 {} 个按类别行"),
    "in part": ("{} in part", "其中 {} 个部分沿用"),
    "as wide": ("{} with the weights' shape", "其中 {} 个取权重的形状"),
    "classes by name": ("classes taken over by name", "按名称沿用的类别"),
    "started anew": ("started anew", "重新初始化"),
    "left behind": ("left behind", "未使用"),
    "all classes": ("all {}", "全部 {} 个"),
    "more": ("{} and {} more", "{} 等，另有 {} 个"),
    "new classes": ("rows of {}", "{} 的行"),
    "tensors": ("{} tensors", "{} 个张量"),
}
