"""What AQR costs: its renderer and modulator against a dense splat, and its share of a training step.

Each side of the first comparison runs in a process of its own: the peak of memory is that process's, less what it had
before. Times are CPU seconds on a CPU, and seconds between events on a GPU, forwards and backwards.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[str, str, str], None]
BATCH, QUERIES, CHANNELS, BEV, VIEWS, PICTURE = 4, 1290, 256, 180, 6, (20, 50)
"""The document's: pictures of 800 × 320 pixels at stride 16, 900 learned queries and 390 noised ones."""
REPEATS = int(os.environ.get("BENCH_AQR_REPEATS", "3"))


def aqr(say: Say) -> None:
    """Both comparisons."""
    sides = {name: _apart(name) for name in ("dense", "separable")}
    dense, separable = sides["dense"], sides["separable"]
    if dense.get("error"):
        say("AQR: dense splat", dense["error"], "–")
    else:
        times, memory = (dense[what] / separable[what] for what in ("seconds", "bytes"))
        told = f"{dense['seconds']:.2f} / {separable['seconds']:.2f} s"
        say(f"AQR on {separable['device']}: dense splat / separable", f"{told}, ratio {times:.1f}", "–")
        told = f"{dense['bytes'] / 1e6:.0f} / {separable['bytes'] / 1e6:.0f} MB"
        say("the same, peak memory", f"{told}, ratio {memory:.1f}", "–")
    share = _share()
    say(f"AQR's share of a training step ({share['what']})", f"{100 * share['share']:.1f} %", "–")


def _apart(name: str) -> dict[str, Any]:
    """What `side` measures, in a process of its own."""
    command = [sys.executable, str(Path(__file__)), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def side(name: str) -> dict[str, Any]:
    """Seconds and bytes of one side, modulation of the features included."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    given = _given(torch, device)
    from detui.engine.backends.torch.fusion.modulator import Modulator
    from detui.engine.backends.torch.fusion.renderer import GaussianRenderer

    renderer, modulate = GaussianRenderer().to(device), Modulator()
    if name == "dense":
        renderer.splat = dense  # type: ignore[method-assign]

    def once() -> None:
        lidar, camera = (given[key].detach().requires_grad_() for key in ("lidar", "camera"))
        above = renderer(lidar, given["bev_cells"], given["bev_drawn"], (BEV, BEV)).map
        ahead = renderer(camera[:, None].expand(-1, VIEWS, -1), given["cells"], given["drawn"], PICTURE).map
        (modulate(given["bev"], above).sum() + modulate(given["pictures"], ahead).sum()).backward()

    before = _memory(torch, device, reset=True)
    once()
    peak = _memory(torch, device, reset=False) - before
    seconds = statistics.median(_timed(torch, device, once) for _ in range(REPEATS))
    return {"seconds": seconds, "bytes": peak, "device": device.type}


def dense(weights: Any, cells: Any, drawn: Any, size: tuple[int, int]) -> Any:
    """A whole map for each query, and their sum: [..., Q, H, W] lies in memory."""
    import torch

    rows = torch.arange(size[0], device=weights.device)[:, None] - cells[..., 0].floor()[..., None, None]
    columns = torch.arange(size[1], device=weights.device)[None] - cells[..., 1].floor()[..., None, None]
    bell = torch.exp(-(rows**2 + columns**2) / 2.0) * ((rows.abs() <= 3) & (columns.abs() <= 3))
    total = torch.exp(-(torch.arange(-3, 4, device=weights.device) ** 2) / 2.0).sum() ** 2
    return ((weights * drawn)[..., None, None] * (bell / total)).sum(-3)


def _given(torch: Any, device: Any) -> dict[str, Any]:
    """Weights and cells of the queries, each in one picture, and the features of both sensors."""
    torch.manual_seed(0)
    view = torch.randint(0, VIEWS, (BATCH, 1, QUERIES))
    given = {
        "lidar": torch.rand(BATCH, QUERIES),
        "camera": torch.rand(BATCH, QUERIES),
        "bev_cells": torch.rand(BATCH, QUERIES, 2) * BEV,
        "bev_drawn": torch.ones(BATCH, QUERIES, dtype=torch.bool),
        "cells": torch.rand(BATCH, VIEWS, QUERIES, 2) * torch.tensor(PICTURE),
        "drawn": view == torch.arange(VIEWS)[None, :, None],
        "bev": torch.randn(BATCH, CHANNELS, BEV, BEV),
        "pictures": torch.randn(BATCH, VIEWS, CHANNELS, *PICTURE),
    }
    return {name: value.to(device) for name, value in given.items()}


def _share() -> dict[str, Any]:
    """Steps with AQR and without, in turns: the quick profile's sizes on a CPU, the document's on a GPU."""
    import torch

    sys.path.insert(0, str(Path(__file__).parents[1] / "workers"))
    from tiny_frames import tiny_frame

    from detui.engine.backends.torch.fusion.detector import DetectorOptions, FusionDetector
    from detui.engine.backends.torch.fusion.inputs import collate
    from detui.engine.backends.torch.fusion.losses import detection_losses

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    quick: dict[str, Any] = {"channels": 96, "bev_grid": 64, "queries": 150, "layers": 3, "heads": 4, "hidden": 384,
                             "ray_points": 16, "denoising_groups": 5}  # fmt: skip
    whole = device.type == "cuda"
    sizes = {} if whole else quick
    # The document's: 390 noised queries are ten groups of 39 boxes. The camera's network is the small one in both.
    of_frames: dict[str, Any] = {"boxes": 39, "size": (320, 800)} if whole else {}
    frames = [tiny_frame(index, points=30_000, **of_frames) for index in range(BATCH if whole else 1)]
    models = [FusionDetector(DetectorOptions(**sizes, **extra)).to(device) for extra in ({}, {"aqr": None})]
    batch = collate(frames, scale=1.0, crop_top=0.0, space=models[0].options.space).to(device)

    def step(model: Any) -> Callable[[], None]:
        def once() -> None:
            output = model(batch, denoise=True)
            sum(detection_losses(output.layers, batch.boxes, batch.labels, output.denoising).values()).backward()

        once()
        return once

    sides = [step(model) for model in models]
    pairs = [tuple(_timed(torch, device, one) for one in sides) for _ in range(REPEATS * 2)]
    share = statistics.median((with_ - without) / with_ for with_, without in pairs)
    names = "the document's sizes, a small camera network" if whole else "small sizes"
    return {"share": share, "what": f"{names}, {device.type}"}


def _timed(torch: Any, device: Any, action: Callable[[], object]) -> float:
    if device.type != "cuda":
        before = time.process_time()
        action()
        return time.process_time() - before
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    action()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000


def _memory(torch: Any, device: Any, *, reset: bool) -> int:
    """The most bytes so far; with `reset` those in use, from which a peak is counted."""
    if device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    print(json.dumps(side(sys.argv[1])))
