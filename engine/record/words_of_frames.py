"""Words of the tables of data that is judged in the manner of nuScenes, in English and Chinese."""

from __future__ import annotations

OF_FRAMES: dict[str, tuple[str, str]] = {
    "frame counts": ("{} frames, {} boxes", "{} 帧, {} 个框"),
    "objects per image of frames": ("objects per frame", "每帧的目标数"),
    "m": ("m", "米"),
    "1 − IoU": ("1 − IoU", "1 − IoU"),
    "rad": ("rad", "弧度"),
    "m/s": ("m/s", "米/秒"),
    "1 − accuracy": ("1 − accuracy", "1 − 准确率"),
    "mAP ceiling": ("highest mAP possible (%)", "mAP 的上限 (%)"),
    "NDS ceiling": ("highest NDS possible (%)", "NDS 的上限 (%)"),
    "said ceiling": ("what the data allows", "数据所允许的上限"),
}
