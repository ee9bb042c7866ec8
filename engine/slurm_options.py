"""What is asked of Slurm for a run: written in the configuration, for all recipes and for one, and at a launch.

Each says only what it wants; the later wins: `slurm:` in the configuration < `slurm.recipes.<recipe>` < `--slurm`.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from detui.engine.errors import UsageError

NOTICE = 120
"""Seconds before its time limit at which a job is told to save, where nothing else is configured."""

RECIPES = "recipes"
"""The key of the configuration below which single recipes have options of their own."""

_OURS = (
    "--array",
    "-a",
    "--wrap",
    "--parsable",
    "--signal",
    "--requeue",
    "--no-requeue",
    "--test-only",
    "--wait",
    "-W",
    "--nodes",
    "-N",
    "--ntasks",
    "-n",
    "--ntasks-per-node",
)
"""Words of sbatch that decide how a run is supervised: detui gives them itself."""

_INSTEAD = {"--signal": "notice: 300 says how early a job is told to save", "--nodes": "nodes: 2", "-N": "nodes: 2"}
"""What says the same to detui."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlurmOptions:
    """Options of sbatch. None: nothing is said, and the cluster's own default holds."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    """The time limit, as sbatch takes it: "04:00:00", "2-12", or minutes."""
    gres: str | None = None
    """Generic resources as they are, in place of the GPUs that the run asks for."""
    gpus: str | None = None
    """GPUs of a job on each node, "2" or "a100:2", in place of as many as the run takes."""
    constraint: str | None = None
    mem: str | None = None
    cpus: int | None = None
    """Processors of a job on each node; None: as many as the run has threads there."""
    nodes: int | None = None
    """Nodes of each run, which has as many devices on each; None: one."""
    notice: int | None = None
    """Seconds before the time limit at which a job is told to save; None: NOTICE."""
    options: tuple[str, ...] = ()
    """More words for sbatch, behind all others."""

    def over(self, earlier: SlurmOptions) -> SlurmOptions:
        """Return the options of both, these first."""
        said: dict[str, Any] = {name: getattr(self, name) for name in KEYS if getattr(self, name) not in (None, ())}
        if "gpus" in said or "gres" in said:  # whichever is said later is meant in place of both
            earlier = replace(earlier, gres=None, gpus=None)
        return replace(earlier, **said)

    def words(self, *, gpus: int, threads: int) -> list[str]:
        """Return the words of sbatch. On each node, `gpus`: how many the run takes, 0 on the CPU; `threads`: of all its
        processes.
        """
        values = {"partition": self.partition, "account": self.account, "qos": self.qos, "time": self.time}
        values |= {"constraint": self.constraint, "mem": self.mem, "gres": self._gres(gpus)}
        words = [f"--{name}={value}" for name, value in values.items() if value is not None]
        notice = NOTICE if self.notice is None else self.notice
        words += [f"--signal=B:USR1@{notice}"] if notice else []
        return [*self._nodes(), *words, f"--cpus-per-task={self.cpus or threads}", *self.options]

    def _nodes(self) -> list[str]:
        """One task a node: what starts all processes of the run there."""
        count = self.nodes or 1
        return [f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"] if count > 1 else []

    def _gres(self, gpus: int) -> str | None:
        """Of a run on the CPU no GPUs, whatever is configured for those that want some."""
        if not gpus:
            return self.gres if self.gres and not self.gres.startswith("gpu") else None
        return self.gres or f"gpu:{self.gpus or gpus}"

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {**asdict(self), "options": list(self.options)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> SlurmOptions:
        """Read options that were kept; ignores unknown keys."""
        known = {name: obj[name] for name in KEYS if obj.get(name) is not None}
        return cls(**{**known, "options": tuple(known.get("options", ()))})


KEYS = tuple(field.name for field in fields(SlurmOptions))

Where = Callable[[tuple[Any, ...]], str]
"""The place in a file of a path of keys: "config.yaml:3:5"."""


@dataclass(frozen=True, slots=True)
class SlurmLaunch:
    """What one launch asks of Slurm."""

    options: SlurmOptions
    """All together."""
    words: tuple[str, ...] = ()
    """What the command line said of it: "partition=gpu"."""


def configured(value: Any, where: Where, *, path: tuple[Any, ...] = ("slurm",)) -> dict[str, tuple[Any, str]]:
    """Check the mapping `slurm:` of a configuration; return {"slurm.partition": (value, where)}, recipes included.

    Raises UsageError with the place of a key that is unknown, or of a value that does not fit.
    """
    if not isinstance(value, Mapping):
        hint = "slurm: {partition: gpu}"
        raise UsageError(f"{_dotted(path)} must be a mapping of options.", where=where(path), hint=hint)
    found: dict[str, tuple[Any, str]] = {}
    for key, inner in value.items():
        at = (*path, key)
        if key == RECIPES and path == ("slurm",):
            found.update(_recipes(inner, where))
            continue
        _known(str(key), where(at), (*KEYS, RECIPES) if path == ("slurm",) else KEYS)
        found[_dotted(at)] = (_checked(str(key), inner, where(at)), where(at))
    return found


def _recipes(value: Any, where: Where) -> dict[str, tuple[Any, str]]:
    at = ("slurm", RECIPES)
    if not isinstance(value, Mapping):
        hint = "recipes: {starter/mosaic: {time: 01:00:00}}"
        raise UsageError("slurm.recipes must be a mapping from a recipe to its options.", where=where(at), hint=hint)
    found: dict[str, tuple[Any, str]] = {}
    for name, inner in value.items():
        if "/" not in str(name):
            text = f"{name!r} is no recipe: a recipe is family/name."
            raise UsageError(text, where=where((*at, name)), hint="detui recipes lists them")
        found.update(configured(inner, where, path=(*at, name)))
    return found


def of_settings(settings: Mapping[str, Any], recipe: str | None = None) -> SlurmOptions:
    """Return the options that a configuration has for all recipes, and over them those for `recipe`.

    `settings`: {"slurm.partition": value}.
    """
    general = _below("slurm.", settings)
    return _below(f"slurm.{RECIPES}.{recipe}.", settings).over(general) if recipe else general


def _below(prefix: str, settings: Mapping[str, Any]) -> SlurmOptions:
    found = {name[len(prefix) :]: value for name, value in settings.items() if name.startswith(prefix)}
    return SlurmOptions.from_json(found)


def launched(words: Iterable[str]) -> SlurmOptions:
    """Read what `--slurm` said, "key=value" each; `options` may be given again and again. Raises UsageError."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        where = f"--slurm {word}"
        if not equals or not value:
            raise UsageError("An option of Slurm is key=value.", where=where, hint="--slurm partition=gpu")
        _known(key, where, KEYS)
        if key == "options":
            found[key] = [*found.get(key, ()), *_checked(key, _split(value, where), where)]
        else:
            found[key] = _checked(key, value, where)
    return SlurmOptions.from_json(found)


