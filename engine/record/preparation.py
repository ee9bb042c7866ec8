"""How sizes were weighted, depth was made and pictures were augmented: as used, where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.errors import DetuiError
from detui.engine.record.setup import Setup
from detui.engine.record.starts import shown
from detui.engine.record.text import Table, code, plain
from detui.engine.run.files import read_json

WEIGHTS = "loss.by_size"
"""Section of the fields that weigh the loss by the size of objects."""
AUGMENT = "augment"
KNOWN = {"encoding": "depth encoding", "far": "depth far", "note": "depth note"}
"""What a data set says of its depth maps, and the words of that."""
INPUTS = {"channels": "input channels", "depth_filter": "depth filter"}
"""What a worker says of the model's input, and the words of that."""


class Preparation:
    """Tables of one language."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.facts, self.words = setup, setup.facts, setup.words

    def weights(self) -> Table:
        """Field × arm of the weights: what the training reported that it used; before it did, what is planned."""
        return self._fields(WEIGHTS)

    def augmentation(self) -> Table:
        """Field × arm of the augmentation."""
        return self._fields(AUGMENT)

    def _fields(self, section: str) -> Table:
        values = {arm: self._values(arm, section) for arm in self.facts.arms}
        names = dict.fromkeys(name for told in values.values() for name in told)
        rows = []
        for name in sorted(names):
            rows.append([code(name), *(values[arm].get(name, self._absent(section)) for arm in self.facts.arms)])
        return Table([self.words("field"), *map(code, self.facts.arms)], rows)

    def _absent(self, section: str) -> str:
        """An arm without the section trains as the framework does."""
        return self.words("stock") if section == WEIGHTS else "–"

    def _values(self, arm: str, section: str) -> dict[str, str]:
        """Field → value as used by all runs of the arm, or as planned and said to be so."""
        used: dict[str, dict[str, None]] = {}
        for run in self.facts.of(arm):
            for name, value in flatten(run.begin.get("used") or {}).items():
                if _within(name, section):
                    used.setdefault(name, {})[code(shown(value))] = None
        if used or any(run.begin for run in self.facts.of(arm)):
            return {name: ", ".join(told) for name, told in used.items()}
        config = next((one.get("config") or {} for one in self.facts.info["arms"] if one["name"] == arm), {})
        planned = {name: value for name, value in flatten(config).items() if _within(name, section)}
        return {name: self.words("planned", code(shown(value))) for name, value in planned.items() if value is not None}

    def depth(self) -> Table:
        """Item and value of how the depth maps were made and encoded, as the data set's definition has it."""
        told = {name: plain(shown(value)) for name, value in sorted(self._depth().items()) if value is not None}
        rows = [[self.words(KNOWN[name]) if name in KNOWN else code(name), value] for name, value in told.items()]
        rows += [[self.words(word), text] for name, word in INPUTS.items() if (text := self._built(name))]
        return Table([self.words("item"), self.words("value")], rows)

    def _built(self, name: str) -> str:
        """A fact of the built models as the workers told it: one for all arms, or each arm's own."""
        found = {arm: ", ".join(dict.fromkeys(str(model[name]) for run in self.facts.of(arm)
                                              if (model := run.begin.get("model") or {}).get(name) is not None))
                 for arm in self.facts.arms}  # fmt: skip
        known = {arm: value for arm, value in found.items() if value}
        if len(set(found.values())) == 1:
            return code(next(iter(found.values())))
        return ", ".join(f"{code(arm)}: {code(value)}" for arm, value in known.items())

    def _depth(self) -> Mapping[str, Any]:
        data = self.facts.info.get("data") or {}
        told = data.get("depth")
        if told is None and data.get("prepared"):
            try:
                told = read_json(Path(data["prepared"]) / "dataset.json").get("depth")
            except DetuiError:  # moved or removed since: the record does without it
                return {}
        return flatten(told) if isinstance(told, Mapping) else {} if told is None else {"depth": told}


def _within(name: str, section: str) -> bool:
    return name == section or name.startswith(f"{section}.")
