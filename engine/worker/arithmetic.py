"""Whether this process computes rightly: a few small operators against numpy in double precision, in milliseconds.

There are releases that compute wrongly without a word: torch's backward of BatchNorm on a CPU for a batch of one whose
output is flattened and transposed, and all of Jittor beside numpy 2. A training in them looks like any other. So each
worker tests its device before its first step, says what it found in `begin`, and refuses to train on wrong results.

    python arithmetic.py [jittor]

prints one JSON object a line: of torch on the CPU and on each GPU, or of Jittor; nothing where it is not installed.
The file needs the standard library alone until it tests, so that any interpreter can run it by its path.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

BATCH_NORM = "batch norm at batch 1"
"""The backward of a batch norm of one image, its output flattened and transposed as DETR's input projection does."""

MEANING = {
    "addition": "every number is corrupted on its way (known of Jittor with numpy 2)",
    "matmul": "matrix products are wrong",
    "convolution": "convolutions are wrong",
    "softmax": "softmax is wrong",
    "reduction": "sums are wrong",
    BATCH_NORM: "gradients are wrong where a batch of one image passes a BatchNorm whose output is flattened and "
    "transposed, as in DETR's input projection; batches of two or more are right",
}
"""Tests by name → what it means where one fails."""

TOLERANCE = {"cpu": 1e-4, "cuda": 1e-2}
"""The largest error relative to the largest reference value; that of GPUs leaves room for TF32."""

Result = dict[str, Any]
"""{"framework", "version", "numpy", "device", "errors": test → relative error or its text, "wrong": [test, …],
"seconds"}."""


def torch_tests(device: str = "cpu") -> Result:
    """Test torch on "cpu", "cuda" or "cuda:1". Draws from no generator of the training and changes no setting."""
    import numpy as np
    import torch
    from torch.nn import functional

    def put(array: Any) -> Any:
        return torch.tensor(array, device=device)

    def got(tensor: Any) -> Any:
        return tensor.detach().double().cpu().numpy()

    def batch_norm(x: Any, weights: Any) -> Any:
        with torch.enable_grad():
            leaf = put(x).requires_grad_()
            out = functional.batch_norm(leaf, None, None, None, None, True)
            (found,) = torch.autograd.grad((out.flatten(2).permute(0, 2, 1) * put(weights)).sum(), leaf)
        return got(found)

    tests = _tests(
        np,
        addition=lambda a: got(put(a) + 1),
        matmul=lambda a, b: got(put(a) @ put(b)),
        convolution=lambda x, w: got(functional.conv2d(put(x), put(w), padding=1)),
        softmax=lambda a: got(functional.softmax(put(a), dim=1)),
        reduction=lambda a: got(put(a).sum(1)),
        batch_norm=batch_norm,
    )
    return _tested("torch", str(torch.__version__), np.__version__, device, tests)


def jittor_tests() -> Result:
    """Test Jittor on the device that its flags choose. It must be imported already, or may be: see jittor_support."""
    import jittor as jt
    import numpy as np

    def got(var: Any) -> Any:
        return np.asarray(var.numpy(), dtype=np.float64)

    def batch_norm(x: Any, weights: Any) -> Any:
        leaf = jt.array(x)
        mean = leaf.mean((0, 2, 3), keepdims=True)
        variance = (leaf - mean).sqr().mean((0, 2, 3), keepdims=True)
        out = (leaf - mean) / jt.sqrt(variance + 1e-5)
        tokens = out.reshape(1, out.shape[1], -1).transpose(0, 2, 1)
        return got(jt.grad((tokens * jt.array(weights)).sum(), leaf))

    tests = _tests(
        np,
        addition=lambda a: got(jt.array(a) + 1),
        matmul=lambda a, b: got(jt.array(a) @ jt.array(b)),
        convolution=lambda x, w: got(jt.nn.conv2d(jt.array(x), jt.array(w), padding=1)),
        softmax=lambda a: got(jt.nn.softmax(jt.array(a), dim=1)),
        reduction=lambda a: got(jt.array(a).sum(1)),
        batch_norm=batch_norm,
    )
    device = "cuda" if jt.flags.use_cuda else "cpu"
    return _tested("jittor", str(jt.__version__), np.__version__, device, tests)


