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
    "import headline": (
        "{} against {}, by {}: {} (one training each says nothing of chance)",
        "{} 相对 {}，{} 自报：{}（各一次训练，不能排除偶然）",
    ),
    "import headline seeds": (
        "{} against {}, by {}: {} ({} / {} trainings)",
        "{} 相对 {}，{} 自报：{}（{} / {} 次训练）",
    ),
}
