"""Definitions of data sets: a YAML file that says how the files lie and what their authors publish.

Those in ``recipes/datasets/`` are known by name; any other file by its path.

    schema: 1
    name: bccd
    title: Blood cells (BCCD)
    format: voc
    folder: BCCD
    classes: [RBC, WBC, Platelets]
    splits:
      train: {list: ImageSets/Main/train.txt}
    on_problem: {zero_size: leave_out}
    published:
      images: {train: 205}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from detui.engine.closed import Closed, Keys, validate
from detui.engine.data.frame_layouts import FrameLayout, FramesDefinition, FusionScenesDefinition, NuscenesDefinition
from detui.engine.data.layout_base import Classes, Inside, LayoutBase, Name
from detui.engine.data.scene_options import SceneOptions
from detui.engine.data.selection import PERSON, Select
from detui.engine.errors import MissingError, RecipeError
from detui.engine.run.files import check_schema
from detui.engine.yaml import Document, load_yaml


class CocoSplit(Closed):
    """One split in COCO's JSON."""

    annotations: Inside
    """The JSON file."""
    images: Inside = "."
    """The folder that its file names are relative to."""


class YoloSplit(Closed):
    """One split in YOLO's text files."""

    images: Inside
    """A folder of images, or a text file with one image path a line."""
    labels: Inside | None = None
    """The folder of label files; by default the images' path with `images` replaced by `labels`."""


class VocSplit(Closed):
    """One split in PASCAL VOC's layout."""

    list: Inside
    """A text file with one image name a line, without suffix."""


class VisdroneSplit(Closed):
    """One split in VisDrone-DET's layout."""

    folder: Inside
    """The folder that holds `images` and `annotations`, such as VisDrone2019-DET-val."""


class SceneSplit(Closed):
    """One split of generated scenes."""

    images: Annotated[int, Field(ge=1, le=100_000)]
    """How many scenes there are to choose from; only those that are selected are drawn."""


class CocoDefinition(LayoutBase):
    """COCO JSON."""

    format: Literal["coco"]
    classes: Classes | None = None
    """By default all categories of the file, sorted by id. Others are `unknown_class`, unless `select` drops them."""
    splits: Annotated[dict[str, CocoSplit], Field(min_length=1)]
    files_of: Name | None = None
    """The data set whose files these are: they are looked for where that one lies, too."""
    select: Select | None = None
    """The rule by which classes and images are taken out of the file."""

    @model_validator(mode="after")
    def _selects_by_class(self) -> CocoDefinition:
        if self.select is None:
            return self
        if not self.classes:
            raise ValueError("select needs classes: the names of what is taken.")
        if PERSON in self.classes and self.select.person != "ignore":
            raise ValueError("person stands in classes, so select.person has nothing to decide: leave one of them out.")
        if strangers := sorted(set(self.select.ids) - set(self.class_names or ())):
            raise ValueError(f"select.ids numbers what is not in classes: {', '.join(strangers)}.")
        if self.published.without_boxes:
            raise ValueError("published.without_boxes counts images of the whole file, which select does not keep.")
        return self

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes of the data set in their order, person last where the rule adds it; None: those of the file."""
        if self.classes is None:
            return None
        added = (PERSON,) if self.select and self.select.person == "class" else ()
        return (*self.classes, *added)


class YoloDefinition(LayoutBase):
    """YOLO text files, described by their data.yaml or here."""

    format: Literal["yolo"]
    data_yaml: Inside | None = None
    classes: Classes | None = None
    splits: dict[str, YoloSplit] = {}

    @model_validator(mode="after")
    def _one_of_both(self) -> YoloDefinition:
        if self.data_yaml and (self.splits or self.classes):
            raise ValueError("with data_yaml, classes and splits come from that file.")
        if not self.data_yaml and not (self.splits and self.classes):
            raise ValueError("give either data_yaml, or classes and splits.")
        return self


class VocDefinition(LayoutBase):
    """PASCAL VOC boxes: one XML file an image."""

    format: Literal["voc"]
    classes: Classes
    images: Inside = "JPEGImages"
    annotations: Inside = "Annotations"
    difficult: Literal["keep", "ignore"] = "keep"
    """`ignore` makes objects marked difficult regions that neither help nor harm a detector."""
    splits: Annotated[dict[str, VocSplit], Field(min_length=1)]


class VocInstancesDefinition(LayoutBase):
    """PASCAL VOC instance segmentation: two palette PNGs an image, and its XML file as a cross-check."""

    format: Literal["voc-instances"]
    classes: Classes
    """In the order of the numbers in `kinds`, from 1."""
    images: Inside = "JPEGImages"
    annotations: Inside = "Annotations"
    objects: Inside = "SegmentationObject"
    """Pictures whose indices are objects."""
    kinds: Inside = "SegmentationClass"
    """Pictures whose indices are numbers of classes."""
    difficult: Literal["keep", "ignore"] = "keep"
    """As in VOC's boxes; the XML file says which objects are."""
    splits: Annotated[dict[str, VocSplit], Field(min_length=1)]


