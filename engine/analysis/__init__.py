"""What the numbers say and what they do not: seeds, goals, the chosen checkpoint, fairness."""

from detui.engine.analysis.choice import chosen, standing
from detui.engine.analysis.fairness import Finding, audit, flatten
from detui.engine.analysis.goals import Verdict, judge_goal
from detui.engine.analysis.seeds import Comparison, SeedSummary, compare, summarise

__all__ = [
    "Comparison",
    "Finding",
    "SeedSummary",
    "Verdict",
    "audit",
    "chosen",
    "compare",
    "flatten",
    "judge_goal",
    "standing",
    "summarise",
]
