"""Facts to Markdown, through the recipe's template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

from detui.engine.analysis import compare, judge_goal
from detui.engine.errors import MissingError, RecipeError
from detui.engine.evaluate.coco import MAX_DETECTIONS
from detui.engine.record import text
from detui.engine.record.aqr import AqrTables
from detui.engine.record.aqr_findings import AqrFindings
from detui.engine.record.aqr_settings import AqrSettings
from detui.engine.record.baseline import Baseline
from detui.engine.record.best_of import BestOf
from detui.engine.record.blocks import wrap
from detui.engine.record.by_class import ByClass
from detui.engine.record.components import Components
from detui.engine.record.convergence import ConvergenceTable
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.final import Final
from detui.engine.record.finetune import Finetune
from detui.engine.record.finetune_settings import FinetuneSettings
from detui.engine.record.imported import ImportedTables
from detui.engine.record.interaction import InteractionTable
from detui.engine.record.loss_terms import LossTerms
from detui.engine.record.losses_by_iteration import LossesByIteration, Readings
from detui.engine.record.milestones import Milestones
from detui.engine.record.numerics import Numerics
from detui.engine.record.of_frames import FrameTables
from detui.engine.record.operator_table import OperatorTable
from detui.engine.record.over_images import Images
from detui.engine.record.parity import Parity
from detui.engine.record.parity_steps import floor_of
from detui.engine.record.preparation import Preparation
from detui.engine.record.results import MASK_MAIN, OF_FRAMES, OFFICIAL, Results
from detui.engine.record.setup import Setup
from detui.engine.record.shares import Shares
from detui.engine.record.sources import Ledger
from detui.engine.record.stability import Stability
from detui.engine.record.stages import Stages
from detui.engine.record.transfer import Transfers
from detui.engine.record.words import Words

WORST_FIRST = (
    "running",
    "stopping",
    "starting",
    "queued",
    "lost",
    "crashed",
    "oom",
    "failed",
    "killed",
    "stopped",
    "finished",
)
OPTIONAL: dict[str, Any] = {"command": "", "warnings": (), "milestones": (), "goals": (), "claims": (), "decisions": ()}
"""What a template may ask of experiment.json although an experiment need not have it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure beside the record."""

    name: str
    """"losses", "val_losses", "ap", "part_rates", "pr", "shares", "detections", "small_objects", "failures" or
    "misses"."""
    path: str
    """Relative to the record."""
    runs: tuple[tuple[str, int, int], ...] = ()
    """Arm, seed and epoch of each column, where the figure shows one checkpoint an arm."""
    threshold: float | None = None
    """Confidence below which detections were not drawn; of misses the product that is told from none."""


def render(
    facts: ExperimentFacts,
    language: str,
    pictures: Sequence[Picture] = (),
    images: Mapping[str, Images] = MappingProxyType({}),
    readings: Readings | None = None,
) -> str:
    """The whole record in one language. Raises MissingError, RecipeError for a template that does not work.

    `readings`: what another language has read of the steps already.
    """
    from jinja2 import FunctionLoader, StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    name = f"{(facts.info.get('record') or {}).get('template', 'default')}.{language}.md.jinja"
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
        loader=FunctionLoader(_template),
    )  # fmt: skip
    context = _context(facts, language, pictures, images, readings or Readings(facts))
    try:
        return environment.from_string(_template(name)).render(**context)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        file = getattr(error, "name", None) or name  # of the parts that it imports, where those are wrong
        where = f"{file}:{line}" if line else name
        raise RecipeError(f"The record's template does not work: {error.message}.", where=where) from error


def _template(name: str) -> str:
    folder = resources.files("detui.recipes") / "templates"
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".jinja"))
        known = sorted({name.split(".")[0] for name in names if not name.startswith("_")})
        raise MissingError(
            "There is no such template for a record.",
            where=f"{folder / name}",
            hint=f"record.template: {' | '.join(known)}",
        ) from error


def _context(
    facts: ExperimentFacts,
    language: str,
    pictures: Sequence[Picture],
    images: Mapping[str, Images],
    readings: Readings,
) -> dict[str, Any]:
    words, ledger = Words(language), Ledger()
    results, setup = Results(facts, words, ledger), Setup(facts, words)
    settings = AqrSettings(results)
    return {
        "facts": facts,
        "info": {**OPTIONAL, **facts.info},
        "words": words,
        "setup": setup,
        "data_table": setup.data,
        "results": results,
        "milestones": Milestones(results),
        "stability": Stability(results),
        "loss_terms": LossTerms(results),
        "iteration_losses": LossesByIteration(results, readings),
        "convergence": ConvergenceTable(results),
        "interaction": InteractionTable(results),
        "stages": Stages(results),
        "transfers": Transfers(results),
        "shares": Shares(results),
        "baseline": Baseline(results),
        "best": BestOf(results),
        "by_class": ByClass(results),
        "components": Components(results),
        "preparation": Preparation(setup),
        "final": Final(results, images),
        "numerics": Numerics(results),
        "operator_table": OperatorTable(results),
        "imported": ImportedTables(results),
        "of_frames": FrameTables(results),
        "aqr": AqrTables(results),
        "aqr_settings": settings,
        "aqr_findings": AqrFindings(results, settings),
        "pictures": [
            (picture, _caption(picture, words, facts), number) for number, picture in enumerate(pictures, start=1)
        ],
        "finetune": Finetune(results),
        "parity": Parity(results),
        "finetune_settings": FinetuneSettings(results),
        "official": OFFICIAL,
        "mask_metrics": MASK_MAIN,
        "title": text.plain(words.pick(facts.info.get("title")) or facts.info["recipe"]),
        "question": text.plain(words.pick(facts.info.get("question"))),
        "state": overall(facts),
        "evaluator": _stated(facts, "evaluator"),
        "max_dets": ", ".join(_stated(facts, "max_dets")) or str(MAX_DETECTIONS),
        "headline": _headline(facts, results, len(setup.confounders())),
        "provenance": lambda: provenance(ledger, words),
        "block": _block,
        "code": text.code,
        "plain": text.plain,
        "fenced": text.fenced,
    }


def _block(name: str, caller: Callable[[], str]) -> str:
    return wrap(name, caller())


def _caption(picture: Picture, words: Words, facts: ExperimentFacts) -> str:
    columns = "; ".join(words("of epoch", text.code(arm), seed, epoch) for arm, seed, epoch in picture.runs)
    of_frames = " of frames" if facts.frames and picture.name == "pr" else ""
    detail = words(f"detail {picture.name}{of_frames}", picture.threshold, columns)
    return f"**{words(picture.name)}.** {detail}" if words.language == "en" else f"**{words(picture.name)}**。{detail}"


def overall(facts: ExperimentFacts) -> dict[str, Any]:
    """The experiment's state: the least finished of its runs', with how many are finished."""
    states = [run.state for run in facts.runs]
    word = min(states, key=WORST_FIRST.index, default="queued")
    return {"word": word, "finished": states.count("finished"), "runs": len(facts.info["runs"])}


def _stated(facts: ExperimentFacts, key: str) -> list[str]:
    """What the evaluation lines say of themselves; more than one answer if the evaluator changed in between."""
    return sorted({str(line[key]) for run in facts.runs for line in run.evaluations if line.get(key)})


def _headline(facts: ExperimentFacts, results: Results, confounders: int) -> list[str]:
    """The answer so far: a line an arm that has a reference, one a best arm, and one about the goals."""
    lines, words = [], results.words
    if confounders:
        lines.append(words("confounded", confounders))
    floor = floor_of(facts) if facts.arms else None
    for arm in facts.compared:
        reference = facts.reference(arm)
        for metric in OF_FRAMES if facts.frames else ("val/AP", MASK_MAIN[0]):
            a, b = facts.values(reference, metric), facts.values(arm, metric)
            if a and b:
                found = compare(a, b, facts.unfinished(reference, arm))
                verdict = results.verdict(found)
                line = words("headline", arm=text.code(arm), reference=text.code(reference),
                             metric=results.label(metric), delta=text.points(found.delta),
                             n=" / ".join(map(str, found.n)), verdict=verdict)  # fmt: skip
                lines.append(words("headline of floor", line) if arm == floor else line)
    lines += BestOf(results).lines()
    goals = [judge_goal(goal, facts.results(), facts.open_runs()).word for goal in facts.info.get("goals") or ()]
    if goals:
        counted = ", ".join(f"{words('state ' + word)} {goals.count(word)}" for word in dict.fromkeys(goals))
        lines.append(words("goals line", counted))
    return lines


def provenance(ledger: Ledger, words: Words) -> text.Table:
    """Every mark of the record: what was taken from where."""
    head = [words("source"), words("numbers"), words("run"), words("attempt"), words("epoch"), words("file")]
    rows = [
        [
            mark,
            "; ".join(said),
            text.code(source.run),
            str(source.attempt),
            str(source.epoch or "–") if source.iteration is None else f"{words('iteration')} {source.iteration}",
            text.code(source.file),
        ]
        for mark, source, said in ledger.entries()
    ]
    return text.Table(head, rows)
