"""What stages on other data must have to end in a model that the run is judged with. No torch here."""

from __future__ import annotations

from detui.engine.backends.torch_support.stages import check_last_stage, judged
from detui.engine.backends.ultralytics.dataset import reading
from detui.engine.backends.ultralytics.inputs import RGB, RGBD, reads_depth
from detui.engine.run.spec import RunSpec


def check_stages(spec: RunSpec) -> None:
    """Raise RunError for stages that cannot end in a model of the run's data, or be judged on it on their way."""
    check_last_stage(spec)
    for index, stage in enumerate(spec.stages):
        if judged(spec, index) == "beside":
            reading(spec.data or {}, RGBD if reads_depth(stage.config) else RGB)
