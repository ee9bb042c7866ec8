"""Words of the record of imported runs, in English and Chinese."""

from __future__ import annotations

IMPORTED: dict[str, tuple[str, str]] = {
    "import form": ("what was read", "读取的内容"),
    "import file": ("file", "文件"),
    "import sum": ("SHA-256 (begins)", "SHA-256（开头）"),
    "import ending": ("how far it got, by the log", "日志显示的进度"),
    "import clock": ("times in the log (its zone is not stated)", "日志中的时间（未注明时区）"),
    "import seed": ("seed", "随机种子"),
    "import weights": ("weights beside it", "旁边的权重文件"),
    "import minus": ("{} − {}", "{} − {}"),
    "import mean": ("{} (n = {})", "{} (n = {})"),
    "iteration": ("iteration", "迭代"),
    "statistic": ("statistic", "统计量"),
    "import pace": ("time of an iteration (s, median of the log's lines)", "每次迭代的时间（秒，日志各行的中位数）"),
    "import peak": ("peak GPU memory, by the framework", "GPU 内存峰值（框架自报）"),
    "said imported": ("the framework's own numbers", "框架自报的数值"),
    "said logged": ("numbers by iteration", "逐次迭代的数值"),
    "imported profile": ("imported: trained by another tool", "导入：由其他工具训练"),
    "mmcv 1.x log": ("mmcv 1.x log", "mmcv 1.x 日志"),
    "mmengine log": ("mmengine log", "mmengine 日志"),
    "mmcv 1.x work directory": ("mmcv 1.x work directory", "mmcv 1.x 工作目录"),
    "mmengine work directory": ("mmengine work directory", "mmengine 工作目录"),
    "Ultralytics run directory": ("Ultralytics run directory", "Ultralytics 运行目录"),
    "ending last epoch": ("the log reaches the last of {} epochs", "日志到达共 {} 轮的最后一轮"),
    "ending in epoch": ("the log ends in epoch {} of {}", "日志止于第 {} 轮，共 {} 轮"),
    "ending validated": (
        "the log ends with a validation; it does not say how many epochs were planned",
        "日志以一次验证结束；计划多少轮，日志没有说明",
    ),
    "ending within": (
        "the log ends within the training; it does not say how many epochs were planned",
        "日志在训练途中结束；计划多少轮，日志没有说明",
    ),
    "ending not planned": (
        "results.csv has {} epochs, and nothing says how many were planned",
        "results.csv 有 {} 轮；计划多少轮没有说明",
    ),
    "ending all": ("results.csv has all of {} epochs", "results.csv 有全部 {} 轮"),
    "ending early": (
        "results.csv ends at epoch {} of {}, {} after the best: early stopping",
        "results.csv 止于第 {} 轮，共 {} 轮，在最优轮次之后 {} 轮：提前停止",
    ),
    "ending cut": (
        "results.csv ends at epoch {} of {}, and not where early stopping would end it",
        "results.csv 止于第 {} 轮，共 {} 轮，并非提前停止之处",
    ),
    "import mean of": ("mean ± std over seeds", "种子间均值 ± 标准差"),
    "said own": ("the program's own validation", "程序自身的验证结果"),
    "import headline": (
        "{} against {}, by {}: {} (one training each says nothing of chance)",
        "{} 相对 {}，{} 自报：{}（各一次训练，不能排除偶然）",
    ),
    "import headline seeds": (
        "{} against {}, by {}: {} ({} / {} trainings)",
        "{} 相对 {}，{} 自报：{}（{} / {} 次训练）",
    ),
}
