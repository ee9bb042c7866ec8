"""What weighting the loss by size costs: YOLO12n's criterion with and without it, against a whole training step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Say = Callable[[str, str, str], None]
SIDE, BATCH, OBJECTS, REPEATS = 640, 4, 50, 15


def loss_weights(say: Say) -> None:
    """CPU seconds of one thread, in pairs that follow each other, the sampling of gradients included."""
    import torch

    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.backends.ultralytics.plan import BySize
    from detui.engine.backends.ultralytics.size_weights import SizeWeights

    ensure_torchvision()
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolo12n.yaml", nc=10, verbose=False)
    model.args = get_cfg()
    batch = _batch(torch)
    step = statistics.median(_timed(lambda: model.train()(batch["img"])["boxes"].sum().backward()) for _ in range(3))
    outputs = {name: value for name, value in model(batch["img"]).items() if name != "feats"}
    features = model(batch["img"])["feats"]
    wanted = {"weights": {"small": 2.0, "medium": 1.5, "large": 1.0}}
    stock, weighted = model.init_criterion(), model.init_criterion()
    by_size = SizeWeights(BySize.model_validate(wanted).model_dump())
    by_size.listen(weighted)

    def run(criterion: Any, done: Callable[[], object]) -> Callable[[], None]:
        def once() -> None:
            leaves = {name: value.detach().requires_grad_() for name, value in outputs.items()}
            criterion({**leaves, "feats": features}, batch)[0].sum().backward()
            done()

        return once

    sides = (run(stock, lambda: None), run(weighted, lambda: list(by_size.step_done(1, 1))))
    pairs = [tuple(_timed(side) for side in sides) for _ in range(REPEATS * by_size.measure_every)]
    added = statistics.mean(second - first for first, second in pairs)
    loss = statistics.median(first for first, _ in pairs)
    say("loss weights: criterion without / added", f"{1000 * loss:.1f} / {1000 * added:.2f} ms", "–")
    share = added / (step + loss)
    say(f"the same of a step at {SIDE} px, batch {BATCH}", f"{100 * share:.2f} %", "1 % of a step")


def _timed(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def _batch(torch: Any) -> dict[str, Any]:
    """Pictures of noise with many small objects, as from the air."""
    count = BATCH * OBJECTS
    sides = 0.01 + 0.1 * torch.rand(count, 2) ** 2
    return {
        "img": torch.rand(BATCH, 3, SIDE, SIDE),
        "batch_idx": torch.arange(BATCH).repeat_interleave(OBJECTS).float(),
        "cls": torch.randint(0, 10, (count, 1)).float(),
        "bboxes": torch.cat([0.1 + 0.8 * torch.rand(count, 2), sides], 1),
    }
