"""Published counts as checksums of what was read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from detui.engine.data.form import Checksum, Split
from detui.engine.data.problems import Ledger
from detui.engine.data.published import Published
from detui.engine.data.reading import Content


def checksums(published: Published, content: Content) -> tuple[Checksum, ...]:
    """Every published number that can be judged by the splits that were read."""
    return tuple(_of_splits(published, content)) + tuple(_of_classes(published, content))


def report_differences(found: tuple[Checksum, ...], path: Path, ledger: Ledger) -> None:
    """Report each number that differs from the published one."""
    for checksum in found:
        if not checksum.ok:
            reason = f"{checksum.what}: {checksum.published} are published, {checksum.found} were found"
            ledger.report("published_count", path.name, None, reason)


def _of_splits(published: Published, content: Content) -> Iterator[Checksum]:
    for name, split in content.splits.items():
        boxes = sum(split.declared_boxes.values())
        counts = {
            "images": (published.images, split.declared_images),
            "annotations": (published.annotations, boxes),
            "annotations without crowd": (published.without_crowd, boxes - split.declared_crowd),
            "images without boxes": (published.without_boxes, _bare_images(split)),
        }
        for what, (stated, found) in counts.items():
            if name in stated:
                yield Checksum(f"{what} of {name}", stated[name], found)


def _of_classes(published: Published, content: Content) -> Iterator[Checksum]:
    """Counts by class are published over all splits: they are judged only when all were read."""
    if not published.boxes or not set(published.images) <= set(content.splits):
        return
    for name, stated in published.boxes.items():
        found = sum(split.declared_boxes.get(name, 0) for split in content.splits.values())
        yield Checksum(f"boxes of {name}", stated, found)


def _bare_images(split: Split) -> int:
    return len(split.images) - len({annotation.image_id for annotation in split.annotations})
