"""An experiment that measured what two frameworks compute, its arrays made with numpy: no framework is imported."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from trials import Trial

from detui.engine.backends.numerics.steps import drawn_case
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly
from detui.engine.backends.parity.layers import MOMENTUM
from detui.engine.backends.parity.measure import store
from detui.engine.backends.parity.operators import FAILED, Results, flat, table
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.stepping import StepCase, StepResult, flat_result
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

TINY = Size(
    (1, 1, 1, 1), widths=(8, 4, 8, 12), stem=8, channels=16, feed_forward=16, heads=2, points=2, decoder_layers=2,
    queries=20, denoising=6, classes=3, fusion_blocks=1,
)  # fmt: skip
PARTS = ("backbone.stem", "encoder.aifi", "decoder.layers.0", "decoder.layers.1", "decoder.boxes.1")
LAYERS = ("decoder.layers.0", "decoder.layers.1")
ROUNDS, SIDE, BATCH = 2, 64, 2


@cache
def case_of(seed: int) -> StepCase:
    """What a step is taken from."""
    return drawn_case(TINY, SIDE, BATCH, seed)


@cache
def _trainable() -> tuple[str, ...]:
    return tuple(Detector(ShapesOnly(), TINY).network.trainable())


def step(seed: int, *, noise: float = 1e-6, momentum: float = MOMENTUM, biased: bool = False) -> StepResult:
    """A step that could have been: drawn numbers, the same each time but for a share of `noise`.

    `momentum`, `biased`: how running statistics are remembered.
    """
    case, own, other = case_of(seed), np.random.RandomState(seed), np.random.RandomState(seed + 77)

    def drawn(shape: tuple[int, ...], size: float = 1.0) -> Array:
        values = own.standard_normal(shape) * size
        return (values * (1 + noise * other.standard_normal(shape))).astype(np.float32)

    parts = {name: drawn((2, 20, 16)) for name in PARTS}
    gradients = {name: drawn(case.state[name].shape) for name in _trainable()}
    state = dict(case.state)
    for name, gradient in gradients.items():
        state[name] = (case.state[name] - 1e-3 * np.tanh(gradient)).astype(np.float32)
    for name, before in case.state.items():
        if name.endswith((".running_mean", ".running_var")):
            seen = np.abs(drawn(before.shape)) + 0.5
            seen = seen * (31 / 32) if biased and name.endswith("var") else seen
            state[name] = (before * (1 - momentum) + seen * momentum).astype(np.float32)
    assert case.pairs is not None and case.selection is not None
    names = [f"{kind}/{place}" for kind in ("vfl", "bbox", "giou") for place in case.pairs]
    terms = {name: float(drawn((1,))[0]) for name in names}
    return StepResult(sum(terms.values()), terms, 3.0, parts, gradients, state, case.selection, case.pairs)


def swapped(result: StepResult) -> StepResult:
    """The same with the two decoder layers in each other's place."""

    def name_of(name: str) -> str:
        for one, two in (LAYERS, LAYERS[::-1]):
            if name == one or name.startswith(f"{one}."):
                return name.replace(one, two)
        return name

    parts = {name: result.parts[name_of(name)] for name in result.parts}
    return replace(result, parts=parts, gradients={name: result.gradients[name_of(name)] for name in result.gradients})


def stored(seed: int, result: StepResult, *, whole: bool = True) -> dict[str, Array]:
    """A round's arrays, as `measure_step` has them; what was chosen freely is what was forced, but for two tokens."""
    if not whole:
        result = replace(result, gradients={}, state={}, parts={})
    selection = result.selection.copy()
    selection[0, :2] = [84 + seed, 90 + seed]
    beside = StepResult(0.0, {}, 0.0, {}, {}, {}, selection, result.pairs)
    told = {"side": SIDE, "batch": BATCH, "seed": seed, "size": asdict(TINY)}
    found = flat_result(result) | {f"free|{name}": value for name, value in flat_result(beside).items()}
    return found | {"case": np.array(json.dumps(told))}


def operators(
    noise: float = 0.0, wrong: Mapping[str, str] | None = None, broken: Mapping[str, str] | None = None
) -> Results:
    """Results of every operator. `wrong`: operator → the result that is off by a hundredth; `broken`: → why not."""
    found: Results = {}
    for place, one in enumerate(table()):
        own, other = np.random.RandomState(place), np.random.RandomState(place + 1000)
        real = [name for name, value in one.inputs.items() if value.dtype.kind == "f" and name not in one.changed]
        values = {}
        for name in ["output", *(f"gradient of {name}" for name in real), *one.changed]:
            value = own.standard_normal((3, 4)) * (1 + noise * other.standard_normal((3, 4)))
            values[name] = (value * (1.01 if (wrong or {}).get(one.name) == name else 1)).astype(np.float32)
        found[one.name] = {FAILED: np.array(broken[one.name])} if one.name in (broken or {}) else values
    return found


def cost(times: float, sides: tuple[int, ...] = (160, 320), spread: float = 0.02) -> dict[str, Any]:
    """Seconds and bytes; `spread`: of inference, as a share."""
    passes = [0.02 * times * (1 + spread * n) for n in (-1, 0, 1)]
    return {str(side): {"first_step": 9.0 * times, "steps": [0.1 * times * side / 160] * 3, "passes": passes,
                        "memory": int(2**27 * times)} for side in sides}  # fmt: skip


