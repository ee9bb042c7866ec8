"""What a label means: which metric, class, size, epoch, seed and arm, or whose it is to fill."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from detui.engine.record.foreign import vocabulary as v

_PARENTHESES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_PERCENT = re.compile(r"[(\[/ ]\s*%\s*[)\]]?|in percent|percentage|百分比")


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What one label, or several together, say of a value."""

    quantities: frozenset[str] = frozenset()
    """Names of what is asked for: metrics of ours ("val/AP50"), or "fact/…" for what is no metric."""
    size: str | None = None
    """"small", "medium" or "large"."""
    klass: str | None = None
    """A class of the data."""
    everything: bool = False
    """Means all classes or sizes together."""
    epoch: int | None = None
    seed: int | None = None
    arms: frozenset[str] = frozenset()
    """Arms of the experiment that are named; more than one is no answer."""
    roles: frozenset[str] = frozenset()
    """"change", "goal", "verdict", "remark", "person", "claim", "test", "figure", "val loss"."""
    best: bool = False
    final: bool = False
    percent: bool = False
    """Whether the label says that its numbers are percentages."""
    residue: str = ""
    """What of the label is not understood."""
    odd: str = ""
    """The label that the residue is of."""
    bare: bool = False
    """Whether it says AP without the overlap that a detection needs: AP50, or the mean over 0.50 to 0.95."""
    text: str = ""
    """The label, without emphasis."""

    def __or__(self, other: Meaning) -> Meaning:
        """Both labels' words; the other's where one value only can be."""
        return Meaning(
            quantities=self.quantities | other.quantities,
            size=other.size or self.size,
            klass=other.klass or self.klass,
            everything=self.everything or other.everything,
            epoch=self.epoch if other.epoch is None else other.epoch,
            seed=self.seed if other.seed is None else other.seed,
            arms=self.arms | other.arms,
            roles=self.roles | other.roles,
            best=self.best or other.best,
            final=self.final or other.final,
            percent=self.percent or other.percent,
            residue=" ".join(filter(None, (self.residue, other.residue))),
            odd=self.odd or other.odd,
            bare=self.bare or other.bare,
            text=" × ".join(filter(None, (self.text, other.text))),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What the labels of a document may name: classes and arms of the experiment, and what a person said of labels."""

    classes: Sequence[str]
    arms: dict[str, Sequence[str]]
    """Arm → how it may be called: its name and titles."""
    reference: str | None = None
    """The arm that "Baseline" and its like mean."""
    mapped: dict[str, str] = field(default_factory=dict)
    """Label (as `key` makes it) → a metric, or an arm."""


def shown(label: str) -> str:
    """A label as a person reads it: without emphasis, code marks, escapes."""
    plain = re.sub(r"\\([\\`*_{}\[\]()#+.!|~<>-])", r"\1", re.sub(r"\*+|`+|~~|^__|__$", "", label))
    return " ".join(plain.strip(" \t\ufeff").split())


def key(label: str) -> str:
    """A label for comparing: lower case, ASCII signs, without emphasis and emoji."""
    text = unicodedata.normalize("NFKC", shown(label).replace("Δ", "δ")).lower()
    kept = (" " if unicodedata.category(sign) in ("So", "Sk", "Cf", "Cn", "Mn") else sign for sign in text)
    return " ".join("".join(kept).split())


def key_of(header: str) -> str | None:
    """What the labels below a header name: "class", "arm", "epoch", "seed", "size", "data", "metric" or None."""
    text = _PARENTHESES.sub("", key(header)).strip()
    return next((kind for pattern, kind in v.KEYS if pattern.fullmatch(text)), None)


def understand(label: str, names: Names) -> Meaning:
    """Take a label apart. What nobody knows stays in `residue`; a person's word about the label goes first."""
    text = key(label)
    said = names.mapped.get(text)
    if said is not None:
        return _said(said, _Eater(text, names).meaning(), shown(label), names)
    bare = _PARENTHESES.sub("", text).strip()
    klass = next((name for name in names.classes if key(name) in (text, bare)), None)
    if klass is not None and bare not in v.ONE_LETTER and not any(p.fullmatch(bare) for p, _ in v.SIZES):
        return Meaning(klass=klass, text=shown(label))
    found = _Eater(text, names).meaning()
    return replace(found, text=shown(label), odd=shown(label) if found.residue else "")


def _statement(text: str) -> str | None:
    """The statement that a whole label asks for: "fact/trend", or with the percentage that it names "fact/goal/42"."""
    for pattern, name in v.STATEMENTS:
        if match := pattern.fullmatch(text):
            number = next((group for group in match.groups() if group), None) if pattern.groups else None
            return f"{name}/{number}" if number else name
    return None


def titled(title: str, names: Names) -> str | None:
    """The one arm besides the reference that a document's title names, as in "Loss 权重改进实验记录"."""
    rest, found = key(title), set()
    calls = [(key(call), arm) for arm, known in names.arms.items() for call in known if key(call)]
    for call, arm in sorted(calls, key=lambda pair: -len(pair[0])):
        rest, count = re.subn(rf"(?<![\w-]){re.escape(call)}(?![a-z0-9_-])(?=$|\W|{v.OF_RECORDS})", " ", rest)
        if count and arm != names.reference:
            found.add(arm)
    return next(iter(found)) if len(found) == 1 else None


def _said(said: str, found: Meaning, text: str, names: Names) -> Meaning:
    """A label of which a person said what it means; that it is a change, or of an epoch, its own words say."""
    roles = found.roles & {"change", "verdict"}
    if said in names.arms:
        return replace(found, arms=frozenset({said}), roles=roles, residue="", text=text)
    return replace(found, quantities=frozenset({said}), size=None, roles=roles, residue="", bare=False, text=text)


class _Eater:
    """Matches the vocabulary against a label, piece by piece."""

    def __init__(self, text: str, names: Names) -> None:
        self.text, self.rest, self.names = text, v.OUT_OF.sub(" ", text), names
        self.quantities: set[str] = set()
        self.roles: set[str] = set()
        self.size: str | None = None
        self.bare = False

    def meaning(self) -> Meaning:
        """Everything that the label says."""
        if statement := _statement(self.text):
            return Meaning(quantities=frozenset({statement}))
        if v.FAILURES.fullmatch(self.text):
            return Meaning(roles=frozenset({"figure"}))
        percent = bool(_PERCENT.search(self.rest))
        best = bool(v.BEST.search(self.rest))
        final = bool(v.FINAL.search(self.rest))
        if self._eat(v.AGAINST):
            self.roles.add("change")
        arms = self._arms()
        self._eat(v.UNIT)
        for role, pattern in (("test", v.TEST), ("verdict", v.VERDICT), ("person", v.PERSON), ("remark", v.REMARK),
                              ("claim", v.CLAIM), ("val loss", v.VAL_LOSS), ("change", v.CHANGE),
                              ("figure", v.FIGURE)):  # fmt: skip
            if self._eat(pattern):
                self.roles.add(role)
        arms |= self._reference() if not arms else set()
        self._quantities()
        epoch, seed = self._number(v.EPOCH), self._number(v.SEED)
        self._measures()
        if self._eat(v.GOAL):
            self.roles.add("goal")
        everything = bool(v.EVERYTHING.fullmatch(self.text))
        self._eat(v.FILLERS)
        residue = " ".join(re.findall(r"[^\W_]+", self.rest))
        if not self.quantities and self.text in v.ONE_LETTER:
            self.size, residue = v.ONE_LETTER[self.text], ""
        return Meaning(
            quantities=frozenset(self.quantities), size=self.size, everything=everything, epoch=epoch, seed=seed,
            arms=frozenset(arms), roles=frozenset(self.roles), best=best, final=final, percent=percent, residue=residue,
            bare=self.bare and self.size is None,
        )  # fmt: skip

    def _eat(self, pattern: re.Pattern[str]) -> bool:
        self.rest, count = pattern.subn(" ", self.rest)
        return count > 0

    def _arms(self) -> set[str]:
        """The arms that are named, the longest name first, so that "no-mosaic" is not "mosaic" too."""
        calls = [(key(call), arm) for arm, known in self.names.arms.items() for call in known if key(call)]
        found = set()
        for call, arm in sorted(calls, key=lambda pair: -len(pair[0])):
            if self._eat(re.compile(rf"(?<![\w-]){re.escape(call)}(?![\w-])")):
                reference = self.names.reference if v.REFERENCE.fullmatch(call) else None
                found.add(reference or arm)
        return found

    def _reference(self) -> set[str]:
        if not self._eat(v.REFERENCE):
            return set()
        return {self.names.reference or ""}

    def _number(self, pattern: re.Pattern[str]) -> int | None:
        match = pattern.search(self.rest)
        if match is None:
            return None
        self._eat(pattern)
        return int(next(group for group in match.groups() if group is not None))

    def _quantities(self) -> None:
        """What must be told before "epoch 50", "small" and "target" are taken for something else."""
        for pattern, name in ((v.ESTIMATED, "fact/estimated_end"), (v.BEST_EPOCH, "fact/best_epoch")):
            if self._eat(pattern):
                self.quantities.add(name)

    def _measures(self) -> None:
        for pattern in (v.AP, v.AR):
            while match := pattern.search(self.rest):
                self.rest = self.rest[: match.start()] + " " + self.rest[match.end() :]
                self.quantities.add(self._precision(match) if pattern is v.AP else self._recall(match))
        for pattern, size in v.SIZES:
            if self._eat(pattern):
                self.size = size if self.size in (None, size) else "?"
        for pattern, term in v.CHINESE_LOSS:
            if self._eat(pattern):
                self.quantities.add(f"train/loss_{term}")
        for pattern in v.LOSS:
            while match := pattern.search(self.rest):
                self.rest = self.rest[: match.start()] + " " + self.rest[match.end() :]
                self.quantities.add(f"train/loss_{match['term']}")
        for pattern, name in (*v.QUANTITIES, *(((v.MODEL, "fact/model"),) if v.MODEL.fullmatch(self.text) else ())):
            if self._eat(pattern):
                self.quantities.add(name)

    def _precision(self, match: re.Match[str]) -> str:
        self._sized((match["size"] or match["late"] or "").lstrip("_"))
        iou = (match["iou"] or "").replace(" ", "")
        self.bare = self.bare or not iou
        if not iou or iou.endswith("95"):
            return "val/AP"
        digits = (iou.split(".")[-1] if "." in iou else iou).ljust(2, "0")
        return f"val/AP{digits}"

    def _recall(self, match: re.Match[str]) -> str:
        self._sized(match["size"] or "")
        return "val/AR" if self.size else f"val/AR{match['top'] or 100}"

    def _sized(self, size: str) -> None:
        if size:
            self.size = v.ONE_LETTER.get(size, size)
