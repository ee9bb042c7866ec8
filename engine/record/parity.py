"""Tables of two frameworks that train one model: equality, the document's rows, drift of the losses, cost, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detui.engine.analysis import summarise
from detui.engine.backends.parity.sizes import CONSTANTS, PARAMETERS
from detui.engine.record.claims_at import at_epoch
from detui.engine.record.facts import TOTAL_LOSS, Measured, RunFacts
from detui.engine.record.parity_steps import (
    SECONDS,
    config_of,
    floor_of,
    judged_arms,
    pairs,
    steps_of,
    windows,
)
from detui.engine.record.parity_verdicts import (
    COMPARED,
    COSTS,
    Said,
    accuracy,
    cost,
    cost_of,
    equality,
    first_loss,
    first_steps,
    later_losses,
    ratio,
    told,
)
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, count, duration, plain, points, size

SHOWN = 8
"""Digits of a checksum that a cell shows; the whole one is in the file that the row names."""
OWN_SIZES = ("queries", "denoising", "layers", "channels", "feed_forward", "heads", "points")
"""Fields of the model that make it another than the published one."""

Value = Callable[[RunFacts], Measured | None]


class Parity:
    """Tables of the family, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    @property
    def floor(self) -> str:
        """The arm of the noise floor as code; "" where there is none."""
        return code(floor_of(self.facts) or "")

    @property
    def reference(self) -> str:
        """The first arm as code."""
        return code(self.facts.arms[0])

    def equality(self) -> Table:
        """What must be equal: a row an item, a column an arm, and whether all that have told agree."""
        words, facts = self.words, self.facts
        head = [words("item"), *map(code, facts.arms), words("verdict"), words("source")]
        used = [run.logged(one.number) for run in facts.runs for one in run.attempts if one.begin]
        mark = self.results.ledger.cite_all(used, words("said equality"))
        rows = [self._row(name, read) for name, read in self._items().items()]
        return Table(head, [[*row, mark] for row in rows if row])

    def _items(self) -> dict[str, Callable[[RunFacts], Any]]:
        def of_model(name: str) -> Callable[[RunFacts], Any]:
            return lambda run: (told(run).get("model") or {}).get(name)

        return {
            "tensor shapes": lambda run: told(run).get("tensors"),
            "tensor count": of_model("tensors"), "params": of_model("parameters"), "trained": of_model("trained"),
            "frozen parameters": self._frozen, "constants": of_model("constants"),
            "published": lambda run: self._published(run, PARAMETERS),
            "published constants": lambda run: self._published(run, CONSTANTS),
            "gflops bare": of_model("gflops"),
            "first weights": lambda run: (told(run).get("first_weights") or {}).get("held"),
            "before jitter": lambda run: (told(run).get("first_weights") or {}).get("unmoved"),
            "first batches": lambda run: " ".join(told(run).get("batches") or ()) or None,
            "data checksum": lambda run: (self.facts.data_of(run.arm) or {}).get("fingerprint"),
            "framework used here": lambda run: told(run).get("framework"),
        }  # fmt: skip

    @staticmethod
    def _frozen(run: RunFacts) -> int | None:
        model = told(run).get("model") or {}
        return model["parameters"] - model["trained"] if {"parameters", "trained"} <= model.keys() else None

    def _published(self, run: RunFacts, counts: Mapping[str, int]) -> int | None:
        """One of the counts by size, where the model is one of the published."""
        section: Mapping[str, Any] = config_of(self.facts, run.arm).get("model") or {}
        backbone: Mapping[str, Any] = section.get("backbone") or {}
        own = [section.get(name) for name in OWN_SIZES[2:]] + [backbone.get(n) for n in ("depths", "widths", "stem")]
        classes = (told(run).get("model") or {}).get("classes")
        return counts.get(str(section.get("size"))) if classes == 80 and not any(own) else None

    def _row(self, name: str, read: Callable[[RunFacts], Any]) -> list[str]:
        by_arm = {arm: {run.seed: read(run) for run in self.facts.of(arm) if told(run)} for arm in self.facts.arms}
        if name in _OURS and not any(value for of in by_arm.values() for value in of.values()):
            return []
        cells = [self._seeds(of) for of in by_arm.values()]
        return [self.words(name), *cells, self._agree(name, by_arm)]

    def _seeds(self, of: Mapping[int, Any]) -> str:
        """One value where all seeds share it, or each with its seed."""
        known = {seed: value for seed, value in of.items() if value is not None}
        if not known:
            return self.words("missing")
        if len(set(known.values())) == 1:
            return _short(next(iter(known.values())))
        return "; ".join(f"s{seed}: {_short(value)}" for seed, value in known.items())

    def _agree(self, name: str, by_arm: Mapping[str, Mapping[int, Any]]) -> str:
        """Whether arms agree seed by seed; of the noise floor's first weights that they must not is said."""
        if name == "framework used here":
            return ""
        if name in _OURS:
            counts = {(told(run).get("model") or {}).get(_OURS[name]) for run in self.facts.runs if told(run)}
            return self.words("equal" if counts == {v for of in by_arm.values() for v in of.values()} else "unequal")
        floor = floor_of(self.facts)
        apart = name == "first weights" and floor is not None
        held = {arm: of for arm, of in by_arm.items() if not (apart and arm == floor)}
        sides = [of for of in held.values() if any(value is not None for value in of.values())]
        if len(sides) < 2 or len(sides) < len(held):
            return self.words("missing")
        first = sides[0]
        same = all(of.get(seed) in (None, value) for of in sides[1:] for seed, value in first.items())
        more = f"; {self.words('moved on purpose', code(floor))}" if apart else ""
        return self.words("equal" if same else "unequal") + more

    def document(self) -> Table:
        """The document's rows for each arm beside the reference, with its claims; the first step has its own row."""
        words = self.words
        head = [words("item"), words("arm"), self.reference, words("value of arm"), words("relative difference"),
                words("n"), words("claimed"), words("source")]  # fmt: skip
        forms: Sequence[tuple[str, Value, Callable[[float], str], str, int | None]] = (
            ("training time", lambda run: run.cost.get(_TRAINING), duration, _TRAINING, None),
            ("cost compiling", self._seconds_of("compiling"), duration, "", None),
            ("cost training bare", self._seconds_of("training bare"), duration, "", None),
            ("first step loss", self._first_step, _loss, "", None),
            ("first epoch loss", lambda run: at_epoch(run, TOTAL_LOSS, 1), _loss, TOTAL_LOSS, 1),
            ("last epoch loss", lambda run: at_epoch(run, TOTAL_LOSS, run.total_epochs), _loss, TOTAL_LOSS, 50),
            ("params", lambda run: run.cost.get("model/parameters"), count, "model/parameters", None),
        )  # fmt: skip
        rows = [self._documented(arm, *form) for form in forms for arm in self.facts.arms[1:]]
        return Table(head, rows, frozenset({2, 3, 4, 5}))

    def _seconds_of(self, what: str) -> Value:
        """One of COSTS that is taken from the steps, or together with them."""

        def of(run: RunFacts) -> Measured | None:
            value = cost_of(self.facts, run, what)
            return None if value is None else Measured(value, run.logged(1))

        return of

    def _first_step(self, run: RunFacts) -> Measured | None:
        value = steps_of(self.facts, run).losses.get(1)
        return None if value is None else Measured(value, run.logged(1))

    def _documented(
        self, arm: str, name: str, value: Value, form: Callable[[float], str], metric: str, epoch: int | None
    ) -> list[str]:
        both = [(value(one), value(two)) for one, two in pairs(self.facts, arm) if one.finished and two.finished]
        known = [(one, two) for one, two in both if one is not None and two is not None]
        words, cells = self.words, [self.words("missing")] * 3
        if known:
            sides = [[pair[place].value for pair in known] for place in (0, 1)]
            # Where the reference compiles next to nothing, a ratio of the time of compiling says nothing.
            apart = [two / one - 1 for one, two in zip(*sides, strict=True) if one and name != "cost compiling"]
            digits = 5 if name == "first step loss" else 1
            cells = [*(_spread(side, form) for side in sides),
                     _spread(apart, lambda part: points(part, digits)) + " %" if apart else "–"]  # fmt: skip
        used = [one.source for pair in known for one in pair]
        claimed, mark = self._claimed(arm, metric, epoch, form), self.results.ledger.cite_all(used, words(name))
        return [
            words(name),
            code(arm),
            *cells,
            str(len(known)),
            claimed,
            mark,
        ]

    def _claimed(self, arm: str, metric: str, epoch: int | None, form: Callable[[float], str]) -> str:
        """ "422.7 against 191.4 (+120.8 %)" by the recipe's claims; "–" where it has none of this row."""
        claims = self.facts.info.get("claims") or ()
        of = {str(claim.get("arm")): float(claim["value"]) for claim in claims
              if metric and claim["metric"] == metric and claim.get("epoch") == epoch}  # fmt: skip
        first = self.facts.arms[0]
        if arm not in of or first not in of:
            return "–"
        stated = [form(of[one]) if metric == "model/parameters" else f"{of[one]:g}" for one in (arm, first)]
        unit = " s" if metric == "cost/training_seconds" else ""
        stated = [f"{one}{unit}" for one in stated]
        text = self.words("claimed against", *stated, points(of[arm] / of[first] - 1))
        lengths = {run.total_epochs for run in self.facts.of(arm)}
        if epoch is None or epoch <= 1 or lengths == {epoch}:
            return text
        return f"{text}; {self.words('claimed at', epoch, ', '.join(map(str, sorted(lengths))))}"

    def drift(self) -> Table:
        """Relative difference of the losses, window of steps by window: each arm against the reference."""
        words = self.words
        head = [words("steps"), words("arm"), words("typical drift"), words("largest drift"), words("signed drift"),
                words("times floor"), words("n"), words("source")]  # fmt: skip
        floor, rows = floor_of(self.facts), []
        of_floor = windows(self.facts, floor) if floor else {}
        by_arm = {arm: windows(self.facts, arm) for arm in self.facts.arms[1:]}
        every = sorted({window for of in by_arm.values() for window in of}, key=lambda window: window[0])
        for window in every:
            for arm, of in by_arm.items():
                if window in of:
                    found, beside = of[window], of_floor.get(window)
                    times = (
                        f"{found.typical / beside.typical:.2g}" if beside and beside.typical and arm != floor else "–"
                    )
                    rows.append([_window(window), code(arm), f"{found.typical:.1e}", f"{found.largest:.1e}",
                                 f"{found.signed:+.1e}", times, str(found.seeds), self._steps_mark(arm)])  # fmt: skip
        return Table(head, rows, frozenset(range(2, 7)))

    def _steps_mark(self, arm: str) -> str:
        runs = [*self.facts.of(self.facts.arms[0]), *self.facts.of(arm)]
        used = [run.logged(one.number) for run in runs for one in run.attempts if one.begin]
        return self.results.ledger.cite_all(used, self.words("said drift"))

    def costs(self) -> Table:
        """Times and memory of each arm, and the ratio to the reference; means over the finished runs that have one."""
        words = self.words
        head = [words("arm"), *(words(f"cost {name}") for name in COSTS), *(words(name) for name in SECONDS),
                words("gpu memory"), words("source")]  # fmt: skip
        return Table(head, [self._cost(arm) for arm in self.facts.arms], frozenset(range(1, len(head) - 1)))

    def _cost(self, arm: str) -> list[str]:
        cells = []
        for name in COSTS:
            values = [cost for run in self.facts.of(arm) if (cost := cost_of(self.facts, run, name)) is not None]
            form = _FORMS.get(name, _milliseconds)
            factor = ratio(self.facts, arm, name) if arm != self.facts.arms[0] and name in COMPARED else None
            beside = f" (× {factor[0]:.2f})" if factor else ""
            cells.append(_spread(values, form) + beside if values else self.words("missing"))
        splits = [steps_of(self.facts, run).split() for run in self.facts.finished(arm)]
        for part in SECONDS:
            values = [split[part] for split in splits if part in split]
            cells.append(_spread(values, _milliseconds) if values else self.words("missing"))
        gpu = [run.cost["cost/gpu_memory"].value for run in self.facts.finished(arm) if "cost/gpu_memory" in run.cost]
        used = [run.logged(one.number) for run in self.facts.finished(arm) for one in run.attempts if one.begin]
        used += [one.source for run in self.facts.finished(arm) for name, one in run.cost.items() if name in _COSTED]
        mark = self.results.ledger.cite_all(used, self.words("said cost here"))
        return [code(arm), *cells, _spread(gpu, size) if gpu else "–", mark]

    def verdicts(self) -> Table:
        """Question by question, for each arm that is neither reference nor noise floor."""
        words, metric = self.words, self.results.rule_metric
        head = [words("question asked"), words("arm"), words("verdict")]
        rows = []
        for arm in judged_arms(self.facts):
            asked = [("ask equal", equality(self.facts, arm)), ("ask accuracy", accuracy(self.facts, arm, metric)),
                     ("ask first", first_loss(self.facts, arm)), ("ask later", later_losses(self.facts, arm)),
                     *((f"ask {name}", cost(self.facts, arm, name)) for name in COMPARED)]  # fmt: skip
            rows += [[words(name), code(arm), self.said(verdict)] for name, verdict in asked]
        return Table(head, rows)

    def said(self, verdict: Said) -> str:
        """A verdict in words."""
        words, values = self.words, verdict.values
        if verdict.key in ("model differs", "cannot be told of"):
            return words(verdict.key, ", ".join(words(name) for name in values[0]))
        if verdict.key == "cannot be told speed":
            return words(verdict.key, ", ".join(code(f"detui speed {name}") for name in values[0]))
        if verdict.key == "cannot be told width":
            seen, low, high, half, allowed = values
            return words(verdict.key, *(points(one).lstrip("+") for one in (seen, half, allowed)),
                         points(low), points(high))  # fmt: skip
        if verdict.key.startswith("accuracy"):
            delta, low, high, spread = values
            floor = words("missing") if spread is None else points(spread).lstrip("+")
            return words(verdict.key, points(delta), points(low), points(high), floor)
        if verdict.key.startswith("first step"):
            return words(verdict.key, f"{values[0]:.1e}", values[1])
        if verdict.key.startswith("losses"):
            window, factor, ours, floor_, seeds = values
            return words(verdict.key, _window(window), f"{factor:.2g}", f"{ours:.1e}", f"{floor_:.1e}", seeds)
        if verdict.key in _RATIOS:
            return words(verdict.key, f"{values[0]:.2f}", values[1])
        return words(verdict.key, *map(plain, values))

    def first_steps(self) -> dict[str, dict[int, float]]:
        """Arm → seed → the relative difference of the first losses."""
        return {arm: first_steps(self.facts, arm) for arm in self.facts.arms[1:]}


