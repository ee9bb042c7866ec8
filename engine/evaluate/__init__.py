"""The one evaluator for all backends: boxes in original pixels, COCO metrics, hotcoco inside."""

from detui.engine.evaluate.coco import BoxResult, evaluate_boxes
from detui.engine.evaluate.pending import evaluate_file, evaluate_run

__all__ = ["BoxResult", "evaluate_boxes", "evaluate_file", "evaluate_run"]
