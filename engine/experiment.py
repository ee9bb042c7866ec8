"""One experiment on disk: its frozen plan, its runs, its record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.errors import FormatError, MissingError, RunError
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json, write_error, write_json, write_whole
from detui.engine.secrets import redacted

if TYPE_CHECKING:
    from detui.engine.planning import Plan
    from detui.engine.provenance import Code

FACTS = "experiment.json"


@dataclass(frozen=True, slots=True)
class Experiment:
    """The directory of one execution of a recipe."""

    path: Path

    @property
    def id(self) -> str:
        """`family.name-YYYYmmdd-HHMMSS`, the name of the directory."""
        return self.path.name

    def facts(self) -> dict[str, Any]:
        """experiment.json. Raises FormatError when it is broken or newer than this detui."""
        return read_json(self.path / FACTS)

    def runs(self) -> list[RunDir]:
        """The runs, in the order in which they were queued."""
        facts = self.facts()
        names = facts.get("runs")
        if not isinstance(names, list):
            raise FormatError("`runs` is missing.", where=str(self.path / FACTS))
        return [RunDir(self.path / "runs" / str(name)) for name in names]

    def arms(self) -> list[str]:
        """Names of the arms, in the plan's order."""
        return [str(arm["name"]) for arm in self.facts().get("arms") or ()]

    def record_path(self, language: str = "en") -> Path:
        """Where the record in that language is."""
        from detui.engine.record.facts import record_path  # listing experiments must not load the record

        return record_path(self.path, language)


def create(
    workspace: Path,
    plan: Plan,
    *,
    facts: dict[str, Any],
    code: Code,
) -> Experiment:
    """Make the directory and freeze the plan in it. Raises RunError when it cannot be written."""
    from detui.engine.plan_text import frozen_plan  # listing experiments must not load the recipe schema

    path = new_directory(workspace, plan.recipe.ref)
    frozen = redacted({"schema": 1, "id": path.name, **frozen_plan(plan), **facts, "code": code.facts()})
    if code.diff:
        write_whole(path / "code.diff", code.diff.encode())
    write_json(path / FACTS, frozen)
    return Experiment(path)


def new_directory(workspace: Path, ref: str) -> Path:
    """A directory that did not exist before: two launches in one second get different ones. Raises RunError."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    base = f"{ref.replace('/', '.')}-{stamp}"
    for number in range(1, 1000):
        path = workspace / (base if number == 1 else f"{base}-{number}")
        try:
            workspace.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not path.exists():  # the workspace itself is a file
                raise RunError(f"{workspace} is not a directory.", hint="choose another --workspace") from None
            continue
        except OSError as error:
            raise write_error(path, error) from error
        return path
    raise RunError(f"{base} exists a thousand times.", where=str(workspace))


def experiments(workspace: Path) -> list[Experiment]:
    """Every experiment of a workspace, newest first. A directory without a frozen plan is none."""
    try:
        folders = [path for path in workspace.iterdir() if not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(path.stat().st_mtime_ns, path) for path in folders if (path / FACTS).is_file()]
    stamped = sorted(found, key=lambda item: (_stamp(item[1].name), item[0]), reverse=True)
    return [Experiment(path) for _, path in stamped]


def _stamp(name: str) -> str:
    """The time in an id, which sorts; a directory that somebody renamed sorts by its age after those."""
    parts = name.rsplit("-", 3)
    digits = [part for part in parts if part.isdigit()]
    return "-".join(digits) if len(digits) >= 2 and len(digits[0]) == 8 else ""


def find_experiment(workspace: Path, ref: str) -> Experiment:
    """An experiment by id, unique beginning of an id, `--name`, path, or `last`. Raises MissingError."""
    if (Path(ref) / FACTS).is_file():
        return Experiment(Path(ref).absolute())
    known = experiments(workspace)
    if not known:
        raise MissingError(f"There is no experiment in {workspace}.", hint="detui recipes, then detui run RECIPE")
    if ref == "last":
        return known[0]
    exact = [e for e in known if e.id == ref] or [e for e in known if _name(e) == ref]
    matching = exact[:1] or [e for e in known if e.id.startswith(ref)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        hint = f"one of {', '.join(e.id for e in matching[:3])}"
        raise MissingError(f"{len(matching)} experiments begin with {ref!r}.", hint=hint)
    raise MissingError(f"There is no experiment {ref!r} in {workspace}.", hint="detui ls")


def _name(experiment: Experiment) -> str | None:
    try:
        name = experiment.facts().get("name")
    except (FormatError, MissingError):
        return None
    return name if isinstance(name, str) else None


def now() -> str:
    """The present moment in UTC, ISO 8601."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
