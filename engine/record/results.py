"""The tables of what was measured: per arm and seed, differences, classes, milestones, goals, claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detui.engine.analysis import Comparison, Verdict, compare, summarise
from detui.engine.analysis.choice import rule_metric
from detui.engine.evaluate.tables import in_percent, is_setting, unit_of
from detui.engine.record import words_aqr, words_finetune
from detui.engine.record.claims_at import beside
from detui.engine.record.facts import (
    BUILT,
    SECONDS_TO_90,
    SPEED,
    TOTAL_LOSS,
    ExperimentFacts,
    Measured,
    RunFacts,
    Source,
)
from detui.engine.record.goal_rows import GoalRows
from detui.engine.record.sources import Ledger
from detui.engine.record.text import Table, code, count, duration, percent, plain, points, size, stated
from detui.engine.record.words import Words

MAIN = ("val/AP", "val/AP50", "val/AP75", "val/AP_small", "val/AP_medium", "val/AP_large")
MASK_MAIN = tuple(name.replace("val/", "val/mask_") for name in MAIN)
"""The same of masks."""
OF_FRAMES = ("val/mAP", "val/NDS")
"""The main metrics of data that is judged in the manner of nuScenes."""
BY_CLASS = ("val/AP", "val/AP50", "val/AP_small", "val/AP_medium", "val/AP_large")

OFFICIAL = ("val/official_AP", "val/official_AP50", "val/official_AP75")
"""What the toolkit of VisDrone's authors computes, beside AP as COCO has it; only of data that are judged so."""
FRAMEWORKS = ("mmdet3d", "mmdet", "ultralytics")
"""Whose own numbers are labelled with their name."""
NAMED = {"model/parameters": "params", "model/gflops": "gflops bare", "model/gmacs": "gmacs bare", "model/fps": "fps",
         "cost/gpu_memory": "gpu memory", "cost/host_memory": "host memory",
         "cost/training_seconds": "training time"}  # fmt: skip
"""Metrics that go by a word instead of their name."""


def label(metric: str, language: str = "en") -> str:
    """ "val/AP_small/RBC" → "AP small, RBC", "train/loss_cls" → "loss cls", "mmdet3d/NDS" → "NDS (mmdet3d)".

    Statistics of AQR, metrics of masks and some losses have words in either `language`; a field is a code span.
    """
    if (told := words_aqr.label(metric, language)) is not None:
        return told
    if is_setting(metric):
        return code(metric)
    if (framework := metric.split("/", 1)[0]) in FRAMEWORKS:
        return f"{plain(metric.removeprefix(f'{framework}/'))} ({framework})"
    name, _, group = metric.removeprefix("val/").removeprefix("train/").removeprefix("convergence/").partition("/")
    words = words_finetune.label(metric, language) or plain(name.replace("_", " "))
    return f"{words}, {plain(group)}" if group else words


def seed_of(run: RunFacts, words: Words) -> str:
    """A run's seed; with the mark of a run that did not get to its end: "0 (unfinished: 25/100)"."""
    return str(run.seed) if run.finished else f"{run.seed} ({words('unfinished at', run.epoch, run.total_epochs)})"


def references(facts: ExperimentFacts, words: Words) -> str:
    """What the arms are set against: "`baseline`", or "of the same data (`l-crowded`, `l-simple`)"."""
    names = ", ".join(map(code, facts.references))
    return names if len(facts.references) == 1 else words("references", names)


