"""The settings: their names, values and notes."""

from __future__ import annotations

_NAMES = {
    "Language": "语言",
    "Theme": "主题",
    "ASCII": "ASCII",
    "Refresh, seconds": "刷新间隔/秒",
    "Mouse": "鼠标",
    "Notice": "通知",
}

_VALUES = {
    "auto": "自动",
    "en": "English",
    "zh": "中文",
    "dark": "深色",
    "light": "浅色",
    "terminal": "终端",
    "bell": "响铃",
    "message": "消息",
    "off": "关闭",
}

_NOTES = {
    "auto: as the locale says. Records exist in both.": "自动：随系统区域设置。实验记录两种语言都有。",
    "terminal: the sixteen colours of the terminal itself.": "终端：使用终端自身的十六色。",
    "Charts and bars without Unicode.": "图表与进度条不用 Unicode 字符。",
    "Longer where the link is slow.": "网络慢时可加长。",
    "From the next start on. Without it the terminal selects text.": "下次启动时生效。关闭后可用终端选取文字。",
    "When a run ends or raises an alarm. message: OSC 9, on the desktop.": (
        "运行结束或报警时。消息：桌面通知（OSC 9）。"
    ),
}

_KEYS = {
    "Press the new key. esc leaves it as it is.": "请按新的按键。esc 保持不变。",
    "{key} cannot be used: the terminal or tmux keeps it.": "{key} 不能使用：它被终端或 tmux 占用。",
    "{key} is taken: {names}": "{key} 已被占用：{names}",
    "Two things have the same key: {names}. See the settings.": "两处使用了同一按键：{names}。请查看设置。",
}

TEXTS = {**_NAMES, **_VALUES, **_NOTES, **_KEYS}
