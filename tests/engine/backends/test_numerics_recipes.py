"""The shipped recipes that measure, as a person starts them, with Jittor, and the records that they leave."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from run_lines import Line, ended, lines

from detui.engine.configuration import Configuration
from detui.engine.environment.standing import standing
from detui.engine.record.blocks import find
from detui.engine.run.directory import RunDir
from detui.engine.worker.arithmetic import BATCH_NORM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # Jittor compiles kernels that it has not seen yet


RECIPES = ("parity/step", "parity/operators", "parity/speed")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, jittor_found: None) -> Line:
    """All of them, started."""
    if (problem := standing("jittor", Configuration.load()).problem) is not None:
        pytest.skip(f"no environment jittor: {problem}")
    found = Line(tmp_path_factory.mktemp("recipes") / "line", "")
    for recipe in RECIPES:
        found("run", recipe, "--profile", "smoke", "--devices", "cpu", "--yes", "--detach")
    return found


def measured(line: Line, recipe: str) -> tuple[Path, dict[str, str]]:
    """Every run of a recipe, to its end; the experiment and the blocks of its English record."""
    (experiment,) = line.workspace.glob(f"{recipe.replace('/', '.')}-*")
    named = json.loads((experiment / "experiment.json").read_text(encoding="utf-8"))["runs"]
    for name in named:
        run = ended(RunDir(experiment / "runs" / name), "finished", seconds=1500)
        assert lines(run, "begin")[0]["arithmetic"]["wrong"] in ([], [BATCH_NORM])
    line("record", "fill", experiment.name)
    texts = [(experiment / name).read_text(encoding="utf-8") for name in ("record.md", "record.zh.md")]
    english, chinese = map(find, texts)
    assert list(english) == list(chinese)
    assert "🛑" not in texts[0] and "One model" in english["answer"]
    assert re.findall(r"\*\*Table (\d+)", texts[0]) == [str(n) for n in range(1, 1 + texts[0].count("**Table "))]
    return experiment, english


def test_a_step(line: Line) -> None:
    experiment, blocks = measured(line, "parity/step")
    assert "✅ `jittor` takes the same step as `torch`" in blocks["answer"], blocks["answer"]
    assert "| `jittor` | 1 |" in blocks["steps"] and "| `jittor` | `backbone.stem` |" in blocks["step-modules"]
    assert "operators" not in blocks and "costs" not in blocks, "what is not measured has no section"
    assert len(json.loads((experiment / "steps.json").read_text())["rounds"]) == 1


def test_operators(line: Line) -> None:
    experiment, blocks = measured(line, "parity/operators")
    assert "`jittor` computes all" in blocks["answer"]
    assert "it differs most in: " in blocks["answer"].partition("`jittor-shipped` computes")[2], "its own layers do"
    with np.load(next(experiment.glob("runs/jittor-s0/attempts/1/measured/operators.npz"))) as stored:
        names = {name.partition("|")[0] for name in stored.files}
    assert all(f"| {name}" in blocks["operators"] for name in names) and len(names) > 40


def test_cost(line: Line) -> None:
    experiment, blocks = measured(line, "parity/speed")
    assert re.search(r"`jittor` at 64 px: a step is (slower|faster|equal)", blocks["answer"])
    (row,) = [one for one in blocks["costs"].splitlines() if one.startswith("| `jittor` | 64 |")]
    assert row.count("±") == 2 and row.count("×") == 2 and "unfinished" not in row
    assert (experiment / "figures" / "numerics_cost.png").stat().st_size > 5000
