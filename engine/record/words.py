"""The words of a record in its two languages. Prose and headings stand in the templates."""

from __future__ import annotations

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    # placeholders
    "missing": ("_(not measured yet)_", "_(尚未测得)_"),
    "unknown": ("_(not known)_", "_(未知)_"),
    "not available": ("n/a", "不适用"),
    # states
    "queued": ("queued", "排队中"),
    "starting": ("starting", "启动中"),
    "running": ("running", "训练中"),
    "stopping": ("stopping", "停止中"),
    "finished": ("finished", "已完成"),
    "stopped": ("stopped", "已停止"),
    "killed": ("killed", "被强制结束"),
    "failed": ("failed", "失败"),
    "crashed": ("crashed", "崩溃"),
    "oom": ("out of memory", "内存不足"),
    "lost": ("lost", "失联"),
    "stopped early at": ("stopped early at epoch {}", "在第 {} 轮提前停止"),
    "unfinished at": ("unfinished: {}/{}", "未完成: {}/{}"),
    "not finished": ("unfinished", "未完成"),
    "seeds finished": ("{} of {} seeds finished", "已完成 {} / {} 个种子"),
    "of epochs": ("{} ({} of {} epochs)", "{} ({} / {} 轮)"),
    # verdicts
    "met": ("✅ met", "✅ 达到"),
    "not met": ("❌ not met", "❌ 未达到"),
    "inconclusive": ("⚠️ inconclusive", "⚠️ 无法判定"),
    "not measured": ("_(not measured yet)_", "_(尚未测得)_"),
    "higher": ("higher", "更高"),
    "lower": ("lower", "更低"),
    "runs unfinished": ("runs unfinished: {}", "未完成的运行: {}"),
    "too few seeds": ("fewer than 3 seeds a side", "每侧少于 3 个随机种子"),
    "interval holds zero": ("the interval includes 0", "区间包含 0"),
    "interval excludes zero": ("the interval excludes 0", "区间不含 0"),
    "interval holds the goal": ("the interval includes the goal", "区间包含目标值"),
    # columns
    "arm": ("arm", "实验组"),
    "seed": ("seed", "随机种子"),
    "seeds": ("seeds", "随机种子"),
    "epoch": ("epoch", "轮次"),
    "chosen epoch": ("chosen epoch", "选定轮次"),
    "source": ("source", "出处"),
    "metric": ("metric", "指标"),
    "class": ("class", "类别"),
    "field": ("field", "字段"),
    "value": ("value", "值"),
    "run": ("run", "运行"),
    "attempt": ("attempt", "尝试"),
    "attempts": ("attempts", "尝试次数"),
    "file": ("file", "文件"),
    "numbers": ("numbers", "数值"),
    "state": ("state", "状态"),
    "device used": ("device", "设备"),
    "started": ("started (UTC)", "开始时间 (UTC)"),
    "duration": ("duration", "用时"),
    "estimated": ("estimated {}", "预估 {}"),
    "ended": ("how it ended", "结束方式"),
    "alarms": ("alarms", "警报"),
    "waiting": ("predictions waiting for evaluation", "等待评估的预测"),
    "resumed": ("attempt {} resumed after epoch {}", "第 {} 次尝试从第 {} 轮之后继续"),
    "mean ± std": ("mean ± std (n = {})", "均值 ± 标准差 (n = {})"),
    "mean": ("mean (n = {})", "均值 (n = {})"),
    "reference": ("reference", "参照组"),
    "delta": ("difference", "差值"),
    "interval": ("95 % interval (Welch)", "95 % 区间 (Welch)"),
    "p": ("p", "p"),
    "n": ("n", "n"),
    "paired": ("by seed", "逐种子"),
    "verdict": ("verdict", "判定"),
    "goal": ("goal", "目标"),
    "measured": ("measured", "测得"),
    "claimed": ("claimed", "声称值"),
    "claim source": ("source of the claim", "声称值来源"),
    "every arm": ("every arm", "所有实验组"),
    "asked": ("asked", "设定值"),
    "used": ("used", "实际值"),
    "loss": ("training loss", "训练损失"),
    "params": ("parameters", "参数量"),
    "gflops": ("GFLOPs ({}'s own count)", "GFLOPs ({} 自报)"),
    "gmacs": ("GMACs (1 GMAC = 2 GFLOPs, counted by torch)", "GMACs (1 GMAC = 2 GFLOPs，由 torch 计数)"),
    "gflops bare": ("GFLOPs", "GFLOPs"),
    "gmacs bare": ("GMACs", "GMACs"),
    "goal unchanged": ("{} of {} as in {}", "{1} 的{0}与 {2} 相同"),
    "latency": ("latency (median, a batch)", "延迟 (中位数，每批)"),
    "fps": ("FPS", "FPS"),
    "inference memory": ("inference memory (GPU: peak; CPU: growth of RSS)", "推理内存 (GPU: 峰值；CPU: RSS 增量)"),
    "speed measured": ("speed measured with", "测速条件"),
    "speed with": (
        "{}, threads: {}, {}, batch {}, {}, {}; with {}",
        "{}，线程数 {}，{}，批大小 {}，{}，{}；含 {}",
    ),
    "fused": ("normalisation folded into the convolutions", "归一化已并入卷积"),
    "not fused": ("nothing folded", "未并入"),
    "training time": ("training time", "训练时间"),
    "gpu memory": ("peak GPU memory (allocator)", "GPU 内存峰值 (分配器)"),
    "host memory": ("peak host memory (RSS)", "主机内存峰值 (RSS)"),
    "said chosen": ("results of the chosen checkpoint", "选定检查点的结果"),
    "said class": ("per class", "各类别"),
    # headline
    "headline": (
        "{arm} against {reference}: {metric} {delta} percent points ({n} seeds): {verdict}",
        "{arm} 相对 {reference}: {metric} {delta} 个百分点 ({n} 个种子): {verdict}",
    ),
    "goals line": ("goals: {}", "目标: {}"),
    "state met": ("met", "达到"),
    "state not met": ("not met", "未达到"),
    "state inconclusive": ("inconclusive", "无法判定"),
    "state not measured": ("not measured yet", "尚未测得"),
    "notice": (
        "> **detui:** the part above was changed by hand and was kept. What detui measured follows.",
        "> **detui:** 上面的内容被手工修改过，已原样保留。detui 测得的内容见下.",
    ),
    "unfinished": (
        "⚠️ **Not every run of this experiment is finished: this record is not complete.**",
        "⚠️ **本实验尚有运行未完成：这份记录不完整。**",
    ),
    # set-up
    "item": ("item", "项目"),
    "recipe": ("recipe", "配方"),
    "profile": ("profile", "档位"),
    "experiment": ("experiment", "实验"),
    "name": ("name", "名称"),
    "tags": ("tags", "标签"),
    "note": ("note", "备注"),
    "created": ("created (UTC)", "创建时间 (UTC)"),
    "arms": ("arms", "实验组"),
    "model": ("model", "模型"),
    "data": ("data", "数据集"),
    "generated": ("generated scenes", "生成的场景"),
    "fingerprint": ("data fingerprint", "数据指纹"),
    "split": ("splits", "划分"),
    "split line": ("{}: {} images, {} boxes", "{}: {} 张图像, {} 个框"),
    "classes": ("classes", "类别"),
    "data problems": ("problems in the data", "数据中的问题"),
    "no problems": ("none found", "未发现"),
    "problem": ("{count} × {kind} ({action})", "{count} × {kind} ({action})"),
    "leave_out": ("left out", "已剔除"),
    "keep": ("kept", "保留"),
    "zero_size": ("box of zero size", "零尺寸框"),
    "epochs": ("epochs", "轮数"),
    "stages": ("stages", "阶段"),
    "batch": ("batch size", "批大小"),
    "image size": ("image size", "图像尺寸"),
    "checkpoint rule": ("checkpoint rule, all arms", "检查点规则 (各组一致)"),
    "best by": ("best {} by our evaluator, the earlier epoch on a tie", "我方评估器的 {} 最高者，相同时取较早轮次"),
    "last": ("last epoch", "最后一轮"),
    "milestones": ("milestones", "里程碑轮次"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "at confidence": ("at confidence", "置信度"),
    "runs compared": ("runs", "运行"),
    "interval over images": ("95 % interval (images)", "95 % 区间 (图像)"),
    "images": ("images", "图像数"),
    "confounded": (
        "🛑 {} confounder(s): the arms differ in more than what is under test, see “What differs between the arms”",
        "🛑 {} 个混杂因素: 各组之间不止所检验的差异，见“各实验组的差异”一节",
    ),
    "result": ("result", "结果"),
    "nothing decided": ("nothing is decided: {}", "暂不判定: {}"),
    "otherwise": ("otherwise", "其他情况"),
    "said operating": ("precision and recall", "精确率与召回率"),
    "overrides": ("overrides", "覆盖项"),
    "branch": ("branch of", "分支来源"),
    "branched": ("{}, after its epoch {}; changed there: {}", "{}，自其第 {} 轮之后；改动: {}"),
    "nothing changed": ("nothing", "无"),
    "none": ("none", "无"),
    "varies": ("declared to vary", "声明的变量"),
    "confounder": ("**CONFOUNDER**", "**混杂因素**"),
    "declared but equal": ("declared, yet equal", "已声明但相同"),
    "field differs": ("differs", "不同"),
    # environment
    "host": ("host", "主机"),
    "os": ("operating system", "操作系统"),
    "cpu": ("CPU", "CPU"),
    "cores": ("{} cores", "{} 核"),
    "memory": ("memory", "内存"),
    "gpu": ("GPU used", "使用的 GPU"),
    "candidates": ("could choose from", "可选设备"),
    "different devices": (
        "The runs had different device models: their times and memory, and to a small extent their results, "
        "cannot be compared as if they had the same.",
        "各运行使用了不同型号的设备：用时与内存不能直接比较，结果也可能略受影响。",
    ),
    "had device": ("{}: {}", "{}: {}"),
    "other code": (
        "Attempt {} of {} ran other code than the launch: {}.",
        "{1} 的第 {0} 次尝试运行的代码与启动时不同：{2}。",
    ),
    "other values": (
        "Attempt {} of {} had other {} than attempt {}: {}.",
        "{1} 的第 {0} 次尝试与第 {3} 次尝试的{2}不同：{4}。",
    ),
    "packages": ("packages", "软件包"),
    "asked values": ("asked values", "设定值"),
    "used values": ("used values", "实际值"),
    "no gpu": ("none used", "未使用"),
    "driver": ("GPU driver", "GPU 驱动"),
    "cuda": ("CUDA", "CUDA"),
    "detui": ("detui", "detui"),
    "commit": ("git commit", "git 提交"),
    "dirty": ("uncommitted changes", "未提交的改动"),
    "clean": ("no", "无"),
    "dirty yes": ("yes, kept in `{}`", "有，保存于 `{}`"),
    "dirty lost": ("yes", "有"),
    # figures
    "losses": ("Training losses", "训练损失"),
    "ap": ("AP over epochs", "AP 随轮次的变化"),
    "pr": ("Precision and recall at IoU 0.5", "IoU 0.5 下的精确率与召回率"),
    "detections": ("Detections on the same pictures", "同一组图像上的检测结果"),
    "failures": ("Failure cases on the same pictures", "同一组图像上的失败案例"),
    "shares": ("Share of gradient by size", "各尺寸的梯度占比"),
    "small_objects": ("Detections of small objects", "小目标检测示例"),
    "misses": ("Highest-loss misses", "损失最高的漏检"),
    "detail shares": (
        "Of the magnitude of the gradient at the detection head, the part that goes to objects of each size; sampled "
        "during training, means over stretches of samples. One line a run.",
        "检测头处梯度绝对值中分给各尺寸目标的部分；训练中抽样，按段取均值。每条线为一个运行。",
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
    "detail ap": (
        "Solid or dashed with dots: detui's evaluator, at the milestones. Thin: the framework's own numbers on its "
        "own terms, which enter no comparison. The ring marks the chosen checkpoint.",
        "带圆点的线：detui 的评估器在里程碑处的结果。细线：框架自己的数值，口径不同，不参与比较。"
        "圆环标出选定的检查点。",
    ),
    "detail pr": (
        "Chosen checkpoints, mean over classes; one line a run. Left: all sizes. Right: small objects.",
        "选定的检查点，各类别的均值；每条线为一个运行。左：所有尺寸。右：小目标。",
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
    # sizes, milestones, stability
    "size": ("size", "尺寸"),
    "size small": ("small", "小"),
    "size medium": ("medium", "中"),
    "size large": ("large", "大"),
    "share of objects": ("share of assigned objects", "被分配目标的占比"),
    "share of gradient": ("share of gradient", "梯度占比"),
    "gradient an object": ("gradient ÷ objects", "梯度 ÷ 目标"),
    "samples": ("samples", "采样数"),
    "said shares": ("shares by size", "各尺寸占比"),
    "depth encoding": (
        "encoding (uint8: taken as it is; metres_x256: 16 bit, metres × 256)",
        "编码（uint8：原样使用；metres_x256：16 位，米 × 256）",
    ),
    "depth far": ("metres that become 255", "映射为 255 的米数"),
    "depth note": ("made by", "生成方法"),
    "input channels": ("channels of the input", "输入通道数"),
    "depth filter": ("first convolution's depth filter began as", "首层卷积深度滤波器的初值"),
    "time reached": ("time (UTC)", "时间 (UTC)"),
    "expected": ("expected end (UTC)", "预计完成 (UTC)"),
    "said times": ("times", "时间"),
    "if step": ("if “{}”: {}", "如果“{}”：{}"),
    "ended at": ("end (UTC)", "完成时间 (UTC)"),
    "best of": ("{} of the chosen checkpoint", "选定检查点的 {}"),
    "highest of": ("highest {} evaluated", "评估中最高的 {}"),
    "trend": ("trend since epoch {}", "趋势（自第 {} 轮起）"),
    "trend of": ("{} {} pp (higher in {} of {} seeds)", "{0} {1} pp（{3} 个种子中 {2} 个升高）"),
    "measured here": ("measured here", "此处测得"),
    "said baseline": ("beside what is claimed", "与声称值并列"),
    "said stability": ("losses and validation over epochs", "损失与验证随轮次的变化"),
    "stock": ("the framework's own loss", "框架自身的损失"),
    "planned": ("{} (planned)", "{} (计划)"),
    "no class gained": ("no class gained", "没有类别提升"),
    "gained most": ("{}, {}: {}", "{}，{}：{}"),
    "loss at the end": ("training loss, last tenth of the epochs", "训练损失，最后十分之一的轮次"),
    "place of chosen": ("place of the chosen epoch", "选定轮次的位置"),
    "after best": ("{} after its highest", "{} 最高点之后"),
    "loss moved": ("{} % ({} → {}, epochs {}–{})", "{} %（{} → {}，第 {}–{} 轮）"),
    "place": ("{} of {} ({} %)", "{} / {}（{} %）"),
    "the last evaluated": ("the last one evaluated", "即最后一次评估"),
    "highest at last": ("highest at the last evaluation (epoch {})", "最后一次评估（第 {} 轮）即最高"),
    "fell after": ("{} pp from epoch {} ({} %) to {}", "自第 {1} 轮（{2} %）到第 {3} 轮 {0} pp"),
    "loss meanwhile": ("training loss meanwhile {} %", "同期训练损失 {} %"),
    "interval within": ("The 95 % interval lies within “{}”.", "95 % 区间全部落在“{}”之内。"),
    "interval reaches": ("The 95 % interval reaches from “{}” to “{}”.", "95 % 区间从“{}”延伸到“{}”。"),
    "of epoch": ("{}: seed {}, epoch {}", "{}：种子 {}，第 {} 轮"),
    "said loss": ("training loss at milestones", "里程碑处的训练损失"),
}


class Words:
    """The words of one language; `words("met")`, `words("split", "val", 40, 812)`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = LANGUAGES.index(language)

    def __call__(self, key: str, *values: object, **named: object) -> str:
        """The word for `key`; `{}` in it take the values. Raises KeyError for an unknown key."""
        word = WORDS[key][self._place]
        return word.format(*values, **named) if values or named else word

    def known(self, key: str) -> str:
        """The word for `key`, or `key` itself where there is none: for words that data brings."""
        return WORDS[key][self._place] if key in WORDS else key

    def pick(self, text: object) -> str:
        """The text of this language out of {"en": …, "zh": …}, falling back to English, or a plain text."""
        if isinstance(text, dict):
            return str(text.get(self.language) or text.get("en") or text.get("zh") or "")
        return str(text or "")
