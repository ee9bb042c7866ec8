"""The one evaluator for all backends: boxes in original pixels, COCO metrics, hotcoco inside."""

from detui.engine.evaluate.coco import Result, evaluate
from detui.engine.evaluate.pending import evaluate_file, evaluate_run

__all__ = ["Result", "evaluate", "evaluate_file", "evaluate_run"]
