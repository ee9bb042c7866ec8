"""The list of runs, and one run live: states, columns, charts, numbers, pages."""

from __future__ import annotations

_STATES = {
    "queued": "排队",
    "starting": "启动",
    "running": "运行",
    "stopping": "停止中",
    "finished": "完成",
    "stopped": "已停止",
    "killed": "已终止",
    "failed": "失败",
    "crashed": "崩溃",
    "oom": "内存不足",
    "lost": "失联",
    "broken": "损坏",
}
"""At most nine cells."""

_COLUMNS = {
    "state": "状态",
    "run": "运行",
    "started": "开始时间",
    "epoch": "轮次",
    "stage": "阶段",
    "loss": "损失",
    "AP %": "AP %",
    "device": "设备",
    "memory": "内存",
    "step": "步",
    "left": "剩余",
    "age": "时长",
    "sorted by {column}": "按{column}排序",
}

_LIST = {
    "No experiments in {path} yet.": "{path} 中还没有实验。",
    "choose a recipe and start it": "选择一个配方并启动",
    "all keys": "全部按键",
    "quit": "退出",
    "nothing running": "没有正在进行的运行",
    "{count} marked": "已标记的 {count} 个",
    "no such field: {known}": "没有这个字段：{known}",
    "pinned": "已固定",
    "There is no experiment yet. Press 2 for the recipes.": "还没有实验。按 2 查看配方。",
}

_REQUESTS = {
    "{name} does not wait in the queue.": "{name} 不在队列中等待。",
    "{name} has ended.": "{name} 已结束。",
    "{name} has nothing to resume.": "{name} 没有可继续的运行。",
}

_CHARTS = {
    "Loss": "损失",
    "Validation AP, %": "验证 AP，%",
    "Learning rate": "学习率",
    "Memory": "显存/内存",
    "GPU use, %": "GPU 利用率，%",
    "GPU power, W": "GPU 功耗，W",
    "CPU of the run, %": "运行的 CPU 占用，%",
    "Statistics": "统计",
    "minutes": "分钟",
    "log": "对数",
    "smooth {weight}": "平滑 {weight}",
    "nothing yet": "尚无数据",
    "nothing above 0": "没有大于 0 的值",
}

_NUMBERS = {
    "since": "始于",
    "{age} ago": "{age} 前",
    "attempt": "尝试",
    "model": "模型",
    "step time": "每步用时",
    "measured": "测得",
    "after epoch {epoch}": "第 {epoch} 轮后",
    "cpu": "CPU",
}

_PAGES = {
    "Overview": "概览",
    "Alarms": "警报",
    "Log": "日志",
    "Configuration": "配置",
    "Files": "文件",
    "reading…": "读取中…",
    "(and {count} before)": "（此前还有 {count} 个）",
    "No alarm was raised.": "没有警报。",
    "{name}, attempt {attempt}, after {at}": "{name}，第 {attempt} 次尝试，{at} 后",
    "means: {what}": "含义：{what}",
    "This run reports no statistics.": "此运行不报告统计量。",
    "latest": "最新",
    "least": "最小",
    "most": "最大",
    "As the framework uses it": "框架实际使用的值",
    "asked: {value}": "设定值：{value}",
    "Asked, and not reported back": "已设定，但框架未报告",
    "Model": "模型",
    "Device": "设备",
    "Packages": "软件包",
    "Code": "代码",
    "As the recipe gave it": "配方给出的值",
    "… and more": "… 还有更多",
    # log
    "Following the log.": "正在跟随日志。",
    "The log stays where it is. f follows again.": "日志停在原处。按 f 继续跟随。",
    "nothing found": "未找到",
    "{count} lines": "{count} 行",
    "Nothing is searched for, or nothing found. Press /": "没有搜索内容，或未找到。按 /",
    "There is no log yet.": "还没有日志。",
}

TEXTS = {**_STATES, **_COLUMNS, **_LIST, **_REQUESTS, **_CHARTS, **_NUMBERS, **_PAGES}
