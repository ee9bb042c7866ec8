"""What an experiment's data sets are made of: counts, density, the rule that took them, fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from detui.engine.record.text import Table, code, plain
from detui.engine.record.words import Words

SHORT = 12
"""Digits of a hash in a table; the set-up holds it whole."""

Data = Mapping[str, Any]
"""A prepared data object of experiment.json."""


def data_sets(info: Mapping[str, Any]) -> list[tuple[str, Data]]:
    """Role and prepared data of each of an experiment's data sets; one alone has the role ""."""
    several = info.get("data_sets") or {}
    if several:
        return [(str(role), data) for role, data in several.items() if data]
    return [("", info["data"])] if info.get("data") else []


class DataTable:
    """Rows and tables about data, in one language."""

    def __init__(self, info: Mapping[str, Any], words: Words) -> None:
        """`info`: experiment.json."""
        self.sets, self.words = data_sets(info), words

    def rows(self) -> Iterator[tuple[str, str]]:
        """Title and value of every row of the set-up that is about data; with several sets each names its role."""
        for role, data in self.sets:
            for item, value in self._items(data):
                title = self.words(f"{item} of frames" if item == "objects per image" and _frames(data) else item)
                yield (f"{title} ({plain(role)})" if role else title, value)

    def table(self) -> Table:
        """A row a data set: images, objects and objects an image of each split, classes, hashes; "–": not known."""
        words = self.words
        head = [words("data"), words("title"), words("images"), words("objects"), words("objects per image"),
                words("class count"), words("selection"), words("fingerprint")]  # fmt: skip
        return Table(head, [self._row(role, data) for role, data in self.sets], frozenset({5}))

    def _items(self, data: Data) -> Iterator[tuple[str, str]]:
        words, classes = self.words, data.get("classes") or ()
        title = plain(data.get("title") or data.get("name") or "")
        generated = f" ({words('generated')})" if data.get("generated") else ""
        yield "data", f"{code(data.get('name'))} {title}{generated}"
        counts = "frame counts" if _frames(data) else "split counts"
        yield "split", self._each(data, lambda split: words(counts, split.get("images", "?"), split.get("boxes", "?")))
        yield "objects per image", self._each(data, self._density)
        yield "selection", self._each(data, lambda split: code(_selection(split)))
        yield "image list", self._each(data, _list)
        yield "classes", f"{len(classes)}: {', '.join(map(plain, classes))}" if classes else ""
        yield "fingerprint", code(data.get("fingerprint") or "")
        yield "data problems", "; ".join(map(self._problem, data.get("problems") or ())) or words("no problems")

    def _each(self, data: Data, told: Callable[[Data], str]) -> str:
        """ "train: …; val: …", of the splits that have something to tell."""
        found = ((name, told(split)) for name, split in (data.get("splits") or {}).items())
        return "; ".join(f"{plain(name)}: {text}" for name, text in found if text)

    def _density(self, split: Data) -> str:
        density = split.get("objects_per_image")
        if not density:
            return ""
        return self.words("density", f"{density['mean']:.1f}", f"{density['median']:g}", split.get("objects", "?"))

    def _problem(self, problem: Data) -> str:
        kind, action = (self.words.known(str(problem.get(key))) for key in ("kind", "action"))
        return self.words("problem", count=problem.get("count", "?"), kind=plain(kind), action=plain(action))

    def _row(self, role: str, data: Data) -> list[str]:
        name = code(data.get("name")) + (f" ({plain(role)})" if role else "")
        cells = [
            self._each(data, told) for told in (_images, _objects, _mean, lambda one: code(_selection(one)[:SHORT]))
        ]
        images, objects, mean, selection = (cell or "–" for cell in cells)
        fingerprint = code(str(data.get("fingerprint") or "")[:SHORT]) or "–"
        classes = str(len(data.get("classes") or ())) if data.get("classes") else "–"
        return [name, plain(data.get("title") or ""), images, objects, mean, classes, selection, fingerprint]


def _frames(data: Data) -> bool:
    """Whether what is counted are frames of several cameras and a LiDAR."""
    return data.get("metric") == "nuscenes"


def _images(split: Data) -> str:
    return str(split.get("images", ""))


def _objects(split: Data) -> str:
    return str(split.get("objects", ""))


def _mean(split: Data) -> str:
    density = split.get("objects_per_image")
    return f"{density['mean']:.1f}" if density else ""


def _list(split: Data) -> str:
    """The committed list of ids that chose the images, and its SHA-256; "" where there is none."""
    listed = split.get("list")
    return f"{code(listed.get('file'))} {code(listed.get('sha256'))}" if isinstance(listed, dict) else ""


def _selection(split: Data) -> str:
    """SHA-256 of what a rule took; "" where there is none."""
    return str((split.get("selection") or {}).get("sha256") or "")
