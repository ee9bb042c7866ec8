"""The closed schema of a recipe file. What a backend's sections hold is the backend's own schema.

schema: 1
title: {en: Mosaic from scratch, zh: 从零训练与马赛克增强}
question: {en: Does mosaic help a nano detector?, zh: …}
backend: ultralytics
data: {name: scenes, train: {split: train}, val: {split: val}}
base: {model: {name: yolo12n}, train: {epochs: 100, lr0: 0.01}}
arms:
  baseline: {}
  no-mosaic: {augment: {mosaic: 0.0}}
varies: [augment.mosaic]
seeds: [0, 1, 2]
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from detui.engine.closed import Closed
from detui.engine.evaluate.tables import ERRORS, is_setting

SCHEMA = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
RESERVED = frozenset(
    {"data", "data_sets", "seeds", "milestones", "checkpoint_rule", "stages", "title", "arms", "environment", "devices"}
)
"""Names that an arm or a configuration section may not have: they mean something beside sections."""
UNCHANGEABLE = ("model/parameters", "model/gflops", "model/gmacs")
"""Metrics of the built model, which no seed changes."""
_WHOLE = ("val/", "model/", "cost/")
"""Names that begin so are of a checkpoint, a model or a run, and never of an iteration."""


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name: small letters, digits, '-', '_' and '.', at most 40, "
            "because it becomes the name of a folder."
        )
    return value


Name = Annotated[str, AfterValidator(_name)]


class Words(Closed):
    """A text in the languages of the record."""

    en: str
    zh: str | None = None
    """Falls back to English."""

    def in_language(self, language: str) -> str:
        """The text in `language` (en or zh)."""
        return self.zh if language == "zh" and self.zh else self.en


Text = str | Words


def words(text: Text) -> Words:
    """A text given as one string serves every language."""
    return text if isinstance(text, Words) else Words(en=text)


class ListedIds(Closed):
    """A committed list of image ids, and the hash by which it is known again."""

    file: str
    """Beside the recipe, or in recipes/lists/."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the file's bytes."""


class SplitSelection(Closed):
    """Which images of a data set take a role."""

    split: str
    """The split's name in the data set's definition."""
    images: Annotated[int, Field(ge=1)] | None = None
    """Only the first N images of the split, in its own order; all by default."""
    ids: ListedIds | None = None
    """Only the images of a committed list, in its order; data in COCO's format alone has such ids."""

    @model_validator(mode="after")
    def _one_way(self) -> SplitSelection:
        if self.images is not None and self.ids is not None:
            raise ValueError("images and ids are two ways to choose; where one is laid over the other: `ids: null`.")
        return self


class DataSelection(Closed):
    """The data of a recipe, by logical name."""

    name: str
    """A definition in recipes/datasets/, or a path to a definition file."""
    train: SplitSelection = SplitSelection(split="train")
    val: SplitSelection = SplitSelection(split="val")
    test: SplitSelection | None = None
    """Images that no training sees, and no choice of a checkpoint: for `detui evaluate --split test`."""
    depth: bool = False
    """Whether depth maps are read beside the images; the data set's definition says where they lie and what they are.

    Generated scenes draw their own.
    """
    evaluator: Literal["detui", "nuscenes-devkit"] | None = None
    """What computes nuScenes' metric, of data that is judged by it: detui's own code, the default, or nuscenes-devkit
    in the environment `nuscenes`. Of other data nothing else may be asked for."""
    options: dict[str, Any] = {}
    """Options of the data set's own format (the generated scenes have them)."""

    @field_validator("train", "val", "test", mode="before")
    @classmethod
    def _split(cls, given: Any, info: ValidationInfo) -> Any:
        """A number of images alone is of the split that is called like the role."""
        return {"split": info.field_name, **given} if isinstance(given, dict) else given

    def parts(self) -> dict[str, SplitSelection]:
        """By role: train, val and, where there is one, test."""
        given = {"train": self.train, "val": self.val, "test": self.test}
        return {role: part for role, part in given.items() if part is not None}


class Metric(Closed):
    """A metric of our own evaluator, by which a checkpoint is chosen."""

    rule: Literal["best", "last"]
    metric: str = "val/AP"
    """`val/mask_AP` and other metrics of masks need a backend that predicts them, and data that has them."""


class Stage(Closed):
    """A phase of an arm; it continues from the weights of the phase before."""

    name: Name
    epochs: Annotated[int, Field(ge=1)]
    data: str | None = None
    """The one of `data_sets` that it trains on; the arm's own by default. The run is judged on the arm's."""
    set: dict[str, Any] = {}
    """Sections that this stage overrides: `{augment: {mosaic: 0.0}}`."""


class ArmStages(Closed):
    """What an arm says of stages of its own, in place of the recipe's."""

    stages: list[Stage] | None = None


