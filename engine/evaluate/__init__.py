"""The one evaluator for all backends: boxes in original pixels, COCO metrics, hotcoco inside; and nuScenes' metric.

`judge` scores by the metric that a ground truth calls for (COCO's, VisDrone's where it knows ignore regions, nuScenes'
where it holds frames), `evaluate` by COCO's whatever it holds.
"""

from detui.engine.evaluate.coco import Result, evaluate
from detui.engine.evaluate.judging import judge
from detui.engine.evaluate.pending import evaluate_file, evaluate_run

__all__ = ["Result", "evaluate", "evaluate_file", "evaluate_run", "judge"]
