"""The training half: Ultralytics' own trainer, watched through its callbacks.

Nothing of its training loop is replaced but the last validation, which would
strip the optimizer from the checkpoint and print numbers that never enter a
comparison. A stop is honoured after the step in progress; what can be resumed
is the last complete epoch.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics import settings
from detui.engine.backends.ultralytics.dataset import private_view
from detui.engine.backends.ultralytics.offline import go_offline, switch_off_trackers
from detui.engine.backends.ultralytics.watch import Watch
from detui.engine.errors import RunError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter


class UltralyticsTrainer:
    """Trains a YOLO or RT-DETR detector, stage after stage."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run. Raises StopRequested after a stop, RunError when asked and used settings differ."""
        folder = report.attempt.path / "ultralytics"
        go_offline(folder / "config")
        operators = ensure_torchvision()
        from ultralytics import settings as ultralytics_settings

        switch_off_trackers(ultralytics_settings)
        data = private_view(spec.data or {}, folder / "data")
        resume = report.resume
        first = int(resume.get("stage") or 0) if resume else 0
        weights = _initial_weights(spec)
        for index in range(first, len(spec.stages)):
            watch = Watch(spec, report, index, facts={"packages": packages(operators)})
            resumed = Path(resume["checkpoint"]) if resume and index == first else None
            trainer = _trainer(spec, index, data, folder / spec.stages[index].name, weights, resumed)
            watch.attach(trainer)
            trainer.train()
            weights = watch.last_checkpoint
            if weights is None:
                raise RunError(f"Stage {spec.stages[index].name!r} ended without a checkpoint.")
            # The same bytes as our resume.pt, and Ultralytics' own choice of a best epoch, which nothing reads.
            for file in (trainer.last, trainer.best):
                file.unlink(missing_ok=True)


def _initial_weights(spec: RunSpec) -> Path | None:
    given = spec.config["model"]["weights"]
    return Path(given) if given else None


def _trainer(spec: RunSpec, index: int, data: Path, folder: Path, weights: Path | None, resumed: Path | None) -> Any:
    """An Ultralytics trainer for one stage, told everything explicitly."""
    config = spec.stages[index].config
    device = "cpu" if spec.device.kind == "cpu" else ",".join(map(str, range(spec.device.count)))
    arguments = settings.arguments(config, seed=spec.seed, data=data, folder=folder, device=device)
    name = config["model"]["name"]
    arguments["model"] = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    if weights is not None:
        arguments["pretrained"] = str(weights)
    if resumed is not None:
        _check_resumable(resumed)
        arguments |= {"resume": str(resumed), "model": str(resumed)}
    return _trainer_class(name)(overrides=arguments)


def _trainer_class(name: str) -> Any:
    from detui.engine.backends.ultralytics.plan import is_rtdetr

    if is_rtdetr(name):
        from ultralytics.models.rtdetr.train import RTDETRTrainer as Base
    else:
        from ultralytics.models.yolo.detect import DetectionTrainer as Base

    class Trainer(Base):  # type: ignore[misc]
        """Ultralytics' trainer without its final validation."""

        def final_eval(self) -> None:
            """Our evaluator judges every arm on the dumped predictions; the optimizer stays in last.pt."""

    return Trainer


def _check_resumable(path: Path) -> None:
    """Ultralytics starts a new run on another data set when the checkpoint holds no optimizer."""
    from ultralytics.nn.tasks import torch_safe_load

    try:
        checkpoint, _ = torch_safe_load(str(path))
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        message = f"The checkpoint cannot be read ({type(error).__name__}): it may be truncated."
        raise RunError(message, where=str(path), hint="start the run again") from error
    if checkpoint.get("epoch", -1) < 0 or checkpoint.get("optimizer") is None:
        raise RunError("The checkpoint holds no optimizer state, so it cannot be resumed.", where=str(path))


def packages(operators: str) -> dict[str, str]:
    """Versions of what trains, and which torchvision operators are in use."""
    import torch
    import torchvision
    import ultralytics

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": f"{torchvision.__version__} ({operators} operators)",
        "ultralytics": ultralytics.__version__,
    }
