"""What can be wrong with a data set, and what is done about each kind.

A reader reports each problem to a `Ledger` and follows the action it answers.
An `error` does not stop the reading: the person sees the first ten of all
problems at once, with the file and line of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detui.engine.errors import DataError

EXAMPLES = 10
"""So many problems of one kind are kept whole; the others are counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem."""

    text: str
    """What it is, for a heading."""
    default: str
    actions: tuple[str, ...]
    """What a definition may choose."""


_BOX = ("error", "leave_out")
KINDS: Mapping[str, Kind] = {
    "unreadable_file": Kind("annotation file that cannot be read", "error", ("error", "leave_out")),
    "malformed": Kind("entry that does not follow the format", "error", ("error", "leave_out")),
    "missing_annotation": Kind("image without an annotation file", "error", ("error", "leave_out", "keep")),
    "missing_image": Kind("image that is not there", "error", ("error", "leave_out")),
    "broken_image": Kind("file that is no readable image", "error", ("error", "leave_out")),
    "size_differs": Kind("image of another size than stated", "error", ("error", "leave_out", "keep")),
    "missing_depth": Kind("image without its depth map", "error", ("error", "leave_out")),
    "broken_depth": Kind("depth map that is no readable image", "error", ("error", "leave_out")),
    "depth_mode": Kind("depth map that is not what its encoding says", "error", ("error", "leave_out")),
    "depth_size": Kind("depth map of another size than its image", "error", ("error", "leave_out")),
    "depth_constant": Kind("depth map with one value everywhere", "error", ("error", "leave_out", "keep")),
    "depth_empty": Kind("depth map that holds no depth at all", "error", ("error", "leave_out", "keep")),
    "depth_shared": Kind("depth map of two images at once", "error", ("error", "leave_out", "keep")),
    "missing_mask": Kind("picture of masks that is not there", "error", ("error", "leave_out")),
    "broken_mask": Kind("picture of masks that is no readable image", "error", ("error", "leave_out")),
    "mask_mode": Kind("picture of masks that is no palette PNG", "error", ("error", "leave_out")),
    "mask_size": Kind("picture of masks of another size than its image", "error", ("error", "leave_out")),
    "mask_class": Kind("mask without a class", "error", ("error", "leave_out")),
    "mixed_class": Kind("mask with pixels of several classes", "keep", ("error", "leave_out", "keep")),
    "xml_class": Kind("mask of another class than its box", "keep", ("error", "keep")),
    "mask_without_box": Kind("mask without a box in the XML file", "keep", ("error", "keep")),
    "box_without_mask": Kind("box of an XML file without a mask", "keep", ("error", "keep")),
    "box_elsewhere": Kind("box of an XML file that lies beside its mask", "keep", ("error", "keep")),
    "zero_size": Kind("box of zero size", "leave_out", _BOX),
    "inverted": Kind("box of negative size", "error", _BOX),
    "not_finite": Kind("box that is not a finite number", "error", _BOX),
    "beyond_border": Kind("box that reaches beyond the border", "clip", ("error", "leave_out", "clip", "keep")),
    "outside": Kind("box wholly outside its image", "error", _BOX),
    "duplicate_box": Kind("box that stands there twice", "leave_out", ("error", "leave_out", "keep")),
    "duplicate_image": Kind("image that stands there twice", "error", ("error", "leave_out")),
    "duplicate_annotation": Kind("annotation id that is used twice", "error", ("error", "leave_out", "keep")),
    "unknown_image": Kind("annotation of an image that is not listed", "error", _BOX),
    "unknown_class": Kind("class that the data set does not have", "error", _BOX),
    "id_space": Kind("class ids and class names that do not belong together", "error", ("error", "keep")),
    "others_judged": Kind("box of the class others that is marked as judged", "leave_out", _BOX),
    "in_two_splits": Kind("image in more than one split", "error", ("error", "keep")),
    "missing_points": Kind("point cloud that is not there", "error", ("error", "leave_out")),
    "broken_points": Kind("point cloud that is cut, empty or not finite", "error", ("error", "leave_out")),
    "missing_sweep": Kind("earlier sweep of the LiDAR that cannot be used", "error", ("error", "leave_out")),
    "calibration": Kind("calibration that cannot be right", "error", ("error", "leave_out", "keep")),
    "duplicate_frame": Kind("frame that stands there twice", "error", ("error", "leave_out")),
    "empty_box": Kind("box without a point of the LiDAR", "keep", ("error", "leave_out", "keep")),
    "unknown_velocity": Kind("box whose velocity nobody knows", "keep", ("error", "leave_out", "keep")),
    "points_elsewhere": Kind("frame whose points lie beside its boxes", "error", ("error", "leave_out", "keep")),
    "published_count": Kind("count that differs from the published one", "error", ("error", "keep")),
}
ALIASES = {"duplicate": "duplicate_box"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    file: str
    """Relative to the data set's root."""
    line: int | str | None
    """The line (from 1), or the entry for a format without lines (`annotations[12]`)."""
    reason: str
    action: str

    @property
    def where(self) -> str:
        """`file:line`."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ProblemSummary:
    """All problems of one kind, as a record states them."""

    kind: str
    action: str
    count: int
    examples: tuple[str, ...]
    """`file:line: reason`."""

    def to_json(self) -> dict[str, object]:
        """The form that `dataset.json` and `experiment.json` carry."""
        return {
            "kind": self.kind,
            "action": self.action,
            "count": self.count,
            "examples": list(self.examples),
        }


class Ledger:
    """Collects problems; knows the action for each kind."""

    def __init__(self, actions: Mapping[str, str] | None = None) -> None:
        """`actions` override the defaults by kind; they were validated with the definition."""
        chosen = {ALIASES.get(kind, kind): action for kind, action in (actions or {}).items()}
        self._actions = {kind: chosen.get(kind, meaning.default) for kind, meaning in KINDS.items()}
        self._counts: dict[tuple[str, str], int] = {}
        self._kept: list[Problem] = []

    def report(self, kind: str, file: str, line: int | str | None, reason: str, *, action: str | None = None) -> str:
        """Note a problem; answers what to do. `action` decides instead of the definition."""
        action = action or self._actions[kind]
        count = self._counts.get((kind, action), 0)
        self._counts[kind, action] = count + 1
        if count < EXAMPLES:
            self._kept.append(Problem(kind, file, line, reason, action))
        return action

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The first ones of each kind, in the order they were found."""
        return tuple(self._kept)

    def summary(self) -> tuple[ProblemSummary, ...]:
        """Every kind that occurred, errors first."""
        rows = []
        for (kind, action), count in self._counts.items():
            examples = tuple(str(p) for p in self._kept if (p.kind, p.action) == (kind, action))
            rows.append(ProblemSummary(kind, action, count, examples))
        return tuple(sorted(rows, key=lambda row: (row.action != "error", row.kind)))

    def raise_errors(self, name: str, root: object, *, called: str | None = None) -> None:
        """Raise DataError with the first ten problems whose action is `error`; nothing when there is none.

        `called`: what a command line calls the data set, where that is not its name.
        """
        errors = [problem for problem in self._kept if problem.action == "error"]
        if not errors:
            return
        total = sum(count for (_, action), count in self._counts.items() if action == "error")
        shown = errors[:EXAMPLES]
        lines = [f"{_problems(total)} in the data set {name}:"]
        lines += [f"  {problem} [{problem.kind}]" for problem in shown]
        if total > len(shown):
            lines.append(f"  … and {total - len(shown)} more")
        raise DataError("\n".join(lines), where=str(root), hint=_hint(shown[0].kind, called or name))


def _problems(count: int) -> str:
    return "One problem" if count == 1 else f"{count} problems"


def _hint(kind: str, name: str) -> str:
    if kind == "missing_depth":
        return f"`detui data depth {name} --model DIR` makes the depth maps that are missing"
    others = [action for action in KINDS[kind].actions if action != "error"]
    return (
        f"`detui data check {name}` lists them; mend the files, "
        f"or put `on_problem: {{{kind}: {others[0]}}}` into the data set's definition"
    )
