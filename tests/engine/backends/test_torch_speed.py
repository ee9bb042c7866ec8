"""Size and speed of a module in PyTorch, against numbers counted by hand."""

from __future__ import annotations

import pytest

from detui.engine.errors import RunError

torch = pytest.importorskip("torch")


def model() -> object:
    """One convolution (3 → 8, 3×3, same size) and one product (8 → 5), for pictures of any size."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


def test_size_is_counted_and_settings_are_told() -> None:
    from detui.engine.backends.torch_support.speed import measure

    found = measure(
        model(), torch.rand(2, 3, 16, 20), None, precision="fp32", frozen=lambda name: name.startswith("1.")
    )
    macs = 16 * 20 * 8 * 3 * 9 + 8 * 5
    assert found["gmacs"] == pytest.approx(macs / 1e9) and found["gflops"] == pytest.approx(2 * macs / 1e9)
    assert found["parameters"] == (3 * 8 * 9 + 8) + 16 + (8 * 5 + 5)
    assert found["trainable"] == found["parameters"] - 16
    assert (found["batch"], found["input"], found["precision"]) == (2, [3, 16, 20], "fp32")
    assert found["whole"]["fps"] == pytest.approx(2000 / found["whole"]["median_ms"])


def test_post_processing_gets_full_precision_whatever_the_model_runs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from detui.engine.backends.torch_support import speed

    monkeypatch.setattr("detui.engine.worker.speed.LEAST_SECONDS", 0.0)
    seen = []
    speed.measure(model(), torch.rand(1, 3, 8, 8), lambda raw: seen.append(raw.dtype), precision="bf16")
    assert set(seen) == {torch.float32}
    nested = speed.as_float((torch.ones(1).half(), {"kept": torch.ones(1, dtype=torch.int64)}, None))
    assert nested[0].dtype == torch.float32 and nested[1]["kept"].dtype == torch.int64 and nested[2] is None


def test_a_model_that_cannot_run_in_a_precision_is_an_error_with_a_way_out() -> None:
    from detui.engine.backends.torch_support.speed import measure

    class Fixed(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)

        def forward(self, x: object) -> object:
            return self.inner(x.float())  # type: ignore[attr-defined]

    with pytest.raises(RunError, match="cannot run in fp16") as caught:
        measure(Fixed().eval(), torch.rand(1, 4), None, precision="fp16")
    assert "--precision fp32" in str(caught.value.hint)


def test_attention_on_a_cpu_is_counted_and_named_tuples_keep_their_names() -> None:
    from typing import NamedTuple

    from detui.engine.backends.torch_support.speed import as_float, size

    class Attends(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: object) -> object:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    assert size(Attends(), torch.rand(1, 2, 10, 8))["gflops"] == pytest.approx(2 * 2 * 2 * 10 * 10 * 8 / 1e9)

    class Said(NamedTuple):
        boxes: object

    found = as_float(Said(torch.ones(1).half()))
    assert isinstance(found, Said) and found.boxes.dtype == torch.float32  # type: ignore[attr-defined]