def _split(value: str, where: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise UsageError(f"The words cannot be told apart: {error}.", where=where, hint="close the quotes") from None


def _known(key: str, where: str, keys: tuple[str, ...]) -> None:
    if key in keys:
        return
    close = difflib.get_close_matches(key, keys, 1)
    hint = close[0] if close else f"one of {', '.join(keys)}; options: [--word=…] takes what sbatch knows besides"
    raise UsageError(f"There is no option {key!r} of Slurm.", where=where, hint=hint)


def _checked(key: str, value: Any, where: str) -> Any:
    if value is None:  # back to what the cluster does by itself
        return None
    if key == "options":
        return _more(value, where)
    if key in ("cpus", "notice", "nodes"):
        return _count(key, value, where)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise UsageError(f"{key} must be a text.", where=where, hint=f"{key}: {_EXAMPLES.get(key, 'NAME')}")
    return str(value).strip()


_EXAMPLES = {"time": "'04:00:00'", "gres": "gpu:a100:1", "gpus": "a100:1", "mem": "32G", "partition": "gpu"}


_COUNTS = {"cpus": 8, "notice": 300, "nodes": 2}


def _count(key: str, value: Any, where: str) -> int:
    least = 0 if key == "notice" else 1
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or int(text) < least:
        raise UsageError(f"{key} must be a whole number, {least} or more.", where=where, hint=f"{key}: {_COUNTS[key]}")
    return int(text)


def _more(value: Any, where: str) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word for word in words):
        hint = "options: [--exclude=n7]"
        raise UsageError("options must be a list of words for sbatch.", where=where, hint=hint)
    for word in words:
        name = word.partition("=")[0]
        if name in _OURS:
            raise UsageError(f"{name} is given by detui itself.", where=where, hint=_INSTEAD.get(name, "leave it out"))
    return list(words)


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
