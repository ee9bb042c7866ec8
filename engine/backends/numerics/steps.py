"""One training step with selection and assignment drawn in numpy from the seed, and beside it the free ones.

So arms need nothing of each other, and may run on different machines. Needs numpy, and the framework that is named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from detui.engine.backends.parity.criterion import losses
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Array, Framework
from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.stepping import StepCase, StepResult, flat_result, random_case, step_of, unflat_result
from detui.engine.backends.parity.targets import Pairs

STRIDES = (8, 16, 32)


def drawn_case(size: Size, side: int, b: int, seed: int) -> StepCase:
    """A step of a fresh model on random images, with a selection and an assignment of the seed."""
    case, own = random_case(size, side, b, seed), np.random.RandomState(seed + 2)
    tokens = sum((side // stride) ** 2 for stride in STRIDES)
    queries = Detector(ShapesOnly(), size).selected_count(side, side)
    selection = np.stack([own.permutation(tokens)[:queries] for _ in range(b)]).astype(np.int64)
    pairs: dict[str, Pairs] = {}
    for place in [*(f"layer {n}" for n in range(size.decoder_layers)), "selected"]:
        pairs[place] = []
        for target in case.targets:
            count = min(len(target), queries)
            pairs[place].append((np.sort(own.permutation(queries)[:count]), own.permutation(len(target))[:count]))
    return replace(case, selection=selection, pairs=pairs)


def measure_step(framework: Framework, case: StepCase, told: Mapping[str, Any], *, whole: bool) -> dict[str, Array]:
    """The arrays that a round stores. `told`: side, batch and seed, by which the case is made again.

    `whole`: with gradients, parts and weights; the optimiser's moments are never stored.
    """
    detector = Detector(framework, case.size)
    detector.network.load(case.state)
    detector.train()
    with framework.no_gradients():
        output = detector(framework.tensor(case.images), case.denoising)
        free = losses(framework, output, case.targets, case.denoising)
    result = step_of(detector, case, keep_parts=whole)
    kept = replace(result, optimiser={}) if whole else replace(result, optimiser={}, gradients={}, state={}, parts={})
    beside = StepResult(0.0, {}, 0.0, {}, {}, {}, output.selection, free.pairs)
    found = flat_result(kept) | {f"free|{name}": value for name, value in flat_result(beside).items()}
    return found | {"case": np.array(json.dumps({**told, "size": asdict(case.size)}))}


def read_case(stored: Mapping[str, Array]) -> StepCase:
    """The case of stored arrays, made again from its seed."""
    told = json.loads(str(stored["case"]))
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told["size"].items()}
    return drawn_case(Size(**fields), told["side"], told["batch"], told["seed"])


def read_result(stored: Mapping[str, Array]) -> tuple[StepResult, StepResult]:
    """The step of stored arrays, and what was selected and assigned freely."""
    own = {name: value for name, value in stored.items() if not name.startswith("free|")}
    free = {name.removeprefix("free|"): value for name, value in stored.items() if name.startswith("free|")}
    return unflat_result(own), unflat_result(free)