class Numerical(Trial):
    """Arms of two rounds each; the first is the reference."""

    def __init__(
        self,
        folder: Path,
        what: str | None = None,
        arms: Sequence[str] = ("torch", "jittor"),
        seeds: tuple[int, ...] = (0,),
    ) -> None:
        """`what`: what is measured; None: everything at once, as no recipe does."""
        self.what, self.arms, self.seeds, self.profile = what, arms, seeds, "full"
        self.path, self.data = folder / "parity.step-20261120-134500", {}
        self.info = self._info()
        self.path.mkdir(parents=True)
        write_json(self.path / "experiment.json", self.info)
        self.runs = {name: RunDir.create(self.path / "runs" / name, self._spec(name)) for name in self.info["runs"]}

    def _info(self) -> dict[str, Any]:
        measure = {"measure": {"what": self.what}} if self.what else {}
        arms = [{"name": name, "title": {"en": name.title(), "zh": name.title()}, "sources": {},
                 "config": {"model": {"framework": name, "size": "r18"}, **measure}} for name in self.arms]  # fmt: skip
        return super()._info() | {
            "recipe": "parity/step", "family": "parity", "backend": "numerics", "arms": arms, "overrides": [],
            "goals": [], "claims": [], "varies": ["model.framework", "environment"], "fairness": [], "data": None,
            "environments": {arm: {"name": "detui" if arm == "torch" else "jittor"} for arm in self.arms},
            "title": {"en": "What Jittor and PyTorch compute", "zh": "Jittor 与 PyTorch 的计算结果"},
            "question": {"en": "Are they equal?", "zh": "二者是否相同？"}, "milestones": [ROUNDS], "epochs": ROUNDS,
            "stages": [], "differs": {"model.framework": {name: name for name in self.arms}},
            "checkpoint_rule": {"rule": "last"}, "record": {"template": "numerics", "languages": ["en", "zh"]},
            "runs": [f"{name}-s{seed}" for name in self.arms for seed in self.seeds],
            "command": "detui run parity/step",
        }  # fmt: skip

    def _spec(self, name: str) -> RunSpec:
        arm, _, seed = name.rpartition("-s")
        return RunSpec(
            experiment=self.path.name, recipe="parity/step", arm=arm, seed=int(seed), profile="full",
            backend="numerics", trainer="none:None", python=sys.executable, threads=1,
            device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)), config={},
            stages=(StageSpec(name="main", epochs=ROUNDS, config={}),), data=None, milestones=(ROUNDS,),
            checkpoint_rule=self.info["checkpoint_rule"],
        )  # fmt: skip

    def measured(self, arm: str, *, ended: str | None = "finished", rounds: int = ROUNDS) -> Path:
        """A run with nothing measured yet; the folder for it."""
        run: RunDir = self.runs[f"{arm}-s0"]
        attempt = run.attempt(1)
        folder = attempt.path / "measured"
        folder.mkdir(parents=True)
        write_json(attempt.path / "attempt.json", {"number": 1, "resume": None})
        run.append_event("starting", attempt=1)
        run.append_event("running", attempt=1, device=["cpu:0"])
        metrics = LineWriter(attempt.metrics_path)
        metrics.write({
            "kind": "begin", "t": 0.1, "attempt": 1, "resumed_from_step": 0, "total_epochs": ROUNDS,
            "steps_per_epoch": 1, "framework": f"{arm} 1.0", "packages": {"python": "3.11.7", "numpy": arm},
            "model": {"name": "rt-detr-r18", "parameters": 20_184_464, "trained": 20_184_464, "tensors": 500},
            "checksums": {"tensors": "ab12" * 3, "weights": "cd34" * 3},
            "asked": {"measure.rounds": ROUNDS}, "used": {"measure.rounds": ROUNDS},
            "device": {"kind": "cpu", "name": "Some CPU"}})  # fmt: skip
        for n in range(1, rounds + 1):
            at = {"t": n * 3.0, "step": n, "epoch": n, "stage": "main", "values": {"numerics/loss": 30.0}}
            metrics.write({"kind": "step", **at})
            metrics.write({"kind": "epoch", **at, "seconds": 3.0})
        if ended:
            metrics.write({"kind": "end", "t": 9.0, "step": rounds, "epoch": rounds, "outcome": ended})
            run.append_event(ended, attempt=1)
            outcome = {"state": ended, "code": 0, "signal": None, "reason": None, "seconds": 97.5}
            write_json(attempt.path / "exit.json", outcome)
        metrics.close()
        return folder

    def steps(self, folder: Path, *results: StepResult, whole: int = 1) -> None:
        """Store rounds; of those after `whole` the losses alone."""
        for number, result in enumerate(results, start=1):
            store(folder / f"step-{number:04}.npz", stored(number, result, whole=number <= whole))

    def costs(self, folder: Path, *rounds: dict[str, Any]) -> None:
        """Store rounds of costs."""
        for number, sides in enumerate(rounds, start=1):
            write_json(folder / f"cost-{number:04}.json", {"sides": sides})

    def operators(self, folder: Path, results: Results) -> None:
        """Store the results of operators."""
        store(folder / "operators.npz", flat(results))
