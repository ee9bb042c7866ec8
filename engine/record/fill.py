"""Write an experiment's record, or bring it up to date, leaving everything a person wrote as it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.evaluate.lock import node_lock
from detui.engine.record.blocks import merge
from detui.engine.record.facts import ExperimentFacts, record_path
from detui.engine.record.figures import draw
from detui.engine.record.gather import gather
from detui.engine.record.losses_by_iteration import Readings
from detui.engine.record.over_images import Images, of_arms
from detui.engine.record.render import Picture, render
from detui.engine.record.save import update
from detui.engine.record.words import LANGUAGES, Words
from detui.engine.run.files import read_json_if_there, write_json
from detui.engine.run.pulled import refuse_copy

log = logging.getLogger(__name__)


def fill(experiment_dir: Path, *, photographs: bool = True) -> list[Path]:
    """Render record.md (English), record.zh.md (Chinese) and the figures; return the records' paths.

    `photographs`: draw figures of pictures of the data too, where they are out of date, which takes seconds.
    Filling again with nothing new changes no byte. Waits for another process
    of this machine that fills the same record. Raises MissingError,
    FormatError, RecipeError, RunError; also for a copy of another host's experiment, which is filled there.
    """
    refuse_copy(experiment_dir, "record", "fill", experiment_dir.name)
    with node_lock("record", experiment_dir):
        facts = gather(experiment_dir)
        memory = _Memory(experiment_dir / "record.json")
        pictures = draw(facts, memory.figures, photographs=photographs)
        images = of_arms(facts, memory.images)
        memory.save()
        shown = (pictures, images, Readings(facts))
        return [_fill_language(facts, language, shown, memory) for language in languages(facts)]


def languages(facts: ExperimentFacts) -> list[str]:
    """The languages that the recipe wants its record in."""
    wanted = (facts.info.get("record") or {}).get("languages") or LANGUAGES
    return [language for language in LANGUAGES if language in wanted]


def _fill_language(
    facts: ExperimentFacts, language: str, shown: tuple[list[Picture], dict[str, Images], Readings], memory: _Memory
) -> Path:
    path = record_path(facts.path, language)
    rendered = render(facts, language, *shown)
    notice = Words(language)("notice")

    def change(content: bytes | None) -> bytes | None:
        # Bytes that are no UTF-8 are the person's too: they travel through as they are.
        existing = None if content is None else content.decode("utf-8", "surrogateescape")
        merged = merge(existing, rendered, memory.blocks(language), notice)
        if merged.text != existing:
            memory.remember(language, path.name, merged.hashes)
        for name in merged.kept:
            log.warning("%s: block %r was changed by hand; it was kept and the new one follows it", path, name)
        return None if merged.text == existing else merged.text.encode("utf-8", "surrogateescape")

    update(path, change)
    return path


class _Memory:
    """record.json: hashes of the machine-owned blocks, what figures were drawn from, and results of the bootstrap."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found: Mapping[str, Any] = read_json_if_there(path) or {}
        self._saved = json.dumps(found)
        self._languages: dict[str, Any] = dict(found.get("languages") or {})
        self.figures: dict[str, Any] = dict(found.get("figures") or {})
        self.images: dict[str, Any] = dict(found.get("images") or {})

    def blocks(self, language: str) -> dict[str, list[str]] | None:
        known = self._languages.get(language)
        return None if known is None else dict(known["blocks"])

    def remember(self, language: str, file: str, hashes: dict[str, list[str]]) -> None:
        """Saved before the record itself: a hash too many does no harm, one too few would disown a block."""
        before = self.blocks(language) or {}
        union = {name: list(dict.fromkeys([*marks, *before.get(name, [])[:1]])) for name, marks in hashes.items()}
        self._languages[language] = {"file": file, "blocks": union}
        self.save()

    def save(self) -> None:
        wanted = {"schema": 1, "languages": self._languages, "figures": self.figures, "images": self.images}
        text = json.dumps(wanted)
        if text != self._saved:
            write_json(self.path, wanted)
            self._saved = text
