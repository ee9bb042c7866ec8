"""The words that labels are made of, Chinese and English, and what each means. Data; labels.py reads it.

Patterns are for a label in lower case, with full-width signs made ASCII and
emphasis and emoji gone. They are tried in order, and what one has matched is
no longer there for those after it.
"""

from __future__ import annotations

import re


def _word(pattern: str) -> re.Pattern[str]:
    """A pattern that does not match within a longer Latin word or number."""
    return re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])")


TEST = _word(r"test(?:-dev|-challenge)?(?:[ -]?(?:set|split))?|测试集?")
VERDICT = _word(r"是否达标\??|达标\??|达成\??|是否达成\??|met\??|reached\??|passed\??|verdict|判定")
PERSON = _word(
    r"观察|趋势|主要|原因|分析|负责人|其他|注意事项|结论|问题|作者|收敛|过拟合|副作用|意外|发现|下一步|是否|案例|建议|计划"
    r"|最后更新|更新时间|创建时间|observ\w*|trend|analysis|conclusions?|reasons?|why|next steps?|authors?|owner"
    r"|last updated?|created|responsible|overfit\w*"
)
REMARK = _word(r"备注|说明|注释|描述|notes?|remarks?|comments?|description")
CHANGE = _word(r"提升|变化|改变|增益|增量|差值|差异|涨幅|δ|Δ|deltas?|changes?|gains?|improvements?|diff(?:erence)?")
AGAINST = _word(r"(?:over|vs\.?|versus|than|against|对比|相对于?|相比于?|较) ?(?:the )?(?:baseline|基线|基准)")
CLAIM = _word(r"论文|文献|官方|声称|paper|reported|published|official|claimed|单位|units?")
FIGURE = _word(r"曲线图?|curves?|对比图?|效果图|示意图|图片|可视化|示例|figures?|plots?|images? of|visuali[sz]ations?")

STATEMENTS = (
    (re.compile(r"趋势|trend"), "fact/trend"),
    (
        re.compile(
            r"(?:主要)?提升(?:最大|最多|最明显)?的(?:主要)?类别"
            r"|(?:most improved classes|classes that (?:gained|improved) (?:the )?most)"
        ),
        "fact/classes_gained",
    ),
    (
        re.compile(
            r"(?:是否达到预期|as expected\??) ?(?:\(\+?(\d+(?:\.\d+)?)(?: ?[-~–] ?\d+(?:\.\d+)?)? ?(?:%|pp)\))?"
        ),
        "fact/expected",
    ),
    (
        re.compile(r"是否达到目标 ?\([>≥ ]*(\d+(?:\.\d+)?) ?%\)|goal reached\?? ?\([>≥ ]*(\d+(?:\.\d+)?) ?%\)"),
        "fact/goal",
    ),
    (re.compile(r"副作用 ?(?:\([^()]*\))?|side effects? ?(?:\([^()]*\))?"), "fact/side_effect"),
    (re.compile(r"(?:训练)?(?:loss|损失) ?收敛(?:情况)?|(?:loss )?convergence"), "fact/convergence"),
    (re.compile(r"是否(?:出现|存在)?过拟合\??|过拟合(?:情况|迹象)?|over-?fitting\??"), "fact/overfitting"),
)
"""Whole labels that ask for what the numbers say in words; a longer label asks for what somebody makes of them."""
FAILURES = re.compile(r"失败案例(?:分析|示例|可视化)?|failure cases?(?: analysis)?")
"""A whole label that asks for pictures of failures."""
SIZES = (
    (_word(r"small[ -]?(?:目标|物体|objects?|targets?|size)?|小(?:目标|物体|尺寸|型目标)"), "small"),
    (_word(r"medium[ -]?(?:目标|物体|objects?|targets?|size)?|中(?:等|型)?(?:目标|物体|尺寸)"), "medium"),
    (_word(r"large[ -]?(?:目标|物体|objects?|targets?|size)?|大(?:型)?(?:目标|物体|尺寸)"), "large"),
)
ONE_LETTER = {"s": "small", "m": "medium", "l": "large", "小": "small", "中": "medium", "大": "large"}
GOAL = _word(r"目标值?|goals?|targets?|要求|阈值|预期值?|required")