class Results:
    """Tables of results in one language; what they print is noted in the ledger."""

    def __init__(self, facts: ExperimentFacts, words: Words, ledger: Ledger) -> None:
        self.facts, self.words, self.ledger = facts, words, ledger

    def label(self, metric: str) -> str:
        """As the function of that name, in the record's language; AP is "box AP" where masks are judged, too."""
        text = label(metric, self.words.language)
        return self.words("of boxes", text) if metric.startswith("val/AP") and self.masks else text

    @property
    def rule_metric(self) -> str:
        """The metric of the checkpoint rule; mAP of frames, which have no AP."""
        named = rule_metric(self.facts.info["checkpoint_rule"])
        return self.main[0] if named == "val/AP" else named

    @property
    def masks(self) -> bool:
        """Whether any evaluation has judged masks."""
        return any(MASK_MAIN[0] in line["values"] for run in self.facts.runs for line in run.evaluations)

    @property
    def main(self) -> tuple[str, ...]:
        """The main metrics, by what the data is judged by."""
        return OF_FRAMES if self.facts.frames else MAIN

    @property
    def judged(self) -> tuple[str, ...]:
        """The main metrics, and those of masks where masks are judged."""
        return (*self.main, *MASK_MAIN) if self.masks else self.main

    def per_seed(self, metrics: Sequence[str] | None = None) -> Table:
        """Metrics in percent of each run's chosen checkpoint, then mean ± std of each arm; the main ones by default."""
        words, metrics = self.words, metrics or self.main
        head = [words("arm"), words("seed"), *(f"{self.label(name)} (%)" for name in metrics), words("chosen epoch"),
                words("source")]  # fmt: skip
        rows: list[list[str]] = []
        for arm in self.facts.arms:
            rows += [self._seed_row(run, metrics) for run in self.facts.of(arm)]
            rows.append(self._mean_row(arm, metrics))
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def has(self, metrics: Sequence[str]) -> bool:
        """Whether any chosen checkpoint has one of these metrics."""
        return any(run.value(name) for run in self.facts.runs for name in metrics)

    def _seed_row(self, run: RunFacts, metrics: Sequence[str]) -> list[str]:
        cells = [self.cell(run.value(name), percent, chosen=run.chosen) for name in metrics]
        epoch = str(run.chosen["epoch"]) if run.chosen else self.words("missing")
        seed = seed_of(run, self.words)
        mark = self.ledger.cite(run.source(run.chosen), self.words("said chosen")) if run.chosen else ""
        return [code(run.arm), seed, *cells, epoch, mark]

    def _mean_row(self, arm: str, metrics: Sequence[str]) -> list[str]:
        seeds = max((len(self.facts.points(arm, name)) for name in metrics), default=0)
        title = self.words("mean ± std" if seeds > 1 else "mean", seeds) + self.seeds_finished(arm)
        cells = [self.spread(self.facts.values(arm, name), seeds) for name in metrics]
        used = [point.source for name in metrics for point in self.facts.points(arm, name).values()]
        return [f"**{code(arm)}**", f"**{title}**", *cells, "", self.ledger.cite_all(used, self.words("said chosen"))]

    def seeds_finished(self, arm: str) -> str:
        """ "; 2 of 3 seeds finished", where some are not."""
        planned, unfinished = len(self.facts.planned(arm)), len(self.facts.unfinished(arm))
        return "; " + self.words("seeds finished", planned - unfinished, planned) if unfinished else ""

    def references(self) -> str:
        """As the function of that name."""
        return references(self.facts, self.words)

    def verdict(self, found: Comparison | Verdict) -> str:
        """A verdict and why: "inconclusive (runs unfinished: baseline-s0)"."""
        reason = self.words(found.reason, ", ".join(map(code, found.unfinished))) if found.reason else ""
        return self.words(found.verdict if isinstance(found, Comparison) else found.word) + (
            f" ({reason})" if reason else ""
        )

    def spread(self, values: Mapping[int, float], expected: int | None = None) -> str:
        """ "42.4 ± 1.3" in percent, with its own n where that is not the row's; a placeholder without values."""
        if not values:
            return self._absent(bool(expected))
        summary = summarise(list(values.values()))
        text = percent(summary.mean) + (f" ± {percent(summary.std)}" if summary.std is not None else "")
        return f"**{text}**" if expected in (None, summary.n) else f"**{text}** (n = {summary.n})"

    def cell(self, value: Measured | None, form: Callable[[float], str], *, chosen: object = None) -> str:
        """A number; "n/a" where the evaluation has none for want of ground truth; a placeholder before it."""
        return form(value.value) if value else self._absent(bool(chosen))

    def evaluated(self, *arms: str) -> bool:
        """Whether each of these arms has a finished run whose checkpoint was evaluated."""
        return all(any(run.chosen for run in self.facts.finished(arm)) for arm in arms)

    def absent(self, metric: str, *arms: str) -> str:
        """What stands for a metric without a value: n/a where the evaluations have none for want of ground truth."""
        told = (run.chosen["values"] for arm in arms for run in self.facts.finished(arm) if run.chosen)
        return self._absent(self.evaluated(*arms) and all(metric in values for values in told))

    def _absent(self, evaluated: bool) -> str:
        return self.words("not available" if evaluated else "missing")

    @property
    def counted(self) -> bool:
        """Whether torch's counter counted `model/gflops`, by its convention in `begin`, and not the framework."""
        return any((run.begin.get("model") or {}).get("flops_convention") for run in self.facts.runs)

    def gflops(self) -> str:
        """The label of `model/gflops`: whose count it is."""
        if self.counted:
            return self.words("gflops counted")
        return self.words("gflops", plain(self.facts.info.get("backend") or "framework"))

    def _gmacs(self) -> str:
        """The label of `model/gmacs`: torch's counter counts it, and where torch need not be, the backend by itself."""
        return self.words("gmacs own", "parity") if self.facts.info.get("backend") == "parity" else self.words("gmacs")

    def cost(self) -> Table:
        """Parameters, GFLOPs, time and memory of each run."""
        words = self.words
        forms: Sequence[tuple[str, str, Callable[[float], str]]] = (
            ("model/parameters", words("params"), count),
            (
                "model/gflops",
                self.gflops(),
                lambda value: f"{value:.2f}",
            ),
            ("model/gmacs", self._gmacs(), lambda value: f"{value:.2f}"),
            ("model/latency", words("latency"), lambda value: f"{1000 * value:.3g} ms"),
            ("model/fps", words("fps"), lambda value: f"{value:.4g}"),
            ("model/memory", words("inference memory"), size),
            ("cost/training_seconds", words("training time"), duration),
            ("cost/gpu_memory", words("gpu memory"), size),
            ("cost/host_memory", words("host memory"), size),
        )
        optional = ("cost/gpu_memory", "model/gflops", *SPEED)
        told = {name for run in self.facts.runs for name in run.cost}
        forms = [form for form in forms if form[0] in told or form[0] not in optional]
        settings = [words("speed measured")] if "model/fps" in told else []
        head = [words("arm"), words("seed"), *(title for _, title, _ in forms), *settings, words("source")]
        rows = []
        timed = [name for name, _, _ in forms].index("cost/training_seconds")
        for arm in self.facts.arms:
            runs = self.facts.of(arm)
            for run in runs:
                # Seeds change the weights, not the work: one of them is measured, and the others wait for nothing.
                spared = run.speed is None and any(other.speed for other in runs)
                cells = ["–" if spared and name in SPEED else self.cell(run.cost.get(name), form)
                         for name, _, form in forms]  # fmt: skip
                cited = {
                    self.ledger.cite(run.cost[name].source, title): 1 for name, title, _ in forms if name in run.cost
                }
                if run.timed and "cost/training_seconds" not in run.cost:
                    spent, epochs, of = run.timed
                    cells[timed] = words("of epochs", duration(spent.value), epochs, of)
                    cited[self.ledger.cite(spent.source, words("training time"))] = 1
                how = [words("speed of another") if spared else self.speed_setting(run)] if settings else []
                rows.append([code(arm), seed_of(run, words), *cells, *how, ", ".join(cited)])
        return Table(head, rows, frozenset(range(1, len(head) - 1 - len(settings))))

    def speed_setting(self, run: RunFacts) -> str:
        """On what and how the speed was measured: numbers under other settings do not compare."""
        speed, words = run.speed, self.words
        if speed is None:
            return words("missing")
        size, fused = "×".join(map(str, speed["input"])), words("fused" if speed["fused"] else "not fused")
        device, kind = plain(speed["device"]["name"]), plain(words.known(speed["postprocess"]["kind"]))
        return words("speed with", device, speed["threads"], size, speed["batch"], speed["precision"], fused, kind)

    def differences(self, metrics: Sequence[str] | None = None) -> Table:
        """Each further arm against the first on the same data, with Welch's interval and a verdict."""
        words, metrics = self.words, metrics or self.main
        head = [words("arm"), words("metric"), f"{words('delta')} (pp)", words("interval"), words("p"), words("n"),
                words("paired"), words("verdict")]  # fmt: skip
        told = [(arm, metric) for arm in self.facts.compared for metric in metrics if self._comparable(arm, metric)]
        rows = [self._difference(arm, metric) for arm, metric in told]
        origins = [self._origins(metric, self.facts.reference(arm), arm) for arm, metric in told]
        return Table(head, rows, frozenset({2, 4}), origins)

    def _origins(self, metric: str, *arms: str) -> list[Source]:
        """Where the values of a metric stand that a mean over these arms' seeds rests on."""
        return [point.source for arm in arms for point in self.facts.points(arm, metric).values()]

    def _comparable(self, arm: str, metric: str) -> bool:
        """A metric with no ground truth for anybody needs no row; one that is not measured yet keeps it."""
        against = self.facts.reference(arm)
        measured = self.facts.values(arm, metric) and self.facts.values(against, metric)
        return bool(measured) or not self.evaluated(arm, against)

    def _difference(self, arm: str, metric: str) -> list[str]:
        against = self.facts.reference(arm)
        reference, values = self.facts.values(against, metric), self.facts.values(arm, metric)
        unfinished = self.facts.unfinished(against, arm)
        if not reference or not values:
            missing = verdict = self.words("missing")
            if unfinished and self.facts.begun:
                names = ", ".join(map(code, unfinished))
                verdict = f"{self.words('inconclusive')} ({self.words('runs unfinished', names)})"
            return [code(arm), self.label(metric), missing, missing, missing, "", "", verdict]
        found = compare(reference, values, unfinished)
        interval = f"[{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else "–"
        paired = ", ".join(f"s{seed}: {points(delta)}" for seed, delta in found.paired.items())
        p = "–" if found.p is None else f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001"
        return [
            code(arm),
            self.label(metric),
            points(found.delta),
            interval,
            p,
            " / ".join(map(str, found.n)),
            paired,
            self.verdict(found),
        ]

    def per_class(self) -> Table:
        """Per class and per class × size: mean over seeds for each arm."""
        words = self.words
        head = [words("class"), words("arm"), *(f"{self.label(name)} (%)" for name in BY_CLASS), words("source")]
        rows = [self._class_row(name, arm) for name in self.facts.classes for arm in self.facts.arms
                if name in self.facts.classes_of(arm)]  # fmt: skip
        return Table(head, rows, frozenset(range(2, len(head) - 1)))

    def _class_row(self, name: str, arm: str) -> list[str]:
        metrics = [f"{metric}/{name}" for metric in BY_CLASS]
        evaluated = sum(run.chosen is not None for run in self.facts.finished(arm))
        cells = [self.spread(self.facts.values(arm, metric), evaluated).replace("**", "") for metric in metrics]
        used = [point.source for metric in metrics for point in self.facts.points(arm, metric).values()]
        return [plain(name), code(arm), *cells, self.ledger.cite_all(used, self.words("said class"))]

    def goals(self) -> Table:
        """As GoalRows has it."""
        return GoalRows(self).table()

    def goal(self, goal: Mapping[str, Any]) -> str:
        """A goal in words: its title, then "AP50 ≥ 42.0 %"."""
        return GoalRows(self).text(goal)

    def verdict_of(self, goal: Mapping[str, Any]) -> str:
        """The verdict on a goal in words."""
        return GoalRows(self).verdict(goal)

    def evidence(self, goal: Mapping[str, Any]) -> tuple[str, str]:
        """Of a goal about a statistic, a field or an iteration: each seed's number, and the marks; else twice ""."""
        return GoalRows(self).evidence(goal)

    def metric(self, metric: str) -> str:
        """A metric in words: "AP small", "parameters"."""
        if metric in NAMED:
            return self.words(NAMED[metric])
        name = self.label(metric)
        if is_setting(metric):
            return self.words("used setting", name)
        if metric == TOTAL_LOSS and any(run.sums_loss for run in self.facts.runs):
            return self.words("sum of terms", name)
        return self.words("loss") if metric == TOTAL_LOSS else name

    def written(self, metric: str) -> Callable[[float], str]:
        """How a metric's values are written with their unit: "42.4 %", "0.3373 m"."""
        form, unit = self.form(metric), self.unit(metric)
        return lambda value: f"{form(value)}{unit}"

    def _heading_unit(self, metric: str) -> str:
        """ " (m)", for a row whose cells are bare numbers."""
        unit = unit_of(metric)
        return f" ({self.words.known(unit)})" if unit else ""

    def unit(self, metric: str) -> str:
        """Behind a number: " %", " m", " (1 − IoU)", or nothing."""
        unit = unit_of(metric)
        if unit in ("", "%"):
            return unit and " %"
        return f" ({self.words(unit)})" if " " in unit else f" {self.words(unit)}"

    @staticmethod
    def form(metric: str) -> Callable[[float], str]:
        """How a metric's values are written."""
        if in_percent(metric):
            return percent
        if metric.startswith("val/"):
            return lambda value: f"{value:.4f}"
        if metric in BUILT and metric != "model/gflops":
            return count
        forms: dict[str, Callable[[float], str]] = {"cost/training_seconds": duration, "cost/gpu_memory": size,
                                                    SECONDS_TO_90: duration}  # fmt: skip
        return forms.get(metric, lambda value: f"{value:.4g}")

    @staticmethod
    def stated(metric: str) -> Callable[[float], str]:
        """How what somebody claims of a metric is written: what stands in a document is not rounded."""
        if in_percent(metric):
            return stated
        if metric == "cost/training_seconds":
            return lambda value: f"{value:.10g} s"
        return (lambda value: f"{value:.10g}") if metric.startswith("train/") else Results.form(metric)

    def claims(self) -> Table:
        """Claimed numbers in a column of that name, with their source, beside what was measured here.

        What is claimed at an epoch stands beside the same epoch of the runs, and at an iteration beside that.
        """
        words, claims = self.words, self.facts.info.get("claims") or ()
        moments = [key for key in ("epoch", "iteration") if any(claim.get(key) is not None for claim in claims)]
        notes = any(claim.get("note") for claim in claims)
        head = [words("metric"), words("arm"), *map(words, moments), words("claimed"),
                words("claim source"), *([words("note")] if notes else []), words("measured"),
                words("source")]  # fmt: skip
        rows = []
        for claim in claims:
            metric, form = str(claim["metric"]), self.stated(str(claim["metric"]))
            unit = " %" if metric.startswith("val/") and in_percent(metric) else self._heading_unit(metric)
            measured, mark = self.beside(claim, words("said claimed"))
            final = claim.get("epoch") is None and claim.get("iteration") is None
            of_training = metric.startswith(("cost/", "model/"))  # of no checkpoint
            at = [words("of chosen") if final and not of_training else str(claim.get(key) or "–") for key in moments]
            noted = [plain(words.pick(claim.get("note"))) or "–"] if notes else []
            rows.append([f"{self.metric(metric)}{unit}", code(claim.get("arm") or "–"), *at, form(claim["value"]),
                         plain(claim.get("source") or words("unknown")), *noted, measured, mark])  # fmt: skip
        return Table(head, rows)

    def beside(self, claim: Mapping[str, Any], said: str) -> tuple[str, str]:
        """What was measured where a claim is: mean ± std of the finished seeds, or why not, and the marks of it."""
        found, form = beside(self.facts, claim, self.words), self.form(str(claim["metric"]))
        if not found.points:
            return found.reason, ""
        summary = summarise([point.value for point in found.points.values()])
        spread = f" ± {form(summary.std)}" if summary.std is not None else ""
        text = f"{form(summary.mean)}{spread} (n = {summary.n}{self.seeds_finished(str(claim['arm']))})"
        return text, self.ledger.cite_all((point.source for point in found.points.values()), said)