class VisdroneDefinition(LayoutBase):
    """VisDrone-DET's text files; the ten classes are the format's own."""

    format: Literal["visdrone"]
    splits: Annotated[dict[str, VisdroneSplit], Field(min_length=1)]


class SceneDefinition(LayoutBase):
    """Generated scenes."""

    format: Literal["scenes"]
    options: SceneOptions = SceneOptions()
    splits: Annotated[dict[str, SceneSplit], Field(min_length=1)]

    @model_validator(mode="after")
    def _own_depth(self) -> SceneDefinition:
        if self.depth is not None:
            raise ValueError("scenes draw their own depth maps: say `options: {depth: true}` instead.")
        return self


Layout = (
    CocoDefinition
    | YoloDefinition
    | VocDefinition
    | VocInstancesDefinition
    | VisdroneDefinition
    | SceneDefinition
    | FrameLayout
)
_LAYOUTS: Mapping[str, type[Layout]] = {
    "coco": CocoDefinition,
    "yolo": YoloDefinition,
    "voc": VocDefinition,
    "voc-instances": VocInstancesDefinition,
    "visdrone": VisdroneDefinition,
    "scenes": SceneDefinition,
    "nuscenes": NuscenesDefinition,
    "frames": FramesDefinition,
    "fusion-scenes": FusionScenesDefinition,
}


@dataclass(frozen=True, slots=True)
class DatasetDefinition:
    """One definition, and the file it was read from."""

    layout: Layout
    path: Path
    own: bool
    """Whether it belongs to detui, rather than to the person."""

    @property
    def name(self) -> str:
        """The logical name: what recipes and the configuration call it."""
        return self.layout.name

    @property
    def title(self) -> str:
        """What to call it in a record."""
        return self.layout.title

    @property
    def generated(self) -> bool:
        """Whether it is drawn rather than found on disk."""
        return isinstance(self.layout, (SceneDefinition, FusionScenesDefinition))

    @property
    def frames(self) -> FrameLayout | None:
        """The layout, where the data is frames of cameras and LiDAR rather than images with boxes in pixels."""
        return self.layout if isinstance(self.layout, FrameLayout) else None

    @property
    def masks(self) -> bool | None:
        """Whether its objects have masks, as far as the definition itself says it: COCO's and YOLO's files do."""
        layout = self.layout
        if isinstance(layout, SceneDefinition):
            return layout.options.masks
        if isinstance(layout, (CocoDefinition, YoloDefinition)):
            return None
        return isinstance(layout, VocInstancesDefinition)

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits as far as the definition itself names them (a YOLO data.yaml names its own)."""
        return tuple(self.layout.splits)

    def with_options(
        self, options: Mapping[str, Any], *, where: Callable[[Keys], str] | None = None
    ) -> DatasetDefinition:
        """The definition under a recipe's `data.options`.

        Raises RecipeError for an unknown option, an impossible value, or a format that has no options.
        """
        place = where or (lambda keys: ".".join(["data.options", *map(str, keys)]))
        if not options:
            return self
        if not isinstance(self.layout, (SceneDefinition, FusionScenesDefinition, NuscenesDefinition)):
            raise RecipeError(
                f"The data set {self.name} has no options: only generated data and nuScenes have.",
                where=place(()),
                hint="remove data.options",
            )
        given = _merge(self.layout.options.model_dump(), options)
        options_of = type(self.layout.options)
        layout = self.layout.model_copy(update={"options": validate(options_of, given, place)})
        return DatasetDefinition(layout, self.path, self.own)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge, everything else replaces, as in recipes."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def folder() -> Path:
    """Where detui's own definitions lie."""
    from detui import recipes

    return Path(next(iter(recipes.__path__))) / "datasets"


def definitions() -> list[DatasetDefinition]:
    """Detui's own definitions, by name."""
    return [_read(path, own=True) for path in sorted(folder().glob("*.yaml"))]


def load_definition(name_or_path: str | Path) -> DatasetDefinition:
    """Find a definition by name, or read one from a path.

    Raises MissingError when there is none, RecipeError with file, line and field when it is wrong.
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return _read(Path(text).expanduser().absolute(), own=False)
    path = folder() / f"{text}.yaml"
    if path.is_file():
        return _read(path, own=True)
    known = ", ".join(sorted(p.stem for p in folder().glob("*.yaml")))
    raise MissingError(
        f"There is no data set {text!r}.", hint=f"one of {known}, or the path of a definition file (*.yaml)"
    )


def _read(path: Path, *, own: bool) -> DatasetDefinition:
    document = load_yaml(path)
    value = document.value
    if not isinstance(value, dict):
        raise RecipeError("A definition is a mapping of keys.", where=document.where(()))
    check_schema(value, document.where(("schema",)))
    return DatasetDefinition(validate(_layout(document), value, document.where), path, own)


def _layout(document: Document) -> type[Layout]:
    name = document.value.get("format")
    if isinstance(name, str) and name in _LAYOUTS:
        return _LAYOUTS[name]
    found = "this field is missing" if name is None else f"found {name!r}"
    raise RecipeError(f"format: {found}, expected one of {', '.join(_LAYOUTS)}.", where=document.where(("format",)))
