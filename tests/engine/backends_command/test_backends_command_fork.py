"""A fork in an environment of its own is an arm like any other: its predictions are scored by detui's evaluator."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_runs import MakeRun
from trials import prepare

from detui.engine.backends.command.plan import CommandBackend, CommandConfig
from detui.engine.evaluate import evaluate_run
from detui.engine.process.control import wait
from detui.engine.process.launch import launch
from detui.engine.run.history import load_history

FORK = """
import json, sys
from pathlib import Path
data, out = map(Path, sys.argv[1:])
truth = json.loads((data / "val.json").read_text())
names = {image["id"]: image["file_name"] for image in truth["images"]}
for epoch in (1, 2):
    print(f"epoch {epoch} total_loss 0.{epoch}")
    seen = truth["annotations"][: len(truth["annotations"]) * epoch // 2]
    found = [{"image_id": names[one["image_id"]], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.9}
             for one in seen]
    (out / f"epoch_{epoch}.json").write_text(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("hostile_path", ["with space 'quote\" 数据"], indirect=True)
def test_a_fork_is_started_watched_and_evaluated(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "train_depth.py").write_text(FORK)
    config = CommandConfig(
        command=["{python}", str(tmp_path / "train_depth.py"), "{data}", "{predictions}"],
        predictions="predictions/epoch_*.json",
        epochs=2,
        watch={"format": "printed", "metrics": {"train/loss": r"epoch (?P<epoch>\d+) total_loss (?P<value>\S+)"}},
    )
    data = prepare(tmp_path / "prepared")
    run = make_run(config.model_dump(mode="json"), trainer=CommandBackend.trainer, backend="command", data=data)
    launch(run)
    assert wait([run], 60)[0].state.word == "finished"
    assert evaluate_run(run) == 2
    found = load_history(run)
    assert found.series("train/loss")[1] == [0.1, 0.2]
    epochs, values = found.epoch_series("val/AP")
    assert epochs == [1, 2] and values[0] < values[1] == pytest.approx(1.0)
