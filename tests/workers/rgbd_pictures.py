"""Pictures whose depth is known from their colours, seen through Ultralytics' own training data sets.

`python rgbd_pictures.py FOLDER` prints, as JSON, how far colours and depth are apart after each augmentation. In a
process of its own, because importing Ultralytics patches Pillow.
"""

from __future__ import annotations

import json
import pickle
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from detui.engine.errors import RunError

SIZES = ((96, 80), (64, 100), (70, 70), (128, 50), (96, 96), (90, 60))
"""Width and height of each picture. At 96 pixels some are resized up, some down, some not at all."""
STILL = {
    **dict.fromkeys(("mosaic", "mixup", "cutmix", "copy_paste", "degrees", "translate", "scale", "shear"), 0.0),
    **dict.fromkeys(("perspective", "flipud", "fliplr", "hsv_h", "hsv_s", "hsv_v", "bgr"), 0.0),
}
ALONE: dict[str, dict[str, float]] = {
    "nothing": {},
    "mosaic": {"mosaic": 1.0},
    "mixup": {"mixup": 1.0},
    "cutmix": {"cutmix": 1.0},
    "copy_paste": {"copy_paste": 1.0},
    "fliplr": {"fliplr": 1.0},
    "flipud": {"flipud": 1.0},
    "rotation": {"degrees": 45.0},
    "translation": {"translate": 0.3},
    "scale": {"scale": 0.5},
    "shear": {"shear": 20.0},
    "perspective": {"perspective": 0.001},
}
TOGETHER = {key: value for each in ALONE.values() for key, value in each.items()} | {
    "mosaic": 0.7, "mixup": 0.5, "cutmix": 0.5, "fliplr": 0.5, "flipud": 0.5,
}  # fmt: skip
COLOURS = {"hsv_h": 0.3, "hsv_s": 0.7, "hsv_v": 0.4}


def draw(prepared: Path, roles: tuple[str, ...] = ("train", "val")) -> dict[str, Any]:
    """A prepared tree of noise; the depth of each pixel is the mean of its red and green.

    Noise, because a shift by a single pixel is then seen everywhere; this mean, because it holds after any linear
    interpolation and in the grey border. Returns what a run's spec says of the data.
    """
    rng = np.random.default_rng(0)
    for role in roles:
        for kind in ("images", "depth", "labels"):
            (prepared / "yolo" / kind / role).mkdir(parents=True)
        for number, (width, height) in enumerate(SIZES, 1):
            picture = rng.integers(0, 256, (height, width, 3), np.uint8)
            depth = picture[..., :2].astype(int).sum(-1) // 2
            stem = f"{number:012}"
            Image.fromarray(picture).save(prepared / "yolo" / "images" / role / f"{stem}.png")
            Image.fromarray(depth.astype(np.uint8)).save(prepared / "yolo" / "depth" / role / f"{stem}.png")
            # Outlines, and not boxes: copy-paste moves nothing else.
            lines = "0 0.1 0.1 0.4 0.1 0.4 0.6 0.1 0.6\n1 0.6 0.5 0.9 0.5 0.9 0.9 0.6 0.9\n"
            (prepared / "yolo" / "labels" / role / f"{stem}.txt").write_text(lines)
    return {
        "prepared": str(prepared),
        "classes": ["one", "two"],
        "depth": {"encoding": "uint8", "far": None},
        "splits": {role: {"images": len(SIZES)} for role in roles},
    }


def main(folder: Path) -> None:
    """Look at everything, and print what was seen."""
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.backends.ultralytics.offline import go_offline

    go_offline(folder / "config")
    ensure_torchvision()
    look = Look(draw(folder / "prepared"), folder / "view")
    seen = {
        "apart": {name: look.apart(augment) for name, augment in {**ALONE, "together": TOGETHER}.items()},
        "colours": look.colours(),
        "memory": look.memory(),
        "elsewhere": look.elsewhere(),
        "sixteen": sixteen(folder / "sixteen"),
        "complaints": {
            kind: complaint(kind, folder / kind) for kind in ("absent", "mis-sized", "text", "cut", "colour")
        },
    }
    print(json.dumps(seen))


