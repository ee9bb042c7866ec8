"""The check of the weights that a recipe starts from."""

from __future__ import annotations

TEXTS = {
    "No arm of it starts from a file of weights.": "没有任何实验组从权重文件开始。",
    "What a model takes over is compared when its training begins; its record says it.": (
        "模型实际沿用了哪些权重，在训练开始时比对，并写入记录。"
    ),
    "absent; looked for at": "不存在；已查找",
    "as the recipe says": "与配方所载一致",
    "as its name says": "与文件名所载一致",
    "known to neither recipe nor name": "配方与文件名均未载明",
    "random weights": "随机权重",
    "part": "部分",
    "loaded": "已载入",
    "re-initialised": "重新初始化",
    "missing": "文件中没有",
    "unexpected": "模型中没有",
    "note: {text}": "注意：{text}",
    "classes in the file: {count}": "文件中的类别数：{count}",
    "its epoch: {epoch}": "其训练轮次：{epoch}",
    "fits; the recipe starts it anew": "形状一致；配方要求重新初始化",
    "the recipe takes the backbone alone": "方案只取用主干",
    "in the file {shape}": "文件中为 {shape}",
    "wrong: {text}": "有误：{text}",
    "arms: {names}": "实验组：{names}",
}