ESTIMATED = _word(r"预计(?:完成|结束)(?:时间)?|eta|(?:estimated|expected) (?:finish|completion|end)(?: time)?")
BEST_EPOCH = _word(r"(?:最佳|最优|选定|best|chosen|selected)[ -]?(?:epoch|轮次|轮数|轮)(?! ?\d)")
EPOCH = _word(
    r"(?:at |after |@ ?)?epochs?[ _]?[=:#@]? ?(\d+)|第 ?(\d+) ?个? ?(?:epochs?|轮)"
    r"|(?:after )?(\d+) ?(?:epochs?|轮次?)|e(?:p)?(\d+)"
)
SEED = _word(r"(?:随机)?种子 ?[=:]? ?(\d+)|seed ?[=:]? ?(\d+)|s(\d+)")

_THRESHOLD = (
    r"0?\.50? ?(?::|-|~|–|to|到) ?(?:0?\.05 ?: ?)?0?\.95|50 ?[-:~–] ?95|0?\.\d\d?|\d\d"  # 0.5:0.95, 50-95, 0.75, 50
)
AP = re.compile(
    rf"(?<![a-z0-9])m?ap(?:[ _]?(?P<size>small|medium|large|s|m|l)(?![a-z]))?"
    rf"(?: ?[@_ -]? ?\[? ?(?:iou ?=? ?)?(?P<iou>{_THRESHOLD})(?![\d.])[ \]]?)?"
    rf"(?P<late>_(?:small|medium|large|s|m|l))?(?![a-z0-9])"
)
AR = re.compile(
    r"(?<![a-z0-9])m?ar(?:[ _]?(?P<size>small|medium|large|s|m|l)(?![a-z])| ?[@_]? ?(?P<top>100|10|1))?(?![a-z0-9])"
)
VAL_LOSS = _word(r"(?:val(?:idation)?|验证)(?:集|[ _/-]).{0,12}(?:loss|损失)")
LOSS = (
    re.compile(r"(?<![a-z0-9])(?:(?:train(?:ing)?|训练)[ _/-]*)?(?P<term>[a-z0-9]+)[ _-]?loss(?:es)?(?![a-z0-9])"),
    re.compile(r"(?<![a-z0-9])(?:(?:train(?:ing)?|训练)[ _/-]*)?loss[ _/-](?P<term>[a-z0-9]+)(?![a-z0-9])"),
)
CHINESE_LOSS = ((_word(r"(?:边界)?框(?:回归)?损失|回归损失|定位损失"), "box"), (_word("分类损失"), "cls"))

QUANTITIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (_word(r"平均精度(?:均值)?|(?:mean )?average precision"), "val/AP"),
    (_word(r"平均召回率?|average recall"), "val/AR100"),
    (_word(r"precision|精确率|查准率"), "val/precision"),
    (_word(r"recall|召回率|查全率"), "val/recall"),
    (_word(r"f1(?:[ -]?score)?|f1 ?值|f1 ?分数"), "val/F1"),
    (_word(r"#? ?param(?:eter)?s?(?: count)?|模型参数量?|参数(?:数量|量|数)"), "model/parameters"),
    (_word(r"g?flops|计算量|运算量"), "model/gflops"),
    (_word(r"fps|帧率|推理速度|inference speed"), "model/fps"),
    (_word(r"latency|延迟|推理时间|inference time"), "model/latency"),
    (_word(r"gpu 内存|(?:gpu ?)?(?:峰值)?显存(?:占用|峰值)?|(?:peak )?gpu mem(?:ory)?|vram"), "cost/gpu_memory"),
    (_word(r"(?:主机)?内存(?:占用|峰值)?|(?:peak )?host memory|rss"), "cost/host_memory"),
    (
        _word(
            r"训练总?(?:时间|用时|耗时|时长)|总?(?:用时|耗时|时长)"
            r"|train(?:ing)?[ _]time|duration|wall(?:[ -]?clock)? time"
        ),
        "cost/training_seconds",
    ),
    (_word(r"开始时间|启动时间|训练开始|启动|start(?:ed)?(?:[ _](?:time|at))?|begin"), "fact/started"),
    (_word(r"(?:训练)?(?:完成|结束)时间|训练完成|结束|finish(?:ed)?(?:[ _](?:time|at))?|end(?:ed)?[ _](?:time|at)"),
     "fact/ended"),
    (_word(r"时间|time"), "fact/time"),
    (_word(r"训练轮[数次]|总轮数|轮数|epoch 数|(?:total |number of |max )?epochs"), "fact/epochs"),
    (_word(r"batch[ _-]?size|batch|批(?:次|量)?大小|批量"), "fact/batch"),
    (_word(r"image[ _-]?size|img[ _-]?s(?:i)?z(?:e)?|imgsz|输入尺寸|图像尺寸|输入分辨率|input size|resolution"),
     "fact/imgsz"),
    (_word(r"初始学习率|学习率|learning rate|lr0?"), "fact/lr0"),
    (_word(r"优化器|optimizer"), "fact/optimizer"),
    (_word(r"随机种子|种子数?|(?:random )?seeds?"), "fact/seeds"),
    (_word(r"训练(?:图像|图片|集图像)数?量?|train(?:ing)? images?"), "fact/train_images"),
    (_word(r"验证(?:图像|图片|集图像)数?量?|val(?:idation)? images?"), "fact/val_images"),
    (_word(r"数据集|dataset|data set"), "fact/dataset"),
    (_word(r"git[ _-]?commit(?:[ _-]?(?:hash|id|sha))?|commit(?:[ _-]?(?:hash|id|sha))?|代码版本"), "fact/commit"),
    (_word(r"cuda"), "fact/cuda"),
    (_word(r"(?:py)?torch"), "fact/package/torch"),
    (_word(r"ultralytics"), "fact/package/ultralytics"),
    (_word(r"torchvision"), "fact/package/torchvision"),
    (_word(r"python"), "fact/package/python"),
    (_word(r"驱动|(?:nvidia )?driver"), "fact/driver"),
    (_word(r"gpus?|显卡|gpu 型号"), "fact/gpu"),
    (_word(r"cpu|处理器"), "fact/cpu"),
    (_word(r"操作系统|os|operating system"), "fact/os"),
    (_word(r"训练状态|状态|status|state"), "fact/state"),
)  # fmt: skip