class Look:
    """Makes data sets as a training does, with depth and without."""

    def __init__(self, data: dict[str, Any], folder: Path) -> None:
        self.data, self.folder = data, folder

    def dataset(self, augment: dict[str, float], channels: int = 4, mode: str = "train", **more: Any) -> Any:
        """A data set of Ultralytics' builder, for one set of augmentations."""
        from ultralytics.data import build_yolo_dataset

        from detui.engine.backends.ultralytics.dataset import datasets

        dictionary = self.dictionary(channels)
        with datasets(dictionary):
            return build_yolo_dataset(
                settings(augment, **more), dictionary[mode], 2, dictionary, mode=mode, rect=mode == "val"
            )

    def dictionary(self, channels: int = 4) -> Any:
        """What Ultralytics makes of our data YAML."""
        from ultralytics.data.utils import check_det_dataset

        from detui.engine.backends.ultralytics.dataset import private_view

        return check_det_dataset(str(private_view(self.data, self.folder, channels=channels)))

    def apart(self, augment: dict[str, float]) -> dict[str, Any]:
        """The largest distance of any pixel's depth from what its colours say, and whether anything happened."""
        pictures, plain = samples(self.dataset(augment)), samples(self.dataset(augment, 3))
        still = samples(self.dataset({}))
        return {
            "shapes": sorted({p.shape for p in pictures}),
            "apart": distance(pictures),
            "moved": sum(float(abs(p - s).mean()) for p, s in zip(pictures, still, strict=True)),
            "as_without_depth": all((p[:3] == other).all() for p, other in zip(pictures, plain, strict=True)),
            "apart_if_shifted": distance([np.stack([p[0], p[1], p[2], np.roll(p[3], 1, -1)]) for p in pictures[:1]]),
        }

    def colours(self) -> dict[str, Any]:
        """What changes when colours do."""
        before = samples(self.dataset({"fliplr": 0.5}))
        after, without = (samples(self.dataset({"fliplr": 0.5, **COLOURS}, channels)) for channels in (4, 3))
        return {
            "depth": max(int(abs(b[3] - a[3]).max()) for b, a in zip(before, after, strict=True)),
            "rgb": min(float(abs(b[:3] - a[:3]).mean()) for b, a in zip(before, after, strict=True)),
            "as_without_depth": all((a[:3] == w).all() for a, w in zip(after, without, strict=True)),
        }

    def memory(self) -> dict[str, Any]:
        """With all pictures in memory, with those that mosaic chooses from, and when mosaic has ended."""
        mosaic, cached = self.dataset(TOGETHER), self.dataset(TOGETHER, cache="ram", deterministic=False)
        samples(mosaic, 4)
        kept = [image for image in mosaic.ims if image is not None]
        for dataset in (mosaic, cached):
            dataset.close_mosaic(settings({"fliplr": 0.5, **COLOURS}))
        pairs = zip(samples(mosaic), samples(cached), strict=True)
        mosaic.close_mosaic(settings({"fliplr": 0.5}))
        return {
            "same": all((a == b).all() for a, b in pairs),
            "bytes_a_pixel": int(cached.ims.buffer.numel()) / sum(height * width for height, width in cached.im_hw),
            "kept": [image.shape[-1] for image in kept],
            "at_most": mosaic.max_buffer_length,
            "apart_after_mosaic": distance(samples(mosaic)),
        }

    def elsewhere(self) -> dict[str, Any]:
        """Loader processes, pickling, validation, RT-DETR, and the order of the planes."""
        from torch.utils.data import DataLoader
        from ultralytics.models.rtdetr.train import RTDETRTrainer

        from detui.engine.backends.ultralytics.dataset import datasets

        dataset, val = self.dataset({"mosaic": 0.5}), self.dataset({}, mode="val")
        trainer = SimpleNamespace(args=settings(TOGETHER), data=self.dictionary())
        with datasets(trainer.data):
            rtdetr = RTDETRTrainer.build_dataset(trainer, trainer.data["train"], batch=2)
        loader = DataLoader(dataset, batch_size=3, num_workers=2, collate_fn=dataset.collate_fn)
        square = next(i for i, image in enumerate(val.im_files) if Image.open(image).size == (96, 96))
        stored = np.asarray(Image.open(val.im_files[square])).transpose(2, 0, 1)
        seen = val[square]["img"].numpy()
        top, left = ((size - 96) // 2 for size in seen.shape[1:])
        return {
            "loaded": [list(batch["img"].shape) for batch in loader],
            "pickled": type(pickle.loads(pickle.dumps(dataset))).__name__,
            "val": distance(samples(val)),
            "rtdetr": (type(rtdetr).__name__, distance(samples(rtdetr))),
            "rgb_first": bool((seen[:3, top : top + 96, left : left + 96] == stored).all()),
            "border": sorted({int(value) for value in samples(self.dataset({"translate": 0.5}))[3][:, 0, 0]}),
        }


def settings(augment: dict[str, float], **more: Any) -> Any:
    """Ultralytics' settings with these augmentations and no others."""
    from ultralytics.cfg import get_cfg

    return get_cfg(overrides={**STILL, **augment, "imgsz": 96, "task": "detect", **more})


def samples(dataset: Any, rounds: int = 2) -> list[Any]:
    """Each picture some times over: (channels, height, width), from the same draws in every data set."""
    random.seed(1)
    np.random.seed(1)
    return [dataset[index]["img"].numpy().astype(int) for _ in range(rounds) for index in range(len(dataset))]


def distance(pictures: list[Any]) -> float:
    """How far the depth of any pixel is from what its colours say."""
    return max(float(abs(p[3] - (p[0] + p[1]) / 2).max()) for p in pictures)


def sixteen(folder: Path) -> float:
    """The distance where depth is stored in 16 bits, as metres × 256, with 10 metres for 255."""
    data = draw(folder / "prepared")
    for path in (folder / "prepared").glob("yolo/depth/*/*.png"):
        metres = np.asarray(Image.open(path)) / 255 * 10
        Image.fromarray(np.rint(metres * 256).astype(np.uint16)).save(path)
    look = Look({**data, "depth": {"encoding": "metres_x256", "far": 10.0}}, folder / "view")
    return distance(samples(look.dataset(TOGETHER)))


def complaint(kind: str, folder: Path) -> str:
    """What is said of a depth map that is not as it should be."""
    look = Look(draw(folder / "prepared"), folder / "view")
    path = folder / "prepared/yolo/depth/train/000000000002.png"
    if kind == "absent":
        path.unlink()
    elif kind == "text":
        path.write_text("no picture at all, but longer than any header")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        size, mode = (SIZES[1][::-1], "L") if kind == "mis-sized" else (SIZES[1], "RGB")
        Image.new(mode, size).save(path)
    try:
        samples(look.dataset({}))
    except RunError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
