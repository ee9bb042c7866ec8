"""What `detui weights check` says: each file with its place and hash, each model part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from detui.tui.language import tr
from detui.tui.output import DASH, table

if TYPE_CHECKING:
    from detui.engine.errors import DetuiError
    from detui.engine.planning import Plan
    from detui.engine.weights_check import FileCheck, ModelCheck, WeightsCheck

SHOWN = 20
"""How many tensors that start anew are named: two whole heads of a Mask R-CNN have so many."""
KINDS = ("loaded", "reinitialised", "missing", "unexpected")


def as_lines(plan: Plan, found: WeightsCheck) -> list[str]:
    """The check as a person reads it."""
    lines = [f"{plan.recipe.ref}: {plan.recipe.title.in_language(_current())}"]
    if not found.files:
        return [*lines, tr("No arm of it starts from a file of weights.")]
    for file in found.files:
        lines += ["", *_file(file)]
    if not found.compares:
        lines += ["", tr("What a model takes over is compared when its training begins; its record says it.")]
    for model in found.models:
        lines += ["", *_model(model)]
    return lines


def _current() -> str:
    from detui.tui import language

    return language.current()


def _file(file: FileCheck) -> Iterator[str]:
    yield f"{file.name}  ({file.field}; {_arms(file.arms)})"
    if file.path is None:
        yield f"  {tr('absent; looked for at')}"
        yield from (f"    {place}" for place in file.tried)
    else:
        yield f"  {file.path}"
    if file.sha256 is not None:
        held = {"recipe": tr("as the recipe says"), "name": tr("as its name says"),
                "nothing": tr("known to neither recipe nor name")}  # fmt: skip
        yield f"  sha256 {file.sha256}, {held[file.known_by]}"
        yield f"  {file.form}"
    if file.path is None and file.problem is not None:  # what is wrong is said above
        yield f"  {tr('try: {hint}', hint=file.problem.hint)}"
    else:
        yield from _problem(file.problem)


def _model(model: ModelCheck) -> Iterator[str]:
    found = model.found
    yield f"{_arms(model.arms)}{_about(found)}"
    if found.get("random"):
        yield f"  {tr('random weights')}"
    if "parts" in found:
        heads = (tr("part"), tr("loaded"), tr("re-initialised"), tr("missing"), tr("unexpected"))
        rows = [(part, *(str(counts[kind]) for kind in KINDS)) for part, counts in found["parts"].items()]
        yield from (f"  {line}" for line in table([heads, *rows], right=range(1, len(heads))))
        yield from _anew(found["reinitialised"])
        if model.problem is None:
            yield from (f"  {tr('note: {text}', text=text)}" for text in found["notices"])
    yield from _problem(model.problem)


def _about(found: Mapping[str, Any]) -> str:
    told = []
    if found.get("classes") is not None:
        told.append(tr("classes in the file: {count}", count=found["classes"]))
    if found.get("epoch") is not None:
        told.append(tr("its epoch: {epoch}", epoch=found["epoch"]))
    return f"  ({', '.join(told)})" if told else ""


def _anew(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The tensors that start anew although the file has them, with both shapes."""
    if not entries:
        return
    yield f"  {tr('re-initialised')}:"
    rows = [(one["name"], str(one["shape"]), _why(one)) for one in entries[:SHOWN]]
    yield from (f"    {line}" for line in table(rows))
    if len(entries) > SHOWN:
        yield f"    {tr('and {count} more', count=len(entries) - SHOWN)}"


def _why(one: Mapping[str, Any]) -> str:
    if one["why"] == "recipe":
        return tr("fits; the recipe starts it anew")
    if one["why"] == "part":
        return tr("the recipe takes the backbone alone")
    return tr("in the file {shape}", shape=str(one["given"]))


def _problem(problem: DetuiError | None) -> Iterator[str]:
    if problem is None:
        return
    first, *rest = problem.message.splitlines()
    yield f"  {tr('wrong: {text}', text=first)}"
    yield from (f"  {line}" for line in rest)
    if problem.hint:
        yield f"  {tr('try: {hint}', hint=problem.hint)}"


def _arms(names: tuple[str, ...]) -> str:
    return tr("arms: {names}", names=", ".join(names)) if names else DASH


def to_json(found: WeightsCheck) -> dict[str, Any]:
    """The same for programs."""
    return {
        "compares": found.compares,
        "files": [{
            "arms": list(one.arms), "field": one.field, "name": one.name, "path": one.path and str(one.path),
            "tried": [str(place) for place in one.tried], "sha256": one.sha256, "wanted": one.wanted,
            "known_by": one.known_by, "form": one.form, "problem": _told(one.problem),
        } for one in found.files],
        "models": [{"arms": list(one.arms), **one.found, "problem": _told(one.problem)} for one in found.models],
        "exit_code": found.exit_code,
    }  # fmt: skip


def _told(problem: DetuiError | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {"kind": type(problem).__name__, "message": problem.message, "where": problem.where, "hint": problem.hint}