class ArmEnvironment(Closed):
    """What an arm says of an environment of its own, in place of the recipe's."""

    environment: str | None = None


def _check_iteration(metric: str, iteration: int | None) -> None:
    """Raise ValueError where a metric is of no iteration, and one is given."""
    if iteration is not None and (metric.startswith(_WHOLE) or is_setting(metric)):
        raise ValueError(f"iteration is for losses and statistics, and {metric} is neither.")


class Goal(Closed):
    """A number to be reached by one arm, a difference between two arms, or what an arm must leave as it is."""

    metric: str
    """`val/AP50`, `model/parameters`; a statistic that the training reports (`aqr/camera_relative_change`); or a field
    (`model.aqr.residual_weight`), whose value is what the training says that it used."""
    iteration: Annotated[int, Field(ge=1)] | None = None
    """The optimizer step that a statistic or a loss is of; by default a statistic is that of the chosen checkpoint."""
    arm: str | None = None
    """The arm that must reach it; every arm when absent."""
    against: str | None = None
    """The reference arm of a difference."""
    data_set: str | None = None
    """The one of several `data_sets` that it is about; each of them when absent."""
    at_least: float | None = None
    """With at_most a band: the mean lies in it, ends included."""
    at_most: float | None = None
    delta_at_least: float | None = None
    unchanged: Literal[True] | None = None
    """The arm's model is exactly as large, or as costly, as the reference arm's; metrics: those in UNCHANGEABLE."""
    title: Text | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Goal:
        bounds = [bound for bound in (self.at_least, self.at_most) if bound is not None]
        given = [x for x in (bounds or None, self.delta_at_least, self.unchanged) if x is not None]
        if len(given) != 1:
            raise ValueError(
                "a goal has exactly one of at_least, at_most, delta_at_least and unchanged; or both of at_least and "
                "at_most, as a band."
            )
        if self.at_least is not None and self.at_most is not None and self.at_least >= self.at_most:
            raise ValueError(
                f"at_least lies below at_most in a band, and these are {self.at_least:g} and {self.at_most:g}."
            )
        if (self.delta_at_least is None and self.unchanged is None) == (self.against is not None):
            raise ValueError("against belongs to delta_at_least or unchanged, and each of them needs it.")
        if self.against is not None and self.arm is None:
            raise ValueError("a difference needs both arm and against.")
        if self.data_set is not None and self.arm is None:
            raise ValueError("data_set belongs to the arm that it names, and needs it.")
        if self.unchanged and self.arm == self.against:
            raise ValueError("arm and against are the same, and so never differ.")
        if self.unchanged and self.metric not in UNCHANGEABLE:
            raise ValueError(
                f"only {', '.join(UNCHANGEABLE)} can be unchanged, and not {self.metric}: what is measured of a "
                "training differs from seed to seed."
            )
        return self

    @model_validator(mode="after")
    def _measurable(self) -> Goal:
        _check_iteration(self.metric, self.iteration)
        if self.metric.startswith("train/") and self.iteration is None:
            raise ValueError(f"{self.metric} is of an iteration and not of a checkpoint: the goal needs iteration.")
        return self


class Step(Closed):
    """One outcome of a decision."""

    at_least: float | None = None
    """The difference from which on it holds, 0–1; the last step has none and holds otherwise."""
    title: Text
    next: Text | None = None
    """What to do then."""


class Decision(Closed):
    """What is to be done, by how large a difference is: steps from the highest bound down."""

    metric: str
    arm: str
    against: str
    """The reference arm."""
    data_set: str | None = None
    """The one of several `data_sets` that it is about; each of them when absent."""
    steps: Annotated[list[Step], Field(min_length=2)]

    @model_validator(mode="after")
    def _falling(self) -> Decision:
        bounds = [step.at_least for step in self.steps]
        known = [bound for bound in bounds[:-1] if bound is not None]
        if bounds[-1] is not None or len(known) < len(bounds) - 1:
            raise ValueError("every step but the last has at_least, and the last has none: it holds otherwise.")
        if any(high <= low for high, low in pairwise(known)):
            raise ValueError("the bounds of the steps fall.")
        return self


class Claim(Closed):
    """A number that some document states. Never mixed with what was measured."""

    metric: str
    value: float
    source: str
    """The document, so that a reader can look it up."""
    arm: str | None = None
    data_set: str | None = None
    """The one of several `data_sets` that it was stated of."""
    epoch: Annotated[int, Field(ge=1)] | None = None
    """After which epoch; None for a final number, or where the document does not say."""
    iteration: Annotated[int, Field(ge=1)] | None = None
    """In place of an epoch: at which optimizer step, for losses and statistics."""
    note: Text | None = None

    @model_validator(mode="after")
    def _one_moment(self) -> Claim:
        if self.epoch is not None and self.iteration is not None:
            raise ValueError("a claim is of an epoch or of an iteration, and not of both.")
        _check_iteration(self.metric, self.iteration)
        return self


