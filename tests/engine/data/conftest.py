"""Small data sets written on the spot: real files, real images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.data.form import Dataset
from detui.engine.data.preparing import PreparedData


class Site:
    """A folder with one data set in it, and a workspace beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "data" / "tiny"
        self.cache = home / "workspace" / ".data"
        self.definition = self.root / "tiny.yaml"
        self.root.mkdir(parents=True)

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home), "DETUI_WORKSPACE": str(self.home / "workspace")}

    @property
    def configuration(self) -> Configuration:
        return Configuration.load(environ=self.environ)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def image(self, name: str, size: tuple[int, int] = (100, 80), colour: int | None = None) -> Path:
        from PIL import Image

        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        value = sum(name.encode()) % 200 if colour is None else colour
        Image.new("RGB", size, (value, len(name), 7)).save(path)
        return path

    def define(self, **fields: Any) -> Path:
        value = {"schema": 1, "name": "tiny", "title": "Tiny", **fields}
        return self.write("tiny.yaml", json.dumps(value))

    # Each format with one image in train and one in val, to be damaged by a test.

    def voc(self, objects: str, *, size: tuple[int, int] = (100, 80), **fields: Any) -> None:
        for split, stem in (("train", "a"), ("val", "b")):
            self.write(f"ImageSets/{split}.txt", f"{stem}\n")
            self.image(f"JPEGImages/{stem}.jpg", (100, 80))
            head = f"<annotation>\n<size><width>{size[0]}</width><height>{size[1]}</height></size>\n"
            self.write(f"Annotations/{stem}.xml", f"{head}{objects if stem == 'a' else ''}</annotation>\n")
        splits = {name: {"list": f"ImageSets/{name}.txt"} for name in ("train", "val")}
        self.define(**{"format": "voc", "classes": ["cat", "dog"], "splits": splits, **fields})

    def yolo(self, labels: str | None, **fields: Any) -> None:
        for split, stem in (("train", "a"), ("val", "b")):
            self.image(f"images/{split}/{stem}.png")
            if labels is not None or split == "val":
                self.write(f"labels/{split}/{stem}.txt", (labels or "") if split == "train" else "")
        splits = {name: {"images": f"images/{name}"} for name in ("train", "val")}
        self.define(**{"format": "yolo", "classes": ["cat", "dog"], "splits": splits, **fields})

    def coco(self, annotations: list[Any], *, images: list[Any] | None = None, **fields: Any) -> None:
        for number, stem in enumerate(("a", "b"), 1):
            split = "train" if stem == "a" else "val"
            self.image(f"{split}/{stem}.png")
            entry = {"id": number, "file_name": f"{stem}.png", "width": 100, "height": 80}
            value = {
                "images": images if images is not None and stem == "a" else [entry],
                "annotations": annotations if stem == "a" else [],
                "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
            }
            self.write(f"{split}.json", json.dumps(value))
        splits = {name: {"annotations": f"{name}.json", "images": name} for name in ("train", "val")}
        self.define(**{"format": "coco", "splits": splits, **fields})

    def open(self, **how: Any) -> Dataset:
        return open_dataset(load_definition(self.definition), self.configuration, cache=self.cache, **how)

    def kinds(self, **how: Any) -> dict[str, str]:
        """Kinds of problems with their actions."""
        return {row.kind: row.action for row in self.open(tolerate=True, **how).summary}

    def prepare(self, *, yolo: bool = False, **selection: Any) -> PreparedData:
        wanted: Mapping[str, Any] = {"name": str(self.definition), **selection}
        return prepare(wanted, self.configuration, self.cache, yolo=yolo)


@pytest.fixture
def site(hostile_path: Path) -> Site:
    """An empty site below an ordinary and below a hostile path."""
    return Site(hostile_path)


@pytest.fixture
def make_site(tmp_path: Path) -> Any:
    """Make sites by name, for tests that need several or do not care about the path."""

    def make(name: str = "one") -> Site:
        folder = tmp_path / name
        folder.mkdir()
        return Site(folder)

    return make
