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
    "metric %": "指标 %",
    "device": "设备",
    "memory": "显存/内存",
    "step": "步",
    "left": "剩余",
    "age": "距今",
    "sorted by {column}": "按{column}排序",
}

_LIST = {
    "compiles its kernels: {done} of {total}": "正在编译算子：{done}/{total}",
    "about {seconds} s left": "约剩 {seconds} 秒",
    "imported: {form}": "导入：{form}",
    "mmcv 1.x log": "mmcv 1.x 日志",
    "mmengine log": "mmengine 日志",
    "mmcv 1.x work directory": "mmcv 1.x 工作目录",
    "mmengine work directory": "mmengine 工作目录",
    "Ultralytics run directory": "Ultralytics 运行目录",
    "was imported: only the tool that trained it can go on": "为导入的运行：只有训练它的工具才能继续",
    "No experiments in {path} yet.": "{path} 中还没有实验。",
    "choose a recipe and start it": "选择一个配方并启动",
    "all keys": "全部按键",
    "quit": "退出",
    "nothing running": "无进行中的运行",
    "{count} marked": "标记的 {count} 个",
    "no such field: {known}": "没有这个字段：{known}",
    "pinned": "已固定",
    "There is no experiment yet. Press 2 for the recipes.": "还没有实验。按 2 查看配方。",
}

_REQUESTS = {
    "Stop with a checkpoint? It can be resumed.": "保存检查点后停止？之后可以继续。",
    "Kill at once? What was done since the last checkpoint is lost.": "立即强制终止？最近检查点之后的进度将丢失。",
    "Resume from the last checkpoint?": "从最近的检查点继续？",
    "{name} does not wait in the queue.": "{name} 不在队列中等待。",
    "{name} has ended.": "{name} 已结束。",
    "{name} has nothing to resume.": "{name} 没有可继续的运行。",
    # what a stop or a resume costs
    "{text}.": "{text}。",
    "the epoch in progress is repeated": "正在进行的一轮要重做",
    "nothing is lost but the step in progress": "只损失正在进行的一步",
    "the round in progress is repeated": "正在进行的一轮要重做",
    "what the program did since its last checkpoint is repeated": "程序在最近检查点之后所做的要重做",
    "on resume {repeated}": "继续时，{repeated}",
    "it has not started, and nothing is lost": "尚未开始，不会丢失任何东西",
    "it has no checkpoint: a resume begins again": "没有检查点：继续时从头开始",
    "it has no checkpoint yet: unless it saves one now, a resume begins again": (
        "还没有检查点：除非现在保存下一个，否则继续时从头开始"
    ),
}

_ANSWERS = {
    # each follows the name of a run
    "was not asked: {problem}": "未能请求：{problem}",
    "has ended already: {state}": "早已结束：{state}",
    "has not ended: {state}": "尚未结束：{state}",
    "is finished": "已完成",
    "is being killed": "正在强制终止",
    "will save a checkpoint and end; {lost}": "将保存检查点后结束；{lost}",
    "will not start; {lost}": "不再启动；{lost}",
    "was ended on request: {state}; detui resume continues it": "是按请求结束的：{state}；可用 detui resume 继续",
    "goes on in a new attempt": "在新的一次尝试中继续",
    "begins again in a new attempt": "在新的一次尝试中从头开始",
    "and may run out of memory again: in an experiment of its own a smaller batch would need less": (
        "可能再次内存不足：另建一个实验并减小批大小，用量会更少"
    ),
    # the queue
    "is held: it keeps its place, and others pass": "已暂缓：保留位置，让其他运行先行",
    "is held already": "已经暂缓",
    "takes part in the queue again": "已恢复排队",
    "is not held": "没有暂缓",
    "stands before the other runs of its user": "已排到该用户其他运行之前",
    "stands before the others already": "已经排在其他运行之前",
    "stands one place earlier": "已前移一位",
    "stands behind the others already": "已经排在其他运行之后",
    "stands one place later": "已后移一位",
}

_ALARMS = {
    "a number that the training reports is not finite": "训练报告的某个数值不是有限值",
    "the total loss is far above its own lowest level, and stays there": "总损失远高于自身的最低水平，且居高不下",
    "a term of the loss rises over epochs while the other terms fall": "损失的某一项随轮次上升，而其他各项下降",
    "neither the validation metric nor the loss has improved for many epochs": "验证指标与损失都已多轮没有改善",
    "AQR scaled features by more, or by less, than its settings allow": "AQR 对特征的缩放超出了其设置允许的范围",
    "a GPU of the run has less than 3 % of its memory free": "运行所用的一个 GPU 空闲显存不足 3 %",
    "the disk has hardly room for the next checkpoints": "磁盘几乎放不下后续的检查点",
    "no step has been made for much longer than a step takes": "远超一步用时仍没有新的一步",
}

_CHARTS = {
    "Loss": "损失",
    "Validation AP, %": "验证 AP，%",
    "Validation mAP, NDS, %": "验证 mAP、NDS，%",
    "Gradient norm": "梯度范数",
    "Own validation loss": "框架自报的验证损失",
    "Accuracy of the box head, %": "框头分类准确率, %",
    "AQR weights ± std": "AQR 权重 ± 标准差",
    "AQR change, %": "AQR 变化，%",
    "AQR gain": "AQR 增益",
    "AQR map maxima": "AQR 权重图最大值",
    "AQR gradient norm": "AQR 梯度范数",
    "{sensor}, all": "{sensor}，全部",
    "{sensor}, active": "{sensor}，活跃",
    "{sensor}, least": "{sensor}，最小",
    "{sensor}, most": "{sensor}，最大",
    "{sensor}, raw": "{sensor}，未截断",
    "allowed": "允许",
    "norm": "范数",
    "Learning rate": "学习率",
    "Memory": "显存/内存",
    "GPU use, %": "GPU 利用率，%",
    "GPU power, W": "GPU 功耗，W",
    "CPU of the run, %": "运行的 CPU 占用，%",
    "Statistics": "统计",
    "processes": "进程",
    "minutes": "分钟",
    "log": "对数",
    "smooth {weight}": "平滑 {weight}",
    "nothing yet": "尚无数据",
    "nothing above 0": "没有大于 0 的值",
}

_AQR = {
    "AQR, step {step}": "AQR，第 {step} 步",
    "This run reports nothing of AQR.": "该运行没有报告 AQR 的数据。",
    "LiDAR": "激光雷达",
    "camera": "相机",
    "weight, mean ± std": "权重，均值 ± 标准差",
    "weight, min–max": "权重，最小–最大",
    "map maximum (raw)": "图最大值（未截断）",
    "change, all features": "相对变化，全部特征",
    "change, active ones": "相对变化，活跃特征",
    "mean change": "平均变化",
    "largest change": "最大变化",
    "active features": "活跃特征",
    "cells of weight 0": "权重为 0 的格",
    "cells clamped": "被截断的格",
    "gain, measured": "增益，测得",
    "gain, allowed": "增益，允许",
    "clamp now": "当前截断值",
    "queries of padding": "填充查询",
    "queries unseen": "不可见查询",
    "camera : LiDAR weight": "相机 : 激光雷达权重",
    "gradient norm": "梯度范数",
    "queries": "查询数",
    "processes, mean of": "取均值的进程数",
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
    "RAM": "内存",
    "{used} of {total}": "{used} / {total}",
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

TEXTS = {**_STATES, **_COLUMNS, **_LIST, **_REQUESTS, **_ANSWERS, **_ALARMS, **_CHARTS, **_AQR, **_NUMBERS, **_PAGES}