class BestOf(Closed):
    """Which arms are tries of the same thing: the best of each group stands for it in the record."""

    by: str
    """The setting whose value the arms of a group share: `model.framework`."""
    metric: Annotated[str, Field(pattern="^val/")] = "val/AP"
    """The highest mean over the seeds is the best; on a tie the arm that stands first."""

    @field_validator("metric")
    @classmethod
    def _higher_is_better(cls, metric: str) -> str:
        if metric.removeprefix("val/").split("/")[0] in ERRORS:
            raise ValueError(f"{metric} is an error, the lower the better, and the highest is chosen.")
        return metric


class RecordOptions(Closed):
    """How the record is rendered."""

    template: str = "default"
    languages: list[Literal["en", "zh"]] = ["en", "zh"]
    best_of: BestOf | None = None
    """Shown by the template `default`."""

    @model_validator(mode="after")
    def _shown(self) -> RecordOptions:
        if self.best_of is not None and self.template != "default":
            raise ValueError(f"best_of is shown by the template default, and not by {self.template}.")
        return self


class Profile(Closed):
    """Values laid over the base: `quick` runs on two CPU cores in a minute or two."""

    data: dict[str, Any] = {}
    data_sets: dict[Name, dict[str, Any]] = {}
    """Laid over the recipe's."""
    base: dict[str, Any] = {}
    arms: list[str] | dict[str, dict[str, Any]] | None = None
    """Only these arms; as a mapping, with sections and stages that are laid over each."""
    seeds: list[int] | None = None
    devices: Annotated[int, Field(ge=1)] | None = None
    stages: list[Stage] | None = None
    """In place of the recipe's; an arm with stages of its own keeps those, unless `arms` lays others over it."""
    milestones: list[int] | None = None
    checkpoint_rule: Metric | Literal["best", "last"] | None = None


class RecipeFile(Closed):
    """A recipe as it is written."""

    schema_: Literal[1] = Field(alias="schema")
    title: Text
    question: Text
    family: Name | None = None
    """The folder's name by default."""
    backend: str = "ultralytics"
    environment: str = "detui"
    """The interpreter that trains: detui's own, or one named in the configuration. An arm may name another."""
    data: DataSelection | str | Annotated[list[str], Field(min_length=1)] | None = None
    """A selection; the name of one of `data_sets`; or several of their names: then every arm is run on each."""
    data_sets: dict[Name, DataSelection] = {}
    """Data by its role in the question: `{crowded: {name: coco-indoor}, simple: {name: homeobjects}}`."""
    base: dict[str, Any]
    """The sections that all arms share; their fields are the backend's."""
    arms: dict[Name, dict[str, Any]] = {}
    """By name: an optional title, an environment and stages of its own, and the sections that the arm overrides."""
    each_of: dict[str, Any] = {}
    """`{train.lr0: 0.0005}`: one more arm for each entry, which changes that field alone."""
    varies: list[str] = []
    """The fields in which arms may differ; a prefix covers what is below it."""
    stages: list[Stage] = []
    seeds: list[int] = [0, 1, 2]
    devices: Annotated[int, Field(ge=1)] = 1
    """How many devices each run trains on, unless the launch says it (`--devices`)."""
    checkpoint_rule: Metric | Literal["best", "last"] = "best"
    milestones: list[Annotated[int, Field(ge=1)]] = []
    """Epochs, over the whole run, after which predictions are kept and evaluated; the last always is."""
    stop_on: list[str] = []
    """Alarms at which a run saves and stops by itself: nan, divergence, rising_term, plateau, gpu_memory…"""
    keep_checkpoints: list[Literal["best", "last", "milestones", "all"]] = ["best", "last"]
    """What `detui gc` leaves of a finished run's checkpoints."""
    goals: list[Goal] = []
    decisions: list[Decision] = []
    """Rules on a measured difference, for the record's next steps."""
    profiles: dict[Name, Profile] = {}
    claims: list[Claim] = []
    measure_speed: bool = False
    """Whether `detui run` measures speed and memory of every arm at its end; goals on speed make it do so anyway."""
    record: RecordOptions = RecordOptions()

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: list[int]) -> list[int]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be different numbers from 0 on, at least one, and these are {seeds}.")
        return seeds

    @model_validator(mode="after")
    def _arms(self) -> RecipeFile:
        if not self.arms:
            raise ValueError("a recipe needs at least one arm.")
        if clash := sorted(RESERVED & set(self.arms)):
            raise ValueError(f"an arm cannot be called {clash[0]!r}: --set reads that word otherwise.")
        return self
