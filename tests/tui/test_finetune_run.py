"""A fine-tuning on the screen: rates by part, mask AP beside box AP, the framework's losses on validation pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from pilots import SMALL, play, shows, text
from textual.pilot import Pilot
from tuned import Tuned

from detui.engine.run.history import load_history
from detui.tui.app import DetuiApp
from detui.tui.compare_list import metric_title
from detui.tui.curves import CurveReader, Wish, members
from detui.tui.glance import glance
from detui.tui.run_charts import charts
from detui.tui.settings import Settings
from detui.tui.snapshot import numbers


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """One run of two epochs, evaluated."""
    made = Tuned(tmp_path_factory.mktemp("tuned"), seeds=(0,))
    made.train("imagenet-s0", 3)
    return made


def test_each_kind_of_number_has_its_chart(trial: Tuned) -> None:
    found = charts(load_history(trial.runs["imagenet-s0"]))
    labels = {name: [one.label for one in data.series] for name, data in found.items()}
    assert labels["loss"] == ["loss", "rpn_cls", "rpn_bbox", "cls", "bbox", "mask"], "the accuracy would dwarf them"
    assert labels["accuracy"] == ["acc"]
    assert labels["own_loss"] == ["loss", "bbox", "cls", "mask", "rpn_bbox", "rpn_cls"]
    assert labels["rate"] == ["backbone", "neck", "head"]
    assert labels["validation"] == ["AP", "mask_AP", "AP50"]


def test_the_panel_shows_masks_beside_boxes(trial: Tuned) -> None:
    run = trial.runs["imagenet-s0"]
    names = [name for name, _ in numbers(glance(run, {}), load_history(run))]
    assert names[names.index("AP") : names.index("AP") + 4] == ["AP", "mask_AP", "AP50", "mask_AP50"]
    assert {"lr backbone", "lr neck", "lr head", "loss rpn cls", "loss mask"} <= set(names)


def test_the_comparison_offers_masks_and_rates(trial: Tuned) -> None:
    reader, wish = CurveReader(), Wish(tuple(members([trial.runs["imagenet-s0"]])))
    metrics = reader.read(wish).metrics
    place = metrics.index("val/AP")
    assert metrics[place : place + 4] == ("val/AP", "val/mask_AP", "val/AP50", "val/mask_AP50")
    assert metrics[-3:] == ("lr/backbone", "lr/neck", "lr/head")
    titles = [metric_title(name) for name in ("val/mask_AP", "lr/backbone", "train/loss_rpn_cls", "train/acc")]
    assert titles == ["mask AP, %", "Learning rate (backbone)", "Loss (rpn_cls)", "Accuracy of the box head, %"]


@pytest.mark.parametrize(("language", "titles"), [
    ("en", ("Validation AP, %", "Own validation loss", "Learning rate")),
    ("zh", ("验证 AP", "框架自报的验证损失", "学习率")),
])  # fmt: skip
def test_the_charts_are_gone_through_in_a_small_terminal(trial: Tuned, language: str, titles: tuple[str, ...]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "imagenet-s0")
        await pilot.press("enter")
        await shows(app, pilot, "rpn")
        for title, legend in zip(titles, ("mask", "a━", "neck"), strict=True):
            await pilot.press("m")
            await shows(app, pilot, title, legend)
        assert all(len(line.rstrip()) <= SMALL[0] for line in text(app).splitlines())

    play(Path(trial.path).parent, script, SMALL, Settings(language=language))
