"""What one run is asked to do: written once into spec.json, read by supervisor and worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from detui.engine.errors import FormatError
from detui.engine.run.files import check_schema

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSpec:
    """A phase of the run that continues from the previous one's weights."""

    name: str
    """"main" where the recipe names no stages."""
    epochs: int
    """Length of this stage alone."""
    config: dict[str, Any]
    """The arm's whole configuration in this stage, not only what differs."""
    data: dict[str, Any] | None = None
    """What this stage trains on, in the form of RunSpec.data; None: the run's own data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRequest:
    """Which devices the run may have, and how many of them it needs."""

    kind: str
    """"cpu" or "cuda"."""
    count: int
    """How many the run takes at once, on each of its nodes."""
    candidates: tuple[str, ...]
    """Resource names to choose from: "cpu:0", "cpu:1"… or GPU UUIDs."""
    named: bool = False
    """Whether a person named the candidates: then a GPU that strangers use is taken all the same."""
    min_free_memory: int = 0
    """Bytes that a GPU must have free before the run takes it; 0: whatever is left by others."""
    on_busy: str = "wait"
    """"wait" in the queue, or "fail" where no device is free at the start."""
    granted: bool = False
    """Whether a batch system gives the devices to the run's job: then there is nothing to choose from before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    """One arm with one seed, fully resolved."""

    schema: int = 1
    """Version of the file format."""
    experiment: str
    """Id of the experiment, which is the name of its directory."""
    recipe: str
    """"family/name"."""
    arm: str
    """Name of the arm within the recipe."""
    seed: int
    """Seed of everything random in this run."""
    profile: str
    """"full", "quick", "smoke" or another profile of the recipe."""
    backend: str
    """Name of the framework's adapter."""
    trainer: str
    """"module:Class" of the backend's training half, imported by the worker."""
    python: str
    """The interpreter that the worker runs in."""
    pythonpath: tuple[str, ...] = ()
    """Directories put in front of the worker's PYTHONPATH."""
    environ: dict[str, str] = field(default_factory=dict)
    """Environment variables of the worker, over those inherited."""
    device: DeviceRequest
    """What the run trains on."""
    threads: int
    """OMP_NUM_THREADS of the worker, and of each of its ranks."""
    ranks: int = 1
    """Processes that train together, one a device, started by torchrun; 1: the worker trains by itself."""
    nodes: int = 1
    """Nodes of a job of Slurm's that its ranks are spread over, as many on each."""
    config: dict[str, Any]
    """The arm's configuration; a stage may carry its own."""
    stages: tuple[StageSpec, ...]
    """At least one, in order."""
    data: dict[str, Any] | None
    """What the run is judged on, in the form of `data` in experiment.json; None for programs that bring their own."""
    masks: bool | None = None
    """Whether its detections carry masks, so that none at all is a mask AP of 0; None: as it is found in them."""
    milestones: tuple[int, ...]
    """Epochs, counted over the whole run, after which predictions are dumped."""
    checkpoint_rule: dict[str, Any]
    """{"rule": "best", "metric": "val/AP"} or {"rule": "last"}."""
    grace: float = 30.0
    """Seconds between a stop request and the kill of a worker that did not heed it."""
    after: tuple[str, ...] = ()
    """Command that evaluates and records; the run directory is appended. Empty: none."""
    stop_on: tuple[str, ...] = ()
    """Names of the alarms at which the run stops by itself, with a checkpoint."""
    hooks: dict[str, Any] = field(default_factory=dict)
    """Commands of the user's: {"run_end" | "experiment_end" | "alarm": [word, …], "seconds": limit}."""
    branch: dict[str, Any] | None = None
    """Where a branched run starts: {"run", "attempt", "checkpoint", "step", "epoch", "stage"}, or None."""

    @property
    def name(self) -> str:
        """Name of the run and of its directory."""
        return f"{self.arm}-s{self.seed}"

    @property
    def total_epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """Return the object that spec.json holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: dict[str, Any], where: object = "spec.json") -> RunSpec:
        """Read the object of a spec.json. Ignores unknown keys; raises FormatError naming file and field."""
        check_schema(obj, where)
        read = _Fields(obj, where)
        return cls(
            **{name: read.one(name, str) for name in _TEXTS},
            seed=read.one("seed", int),
            threads=read.one("threads", int),
            ranks=read.one("ranks", int, 1),
            nodes=read.one("nodes", int, 1),
            pythonpath=read.many("pythonpath", str, ()),
            environ=read.one("environ", dict, {}),
            device=_device(_Fields(read.one("device", dict), where, "device.")),
            config=read.one("config", dict),
            stages=tuple(
                _stage(_Fields(stage, where, f"stages[{index}]."))
                for index, stage in enumerate(read.many("stages", dict))
            ),
            data=read.one("data", (dict, type(None)), None),
            masks=read.one("masks", (bool, type(None)), None),
            milestones=read.many("milestones", int, ()),
            checkpoint_rule=read.one("checkpoint_rule", dict),
            grace=float(read.one("grace", (int, float), 30.0)),
            after=read.many("after", str, ()),
            stop_on=read.many("stop_on", str, ()),
            hooks=read.one("hooks", dict, {}),
            branch=read.one("branch", (dict, type(None)), None),
        )


_TEXTS = ("experiment", "recipe", "arm", "profile", "backend", "trainer", "python")
_REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class _Fields:
    """Typed reading of a JSON object, with the field's name in every complaint."""

    obj: dict[str, Any]
    where: object
    prefix: str = ""

    def one(self, name: str, kind: Any, default: Any = _REQUIRED) -> Any:
        value = self.obj.get(name, default)
        if value is _REQUIRED:
            raise FormatError(f"`{self.prefix}{name}` is missing.", where=str(self.where))
        if value is default:
            return value
        return self._checked(value, kind, name)

    def many(self, name: str, kind: type[T], default: Any = _REQUIRED) -> tuple[T, ...]:
        values = self.one(name, (list, tuple), default)
        return tuple(self._checked(value, kind, f"{name}[{index}]") for index, value in enumerate(values))

    def _checked(self, value: Any, kind: Any, name: str) -> Any:
        if isinstance(value, kind) and not (isinstance(value, bool) and bool not in _kinds(kind)):
            return value
        expected = "/".join(k.__name__ for k in _kinds(kind))
        message = f"`{self.prefix}{name}` is {value!r}; expected {expected}."
        raise FormatError(message, where=str(self.where))


def _kinds(kind: Any) -> tuple[type, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def _device(read: _Fields) -> DeviceRequest:
    return DeviceRequest(
        kind=read.one("kind", str),
        count=read.one("count", int),
        candidates=read.many("candidates", str),
        named=read.one("named", bool, False),
        min_free_memory=read.one("min_free_memory", int, 0),
        on_busy=read.one("on_busy", str, "wait"),
        granted=read.one("granted", bool, False),
    )


def _stage(read: _Fields) -> StageSpec:
    return StageSpec(
        name=read.one("name", str),
        epochs=read.one("epochs", int),
        config=read.one("config", dict),
        data=read.one("data", (dict, type(None)), None),
    )