MODEL = _word(r"模型(?:名称)?|model(?: name)?")
"""What a bullet calls "model" is its name; what a table calls so are its arms."""

FILLERS = _word(
    r"overall|总体|整体|全部|所有|最终|最佳|最高|最优|final|best|all|验证集?|val(?:idation)?|on|the|of|at|in|for"
    r"|位置|指标|数值|值|结果|results?|metrics?|performance|性能|数量|型号|版本|version|name|number|实测|measured|coco"
    r"|value|iou|area|objects?|score|mean|参考|的|在"
)
UNIT = re.compile(
    r"[(\[/] ?(?:%|h|hours?|小时|min|minutes?|分钟?|ms|毫秒|s|sec(?:onds)?|秒"
    r"|m|k|g|b|million|gb|gib|mb|mib|utc) ?(?:[)\]]|$)|%"
)
FINAL = re.compile(r"最终|最后|(?<![a-z])(?:final|last)(?![a-z])")
BEST = re.compile(r"最佳|最高|最优|(?<![a-z])best(?![a-z])")
OUT_OF = re.compile(r"(?<=[\u3400-\u9fff])(?=[a-z0-9])|(?<=[a-z0-9%)])(?=[\u3400-\u9fff])")
"""Where Chinese and Latin letters touch."""

KEYS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"类别|类|class(?:es)?|categor(?:y|ies)|class name|object class"), "class"),
    (
        re.compile(
            r"模型|model|方法|method|arms?|实验组?|组别?|方案|配置|config(?:uration)?|设置|settings?|variant|experiment|run"
            r"|策略|算法|网络|detector|name|名称"
        ),
        "arm",
    ),
    (re.compile(r"epochs?|轮次|轮数|轮|训练轮次"), "epoch"),
    (re.compile(r"seeds?|随机种子|种子"), "seed"),
    (re.compile(r"尺寸|大小|size|object size|area|目标尺寸|规模"), "size"),
    (re.compile(r"数据集|dataset|data|split|数据划分|划分"), "data"),
    (re.compile(r"指标|metrics?|项目?|参数|item|measure|评价指标|名称|property|内容"), "metric"),
)
EVERYTHING = re.compile(r"all(?: classes)?|overall|总体|整体|平均|全部|所有(?:类别)?|mean|average|总计|合计")
"""Rows of a table of classes or sizes that mean all of them."""
REFERENCE = _word(r"baseline|基线|基准|对照组?|reference")
OF_RECORDS = r"的?(?:对比)?(?:实验|记录|报告|日志)"
"""What follows the name of an arm in the title of a record without a blank."""
COMPARED = _word(r"对比|比较|vs\.?|versus|compar\w*|against|相比|与")
STILL_TRAINING = re.compile(r"训练中|进行中|运行中|排队中|in progress|training|running|queued|ongoing", re.IGNORECASE)