def _tests(np: Any, *, batch_norm: Callable[[Any, Any], Any], **operators: Any) -> dict[str, Callable[[], float]]:
    """Each test by its name: what it computes against numpy's own in double precision, as a relative error."""
    drawn = np.random.default_rng(0)  # its own generator: numpy's global one belongs to the training

    def normal(*shape: int) -> Any:
        return drawn.standard_normal(shape).astype(np.float32)

    a, b, x, w = normal(16, 24), normal(24, 8), normal(2, 4, 9, 9), normal(6, 4, 3, 3)
    images, weights = normal(1, 16, 8, 8), normal(1, 64, 16)

    def error(found: Any, reference: Any) -> float:
        if found.shape != reference.shape:
            return math.inf
        return float(np.abs(found - reference).max() / np.abs(reference).max())

    whole = np.arange(1, 7, dtype=np.int32)
    double = a.astype(np.float64)
    exps = np.exp(double - double.max(1, keepdims=True))
    return {
        # Of integers, as it was found: numpy 2 changed what Jittor reads of them.
        "addition": lambda: error(operators["addition"](whole), whole + 1.0),
        "matmul": lambda: error(operators["matmul"](a, b), double @ b.astype(np.float64)),
        "convolution": lambda: error(operators["convolution"](x, w), _convolved(np, x, w)),
        "softmax": lambda: error(operators["softmax"](a), exps / exps.sum(1, keepdims=True)),
        "reduction": lambda: error(operators["reduction"](a), double.sum(1)),
        BATCH_NORM: lambda: error(batch_norm(images, weights), _batch_norm_gradient(np, images, weights)),
    }


def _convolved(np: Any, x: Any, w: Any) -> Any:
    """A 3 × 3 convolution with a border of zeros: x [B, C, H, W], w [O, C, 3, 3] → [B, O, H, W]."""
    height, width = x.shape[2:]
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [
        np.einsum("bchw,oc->bohw", padded[:, :, i : i + height, j : j + width], w[:, :, i, j].astype(np.float64))
        for i in range(3)
        for j in range(3)
    ]
    return sum(parts)


def _batch_norm_gradient(np: Any, x: Any, weights: Any) -> Any:
    """The gradient of the weighted sum with respect to x [B, C, H, W]; weights [B, H·W, C]."""
    axes, x = (0, 2, 3), x.astype(np.float64)
    gradient = weights.astype(np.float64).transpose(0, 2, 1).reshape(x.shape)
    deviation = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    normal = (x - x.mean(axes, keepdims=True)) / deviation
    along = (gradient * normal).mean(axes, keepdims=True)
    return (gradient - gradient.mean(axes, keepdims=True) - normal * along) / deviation


def _tested(framework: str, version: str, numpy: str, device: str, tests: Mapping[str, Callable[[], float]]) -> Result:
    begun = time.perf_counter()
    errors: dict[str, float | str] = {}
    wrong = []
    for name, test in tests.items():
        try:
            found = test()
        except Exception as error:  # noqa: BLE001 - an operator that does not run is as wrong as one that errs
            errors[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            wrong.append(name)
            continue
        errors[name] = found if math.isfinite(found) else str(found)
        if not found <= TOLERANCE[device.partition(":")[0]]:
            wrong.append(name)
    seconds = round(time.perf_counter() - begun, 4)
    return {"framework": framework, "version": version, "numpy": numpy, "device": device, "errors": errors,
            "wrong": wrong, "seconds": seconds}  # fmt: skip


def refused(result: Mapping[str, Any], *, batch_of_one: bool) -> list[str]:
    """Return the failed tests that a training must not go on with.

    `batch_of_one`: whether a batch of one image passes a BatchNorm whose output is flattened and transposed. Where it
    never does, that test alone is no reason.
    """
    return [name for name in result["wrong"] if name != BATCH_NORM or batch_of_one]


def told(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Say which tests failed, by how much and what that means."""
    build = f"{result['framework']} {result['version']} on {result['device']} with numpy {result['numpy']}"
    said = "; ".join(f"{name} ({_size(result['errors'][name])}): {MEANING[name]}" for name in names)
    return f"{build} computes wrongly: {said}."


def _size(error: float | str) -> str:
    return f"relative error {error:.2g}" if isinstance(error, float) else str(error)


def results(framework: str) -> Iterator[Result]:
    """Test a framework on each device of this process; nothing where it is not installed."""
    if find_spec(framework) is None:
        return
    if framework == "jittor":
        os.environ["HOME"] = os.environ.get("JITTOR_HOME") or os.environ.get("HOME", "")  # why: see jittor_start.py
        import jittor  # noqa: F401 - may compile for minutes

        yield jittor_tests()
        return
    import torch

    yield torch_tests("cpu")
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        yield torch_tests(f"cuda:{index}")


def _main() -> None:
    import os

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints while it is imported is no result
    for result in results(sys.argv[1] if len(sys.argv) > 1 else "torch"):
        print(json.dumps(result), file=out, flush=True)
    os._exit(0)  # without what Jittor does at its end, which was seen to hang


if __name__ == "__main__":
    _main()
