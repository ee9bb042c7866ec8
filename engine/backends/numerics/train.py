"""The training half of measurements: rounds instead of epochs, and files below measured/ instead of weights."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from detui.engine.errors import RunError
from detui.engine.run.files import write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.arithmetic import jittor_tests, torch_tests
from detui.engine.worker.refusal import refuse_wrong
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

OPERATORS = "measured/operators.npz"
"""Where the operators' results lie in an attempt; trainings of `parity` store theirs in the same place."""


class NumericsTrainer:
    """Measures."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Measure round after round. Raises StopRequested after a stop, RunError for wrong arithmetic."""
        from detui.engine.backends.parity.building import framework_of, size_of

        model, measure = spec.config["model"], spec.config["measure"]
        framework = framework_of(model, "cpu" if spec.device.kind == "cpu" else "cuda", spec.seed)
        size = size_of(model, measure["classes"])
        _begin(spec, report, framework, size)
        if measure["shipped"]:
            framework = framework.shipped()
        (report.attempt.path / "measured").mkdir(exist_ok=True)
        for number in range(report.last_epoch + 1, measure["rounds"] + 1):
            if report.stop_requested:
                raise StopRequested
            begun = time.monotonic()
            values = {"operators": _operators, "step": _step, "cost": _cost}[measure["what"]](
                spec, report, framework, size, number
            )
            report.step(number, number, values)
            report.epoch(number, number, values, seconds=time.monotonic() - begun)
            done = report.attempt.checkpoints / f"round-{number:04}.json"
            write_json(done, {"schema": 1, "round": number})
            report.checkpoint(done, number, number)


def _begin(spec: RunSpec, report: Reporter, framework: Any, size: Any) -> None:
    """Say what is measured, compared with what was asked, and refuse wrong arithmetic."""
    from detui.engine.backends.parity import measuring
    from detui.engine.backends.parity.building import model_facts
    from detui.engine.backends.parity.train import flat_settings

    model = spec.config["model"]
    tested = jittor_tests() if framework.name == "jittor" else torch_tests(framework.device)
    asked = flat_settings(spec.config, ("model", "measure"))
    read = {"model.framework": framework.name, "model.queries": size.queries, "model.denoising": size.denoising,
            "model.layers": size.decoder_layers, "model.channels": size.channels,
            "model.feed_forward": size.feed_forward, "model.heads": size.heads, "model.points": size.points,
            "measure.classes": size.classes}  # fmt: skip
    used = {**asked, **{name: value for name, value in read.items() if name in asked}}
    report.begin(
        total_epochs=spec.total_epochs,
        steps_per_epoch=1,
        model={**model_facts(size, model), **_checksums(size, spec.seed)},
        asked=asked,
        used=used,
        device={"kind": framework.device, "name": measuring.device_name(framework)},
        framework=framework.version(),
        packages=measuring.packages(),
        threads=measuring.threads(),
        arithmetic=tested,
    )
    refuse_wrong(tested, batch_of_one=False)  # the model makes its tokens in another way: see parity/layers.py
    if different := [name for name in asked if asked[name] != used[name]]:
        told = ", ".join(f"{name} {asked[name]} was asked and {used[name]} is used" for name in different)
        raise RunError(f"Settings are not what was asked: {told}.", where=different[0])


def _checksums(size: Any, seed: int) -> dict[str, str]:
    """SHA-256 of the tensors' names and shapes, and of their first values, in the order of the names."""
    from detui.engine.backends.parity.detector import Detector
    from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly

    network = Detector(ShapesOnly(), size).network
    network.initialise(seed)
    names, values = hashlib.sha256(), hashlib.sha256()
    for name, value in sorted(network.state().items()):
        names.update(json.dumps([name, list(value.shape)]).encode())
        values.update(value.tobytes())
    return {"names_sha256": names.hexdigest(), "weights_sha256": values.hexdigest()}


def _operators(spec: RunSpec, report: Reporter, framework: Any, size: Any, number: int) -> dict[str, Any]:
    from detui.engine.backends.parity.operators import FAILED, flat, measure

    found = measure(framework)
    _store(report, OPERATORS, flat(found))
    return {"numerics/operators": float(sum(FAILED not in one for one in found.values()))}


def _step(spec: RunSpec, report: Reporter, framework: Any, size: Any, number: int) -> dict[str, Any]:
    from detui.engine.backends.numerics.steps import drawn_case, measure_step

    measure = spec.config["measure"]
    told = {"side": measure["image_size"], "batch": measure["batch"], "seed": 1000 * spec.seed + number}
    case = drawn_case(size, told["side"], told["batch"], told["seed"])
    arrays = measure_step(framework, case, told, whole=number <= measure["keep"])
    _store(report, f"measured/step-{number:04}.npz", arrays)
    return {"numerics/loss": float(arrays["total"]), "numerics/gradient_norm": float(arrays["norm"])}


def _cost(spec: RunSpec, report: Reporter, framework: Any, size: Any, number: int) -> dict[str, Any]:
    from detui.engine.backends.numerics.cost import measure_cost, values_of
    from detui.engine.backends.numerics.steps import drawn_case

    measure = spec.config["measure"]
    values: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    for side in measure["image_sizes"]:
        if report.stop_requested:
            raise StopRequested
        case = drawn_case(size, side, measure["batch"], spec.seed)
        whole[str(side)] = measure_cost(framework, case, measure["warmup"], measure["repeats"])
        values |= values_of(side, whole[str(side)])
    write_json(report.attempt.path / "measured" / f"cost-{number:04}.json", {"schema": 1, "sides": whole})
    return values


def _store(report: Reporter, name: str, arrays: Mapping[str, Any]) -> None:
    """Write arrays whole or not at all."""
    from detui.engine.backends.parity.measure import store
    from detui.engine.backends.torch_support.whole import whole

    whole(lambda path: store(path, arrays), report.attempt.path / name)
