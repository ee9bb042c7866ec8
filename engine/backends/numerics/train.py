"""The training half of measurements: rounds instead of epochs, and files below measured/ instead of weights."""

from __future__ import annotations

import time
from typing import Any

from detui.engine.backends.parity.stored import store_operators, store_whole
from detui.engine.run.files import write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.arithmetic import jittor_tests, torch_tests
from detui.engine.worker.refusal import refuse_other_settings, refuse_wrong
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested


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
    from detui.engine.backends.parity.building import model_facts, used_sizes
    from detui.engine.backends.parity.train import flat_settings

    model = spec.config["model"]
    tested = jittor_tests() if framework.name == "jittor" else torch_tests(framework.device)
    asked = flat_settings(spec.config, ("model", "measure"))
    read = {**used_sizes(framework, size), "measure.classes": size.classes}
    used = {**asked, **{name: value for name, value in read.items() if name in asked}}
    report.begin(
        total_epochs=spec.total_epochs,
        steps_per_epoch=1,
        model=model_facts(size, model),
        checksums=_held(framework, size, spec.seed),
        asked=asked,
        used=used,
        device={"kind": framework.device, "name": measuring.device_name(framework)},
        framework=framework.version(),
        packages=measuring.packages(),
        threads=measuring.threads(),
        arithmetic=tested,
    )
    refuse_wrong(tested, batch_of_one=False)  # the model makes its tokens in another way: see parity/layers.py
    refuse_other_settings(asked, used)


def _held(framework: Any, size: Any, seed: int) -> dict[str, str]:
    """Checksums of the tensors' names and shapes, and of a seed's weights as the framework holds them."""
    from detui.engine.backends.parity.detector import Detector
    from detui.engine.backends.parity.stored import checksum_of, shapes_checksum

    network = Detector(framework, size).network
    network.initialise(seed)
    return {"tensors": shapes_checksum(network.shapes()), "weights": checksum_of(network.state())}


def _operators(spec: RunSpec, report: Reporter, framework: Any, size: Any, number: int) -> dict[str, Any]:
    return {"numerics/operators": float(store_operators(framework, report.attempt.path))}


def _step(spec: RunSpec, report: Reporter, framework: Any, size: Any, number: int) -> dict[str, Any]:
    from detui.engine.backends.numerics.steps import drawn_case, measure_step

    measure = spec.config["measure"]
    told = {"side": measure["image_size"], "batch": measure["batch"], "seed": 1000 * spec.seed + number}
    case = drawn_case(size, told["side"], told["batch"], told["seed"])
    arrays = measure_step(framework, case, told, whole=number <= measure["keep"])
    store_whole(report.attempt.path / f"measured/step-{number:04}.npz", arrays)
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