_RATIOS = ("slower", "faster", "as fast", "more memory", "less memory", "same memory")
_TRAINING = "cost/training_seconds"
_FORMS: Mapping[str, Callable[[float], str]] = {
    "training": duration, "compiling": duration, "training bare": duration, "memory": size}  # fmt: skip
_OURS = {"published": "parameters", "published constants": "constants"}
"""A row of published counts → what it is held against of a model that was built."""
_COSTED = (_TRAINING, "model/latency", "cost/host_memory", "cost/gpu_memory")


def _window(window: tuple[int, int | None]) -> str:
    first, last = window
    return f"{first}" if first == last else f"{first:,}–{last:,}" if last else f"{first:,}–"


def _short(value: Any) -> str:
    """A count with its thousands, checksums cut short."""
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    hexes = [part.removeprefix("sha256:") for part in text.split()]
    checked = all(len(part) >= SHOWN and all(sign in "0123456789abcdef" for sign in part) for part in hexes)
    return " ".join(code(part[:SHOWN]) for part in hexes) if checked and hexes else plain(text)


def _loss(value: float) -> str:
    return f"{value:.4f}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """ "12 s ± 1 s" of several, a single one as it is."""
    found = summarise(values)
    return form(found.mean) + (f" ± {form(found.std).lstrip('+')}" if found.std is not None else "")
