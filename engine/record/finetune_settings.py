"""How each arm of a fine-tuning was configured: a row a setting, a column an arm, as the training really used it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.record.facts import RunFacts, StageFacts
from detui.engine.record.results import Results
from detui.engine.record.stages import told_augmentation
from detui.engine.record.starts import normal
from detui.engine.record.text import Table, code, plain

_PARTS = ("backbone", "neck", "rpn_head", "roi_head")
_ALL_STAGES = 4
"""Stages of a ResNet."""


class FinetuneSettings:
    """The table of configurations, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def table(self) -> Table:
        """The settings of the last stage of each arm: what was used where the training says it, else what was asked."""
        arms = [_Arm(self.facts.of(arm), self._config(arm)) for arm in self.facts.arms]
        rows = []
        for name, cell in self._settings():
            cells = [cell(arm) for arm in arms]
            if any(cells):
                rows.append([self.words(name), *(text or "–" for text in cells)])
        return Table([self.words("setting"), *map(code, self.facts.arms)], rows)

    def _config(self, arm: str) -> Mapping[str, Any]:
        return next((one.get("config") or {} for one in self.facts.info["arms"] if one["name"] == arm), {})

    def _settings(self) -> Iterator[tuple[str, Callable[[_Arm], str]]]:
        yield "weights before", self._weights
        yield "starts anew", self._anew
        yield "base rate", lambda arm: self._told(arm, "train.lr")
        yield "rate scaling", self._scaling
        yield "layered rates", self._layers
        yield "rates used", self._rates
        yield "warm-up", self._warmup
        yield "drops", self._drops
        yield "epochs", self._epochs
        yield "optimiser", self._optimiser
        yield "frozen", self._frozen
        yield "augmentation read", self._augmentation
        yield "image size", lambda arm: self._told(arm, "train.image_size")
        yield "operators", self._operators

    def _told(self, arm: _Arm, field: str) -> str:
        """A field's value; with what was asked where that is another one."""
        value = arm.get(field)
        if value is None:
            return ""
        asked = arm.asked.get(field)
        text = _written(value)
        if field in arm.used and asked is not None and _written(normal(asked)) != _written(normal(value)):
            return self.words("asked otherwise", text, _written(asked))
        return text

    def _weights(self, arm: _Arm) -> str:
        """What the last stage really started from; before it has begun, what the recipe names."""
        words, stage = self.words, arm.stage
        if stage is None or "transfer" not in stage.line:
            whole, backbone = arm.get("model.weights"), arm.get("model.backbone.weights")
            return self._from("detector", whole, arm) if whole else self._from("backbone", backbone, arm)
        source: Mapping[str, Any] = (stage.line["transfer"] or {}).get("source") or {}
        if source.get("kind") != "stage":
            return self._from(str(source.get("kind")), source.get("file"), arm)
        file, epoch = code(source.get("stage") or source.get("file")), source.get("epoch")
        told = words("weights of stage", file) if epoch is None else words("weights of stage epoch", file, epoch)
        return self._taken(told, arm)

    def _from(self, kind: str, file: Any, arm: _Arm) -> str:
        if not file:
            return self.words("random weights")
        if kind == "backbone":
            return self.words("backbone weights", code(file))
        return self._taken(self.words("weights detector", code(file)), arm)

    def _taken(self, told: str, arm: _Arm) -> str:
        return f"{told}; {self.words('backbone only')}" if arm.get("model.start.take") == "backbone" else told

    def _anew(self, arm: _Arm) -> str:
        source: Mapping[str, Any] = ((arm.stage.line.get("transfer") if arm.stage else None) or {}).get("source") or {}
        whole = bool(arm.get("model.weights")) or source.get("kind") in ("stage", "detector")
        if not whole:
            backbone = arm.get("model.backbone.weights") or source
            return self.words("anew of shape" if backbone else "anew everything")
        if arm.get("model.start.take") == "backbone":
            return self.words("anew not taken")
        anew = arm.get("model.start.anew")
        if anew is None:
            return ""
        told, stds = self.words(f"anew {anew}"), (arm.get("model.start.box_std"), arm.get("model.start.mask_std"))
        return told if anew == "nothing" or None in stds else self.words("anew deviations", told, *map(_written, stds))

    def _scaling(self, arm: _Arm) -> str:
        batch, reference = arm.get("train.batch"), arm.get("train.reference_batch")
        if batch is None:
            return ""
        devices = max((len(one.device) for run in arm.runs for one in run.attempts), default=0) or int(
            (self.facts.info.get("device") or {}).get("count") or 1
        )
        told = self.words("batch on devices", _written(batch // devices), devices)
        if reference is None:
            return self.words("not scaled", told)
        return self.words("scaled", told, _written(reference), f"{batch / reference:.4g}")

    def _layers(self, arm: _Arm) -> str:
        factors = [arm.get(f"train.layers.{name}") for name in ("backbone", "neck", "heads")]
        if all(factor is None for factor in factors):
            return ""
        if all(factor == 1 for factor in factors):
            return self.words("no layers")
        return self.words("layers", *map(self._learnt, factors))

    def _learnt(self, value: Any) -> str:
        """A rate or its factor; of a part nothing of which learns there is none."""
        return self.words("not learnt") if value is None else _written(value)

    def _rates(self, arm: _Arm) -> str:
        rates = [arm.used.get(f"train.rates.{part}") for part in _PARTS]
        return "" if not any(rates) else self.words("rates of parts", *map(self._learnt, rates))

    def _warmup(self, arm: _Arm) -> str:
        steps, start = arm.get("train.warmup_steps"), arm.get("train.warmup_from")
        if steps is None:
            return ""
        return self.words("warm-up of", steps, _written(start)) if steps else self.words("no warm-up")

    def _drops(self, arm: _Arm) -> str:
        drops, factor = arm.get("train.drops"), arm.get("train.drop_factor")
        if drops is None:
            return ""
        return self.words("drops at", ", ".join(map(str, drops)), _written(factor)) if drops else self.words("no drops")

    def _epochs(self, arm: _Arm) -> str:
        return str(arm.stage.planned) if arm.stage and arm.stage.planned else self._told(arm, "train.epochs")

    def _optimiser(self, arm: _Arm) -> str:
        momentum, decay = arm.get("train.momentum"), arm.get("train.weight_decay")
        return "" if None in (momentum, decay) else self.words("sgd", _written(momentum), _written(decay))

    def _frozen(self, arm: _Arm) -> str:
        stages, words = arm.get("model.backbone.frozen_stages"), self.words
        if stages is None:
            return ""
        known = {
            -1: words("frozen none"),
            0: words("frozen stem"),
            1: words("frozen first"),
            _ALL_STAGES: words("frozen all"),
        }
        told = known.get(int(stages)) or words("frozen to", stages)
        return words("norm kept", told) if arm.get("model.backbone.norm_eval") else told

    def _augmentation(self, arm: _Arm) -> str:
        """As the training read it back; what was asked is no evidence."""
        first: Mapping[str, Any] = (arm.stage.line.get("first_step") if arm.stage else None) or {}
        read = first.get("augment") or {
            name.removeprefix("augment."): value for name, value in arm.used.items() if name.startswith("augment.")
        }
        if not read:
            return self.words("missing")
        return ", ".join(plain(part) for part in told_augmentation(flatten(read))) or self.words("no augmentation")

    def _operators(self, arm: _Arm) -> str:
        told = dict.fromkeys(str(run.begin["operators"]) for run in arm.runs if run.begin.get("operators"))
        return "; ".join(self.words.known(f"operators {one}") for one in told)


class _Arm:
    """What is known of one arm's settings."""

    def __init__(self, runs: list[RunFacts], config: Mapping[str, Any]) -> None:
        self.runs = runs
        stages = chain.from_iterable(reversed(run.stages) for run in runs)
        self.stage: StageFacts | None = next(iter(stages), None)
        """The last stage of its first run that has begun."""
        begins = [run.begin for run in runs if run.begin]
        lines: list[Mapping[str, Any]] = [*([self.stage.line] if self.stage else []), *begins]
        self.used = flatten(next((line["used"] for line in lines if line.get("used")), {}))
        """By dotted name, as the training says it."""
        told: Mapping[str, Any] = next((line["asked"] for line in lines if line.get("asked")), {})
        self.asked: dict[str, Any] = {**flatten(config), **flatten(told)}

    def get(self, field: str) -> Any:
        """A field as it was used, else as it was asked; None where neither is known."""
        return self.used.get(field, self.asked.get(field))


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " × ".join(map(_written, value))
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else plain(value)
