"""Devices and queue, the record, and what may appear on any screen."""

from __future__ import annotations

_DEVICES = {
    "Host": "主机",
    "load": "负载",
    "GPU memory": "显存",
    "disk free": "磁盘剩余",
    "use": "利用",
    "power": "功耗",
    "temp": "温度",
    "free": "空闲",
    "somebody": "某用户",
    "a process that is not to be seen": "不可见的进程",
    "who is on it is not said": "驱动未说明谁在使用",
    "its memory is in use by somebody who is not to be seen": "显存被不可见的进程占用",
    "no GPU": "没有 GPU",
    "none: {reason}": "无：{reason}",
    "the driver lists none": "驱动没有列出",
    "{used}/{all} GPUs in use": "GPU 占用 {used}/{all}",
    "{taken} of {all} slots in use": "槽位占用 {taken}/{all}",
    "{run} cannot be read from here.": "在此无法读取 {run}。",
}

_QUEUE = {
    "Queue": "队列",
    "nobody waits": "无人等待",
    "held": "暂缓",
    "{count} held": "{count} 个暂缓",
    "{count} waiting": "{count} 个等待",
    "{count} of {there} GPUs": "{there} 个 GPU 中的 {count} 个",
    "{count} of {there} slots": "{there} 个槽位中的 {count} 个",
    "{size} free": "空闲 {size}",
}

_CLUSTER = {
    "{running} running, {waiting} waiting": "{running} 个运行，{waiting} 个等待",
    "{idle} of {nodes} nodes idle": "{nodes} 个节点中 {idle} 个空闲",
    "limit {time}": "时限 {time}",
    "takes no jobs": "不接受作业",
}

_RECORD = {
    "{name} has no record yet. It is written when the first run is evaluated; f writes it now.": (
        "{name} 还没有实验记录。第一个运行评估后自动写出；按 f 立即写出。"
    ),
    "{count} to fill in": "{count} 处待填写",
    "There is no {file}.": "没有 {file}。",
    "Filling the record…": "正在填写记录…",
    "The record says what is measured by now.": "记录已填入目前测得的内容。",
    "Export to {folder} as:": "导出到 {folder}，格式：",
    "Written: {files}": "已写出：{files}",
}

_ANYWHERE = {
    "{editor}: {problem}. Set $EDITOR.": "{editor}：{problem}。请设置 $EDITOR。",
    "This terminal cannot be lent to an editor. The file: {path}": "此终端无法让给编辑器。文件：{path}",
    "yes": "是",
    "none of them": "都不选",
    "no": "否",
    "recipe": "配方",
    "record": "记录",
    "a command, a run, a recipe": "命令、运行或配方",
    "Nothing has that name.": "没有这个名称。",
    "Copied: {text}": "已复制：{text}",
    "detui was started with --read-only: nothing is changed.": "detui 以 --read-only 启动：不作任何改动。",
    "{size} is small: detui needs {least}": "{size} 太小：detui 需要 {least}",
    "q, esc or ? closes this list. Keys can be changed in the settings: ,": (
        "按 q、esc 或 ? 关闭本列表。按键可在设置中更改：,"
    ),
}

TEXTS = {**_DEVICES, **_QUEUE, **_CLUSTER, **_RECORD, **_ANYWHERE}
