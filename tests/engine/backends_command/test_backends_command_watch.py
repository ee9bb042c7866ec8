"""What a program prints and writes becomes metrics by a mapping in the recipe."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from watching_cases import Watched

from detui.engine.backends.command.tfevents import EventReader
from detui.engine.errors import RecipeError
from detui.engine.recipe.load import read_recipe
from detui.engine.recipe.resolve import resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name means something to wildcards."""
    (tmp_path / "odd [1-3]* name").mkdir()
    return tmp_path / "odd [1-3]* name"


def test_printed_lines_count_from_nought_and_within_their_epoch(folder: Path) -> None:
    metrics = {"train/loss": r"e(?P<epoch>\d+) i(?P<step>\d+) loss=(?P<value>\S+)", "lr/all": r"lr=(?P<value>\S+)"}
    entry = {"format": "printed", "metrics": metrics, "first_epoch": 0, "steps_per_epoch": 10}
    done = {"format": "printed", "kind": "epoch", "metrics": {"mine/mAP": r"epoch (?P<epoch>\d+): (?P<value>\S+)"}}
    found = Watched(folder, watch=[entry, done | {"first_epoch": 0}]).history(
        "e0 i5 loss=2.5 lr=0.1", "talk", "e0 i10 loss=2.0 lr=0.1", "epoch 0: 0.25", "e1 i5 loss=1.5 lr=nan"
    )
    assert found.series("train/loss") == ([5, 10, 15], [2.5, 2.0, 1.5])
    assert [line["epoch"] for line in found.steps] == [1, 1, 2]
    assert found.epoch_series("mine/mAP") == ([1], [0.25])
    assert [line["name"] for line in found.alarms] == ["nan"]


def test_rows_of_files_are_followed_from_where_the_program_began(folder: Path) -> None:
    watched = Watched(
        folder,
        watch=[
            {"format": "jsonl", "file": "work/log.jsonl", "metrics": {"train/loss_box": "losses.box", "lr/all": "lr"},
             "step": "iter", "epoch": "epoch"},
            {"format": "csv", "file": "work/*.csv", "kind": "epoch", "metrics": {"mine/mAP50": "map 50"},
             "epoch": "epoch"},
        ],
    )  # fmt: skip
    log, results = watched.out / "work" / "log.jsonl", watched.out / "work" / "results.csv"
    log.write_text('{"iter": 1, "epoch": 1, "losses": {"box": 9}}\n')
    results.write_text("epoch, map 50\n1, 0.1\n")
    watching = watched.start()
    with log.open("a") as more:
        more.write('talk\n{"iter": 2, "epoch": 1, "losses": {"box": 3.5}, "lr": "0.01"}\n{"iter": 3, "ep')
        more.flush()
        watching.poll()
        more.write('och": 2, "losses": {"box": "NaN"}}\n{"iter": 4, "lr": null}')
    with results.open("a") as more:
        more.write("2, 0.25\nepoch, map 50\n3,\n")
    found = watched.history()
    assert found.series("train/loss_box")[0] == [2, 3] and found.series("lr/all") == ([2], [0.01])
    assert found.epoch_series("mine/mAP50") == ([2], [0.25])


@pytest.mark.slow
def test_event_files_are_read_as_tensorboard_reads_them(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboardX import SummaryWriter

    watched = Watched(
        folder,
        watch=[
            {"format": "tensorboard", "file": "tb", "metrics": {"train/loss": "loss/train", "lr/all": "lr"}},
            {"format": "tensorboard", "file": "tb/**/*tfevents*", "kind": "epoch", "metrics": {"mine/mAP": "mAP"}},
        ],
    )
    watching = watched.start()
    with SummaryWriter(str(watched.out / "tb" / "deep")) as writer:
        for step in range(1, 4):
            writer.add_scalar("loss/train", 1 / step, step)
            writer.add_scalar("lr", 0.1, step)
            writer.add_histogram("weights", [1.0, 2.0, 3.0], step)
            writer.flush()
            watching.poll()
        writer.add_scalar("mAP", 0.5, 2)
    found = watched.history()
    reader = EventAccumulator(str(watched.out / "tb" / "deep"), size_guidance={"scalars": 0}).Reload()
    told = [(event.step, event.value) for event in reader.Scalars("loss/train")]
    assert list(zip(*found.series("train/loss"), strict=True)) == told and len(told) == 3
    assert found.series("lr/all")[0] == [1, 2, 3] and found.epoch_series("mine/mAP") == ([2], [0.5])


@pytest.mark.slow
def test_event_files_that_come_in_pieces_lose_nothing(tmp_path: Path) -> None:
    """Of one step the values may be flushed apart, and another writer of the program may be late with its own."""
    from tensorboardX import SummaryWriter

    metrics = {"train/loss": "loss/train", "lr/all": "lr", "mine/late": "late"}
    watched = Watched(tmp_path, watch=[{"format": "tensorboard", "file": "tb", "metrics": metrics}])
    watching = watched.start()
    with SummaryWriter(str(watched.out / "tb" / "one")) as writer:
        for step in range(1, 4):
            for tag in ("loss/train", "lr"):
                writer.add_scalar(tag, step, step)
                writer.flush()
                time.sleep(0.05)  # its thread writes
                watching.poll()
    with SummaryWriter(str(watched.out / "tb" / "two")) as writer:
        writer.add_scalar("late", 7.0, 2)
    found = watched.history()
    assert found.series("train/loss") == found.series("lr/all") == ([1, 2, 3], [1.0, 2.0, 3.0])
    assert [(line["step"], line["values"]) for line in found.statistics] == [(2, {"mine/late": 7.0})]


def test_a_torn_event_is_not_yet_there_and_a_damaged_one_is_said(tmp_path: Path) -> None:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(tmp_path / "tb")) as writer:
        writer.add_scalar("a", 1.0, 7)
        writer.add_scalar("b", 2.0, -1)
    (whole,) = (tmp_path / "tb").iterdir()
    content, growing = whole.read_bytes(), tmp_path / "growing"
    reader = EventReader(growing)
    assert reader.poll() == []
    found = []
    for end in (*range(0, len(content), 7), len(content)):
        growing.write_bytes(content[:end])
        found += reader.poll()
    assert [(one.tag, one.step, one.value) for one in found] == [("a", 7, 1.0), ("b", -1, 2.0)]
    growing.write_bytes(content[:-6] + b"x" + content[-5:])
    damaged = EventReader(growing)
    assert [one.tag for one in damaged.poll()] == ["a"] and damaged.damaged


def test_a_tensor_of_one_float_is_a_scalar() -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.proto.tensor_pb2 import TensorProto

    from detui.engine.backends.command.tfevents import scalars

    values = [
        Summary.Value(tag="list", tensor=TensorProto(dtype=1, float_val=[1.5])),
        Summary.Value(tag="bytes", tensor=TensorProto(dtype=2, tensor_content=b"\0\0\0\0\0\0\xf8?")),
        Summary.Value(tag="two", tensor=TensorProto(dtype=1, float_val=[1, 2])),
    ]
    message = Event(step=3, summary=Summary(value=values)).SerializeToString()
    assert [(one.tag, one.value) for one in scalars(message)] == [("list", 1.5), ("bytes", 1.5)]
    assert list(scalars(message[:-3])) == [] and list(scalars(b"\xff" * 20)) == []


def test_checkpoints_count_once_they_are_whole(folder: Path) -> None:
    watched = Watched(folder, checkpoints=["work/epoch_*.pth", "work/iter_*.pth"], watch="mmcv1")
    work = watched.out / "work"
    (work / "epoch_1.pth").write_bytes(b"of an earlier training")
    watching = watched.start()

    def paths() -> list[Any]:
        lines = map(json.loads, watched.run.attempt(1).metrics_path.read_text().splitlines())
        return [
            (Path(line["path"]).name, line["epoch"], line["step"]) for line in lines if line["kind"] == "checkpoint"
        ]

    watching.read("Epoch [2][5/10]\tlr: 1.0e-01, eta: 0:01:00, loss: 1.0")
    (work / "epoch_2.pth").write_bytes(b"half")
    (work / "epoch_9.pth").symlink_to("epoch_2.pth")
    watching.poll()
    assert paths() == [], "it was seen once, and may still grow"
    (work / "epoch_2.pth").write_bytes(b"whole now")
    watching.poll()
    assert paths() == []
    watching.read("Epoch [3][5/10]\tlr: 1.0e-01, eta: 0:01:00, loss: 1.0")
    watching.poll()
    assert paths() == [("epoch_2.pth", 2, 20)], "the step of its epoch's end, though the next has begun"
    with zipfile.ZipFile(work / "iter_23.pth", "w") as archive:
        archive.writestr("data.pkl", "x" * 100)
    content = (work / "iter_23.pth").read_bytes()
    (work / "iter_23.pth").write_bytes(content[:80])
    watching.poll()
    watching.poll()
    assert len(paths()) == 1, "an archive without its end is torn"
    (work / "iter_23.pth").write_bytes(content)
    watched.history()
    assert paths()[1:] == [("iter_23.pth", 2, 23)]


def test_predictions_get_the_ids_of_images_and_wait_for_the_evaluator(folder: Path) -> None:
    (folder / "data").mkdir()
    truth = {"images": [{"id": 7, "file_name": "a/first.png"}, {"id": 8, "file_name": "second.png"}]}
    (folder / "data" / "val.json").write_text(json.dumps(truth))
    watched = Watched(folder, data=str(folder / "data"), predictions="**/*.json")
    watched.start()
    box = {"category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    named = [{**box, "image_id": name} for name in ("first", "second.png", "third")]
    (watched.out / "out-3.json").write_text(json.dumps(named))
    (watched.out / "out.json").write_text(json.dumps([{**box, "image_id": 8}]))
    (watched.out / "predictions" / "val-epoch-0002.pr.json").write_text("{}")
    found = watched.history()
    dumps = {line["epoch"]: line["path"] for line in found.dumps}
    assert dumps == {3: "predictions/val-epoch-0003.json", 4: "predictions/val-epoch-0004.json"}
    ids = [[one["image_id"] for one in json.loads((watched.out / dumps[epoch]).read_text())] for epoch in (3, 4)]
    assert ids == [[7, 8, "third"], [8]], "a name that is unknown is left for the evaluator to refuse"


def test_predictions_without_an_epoch_need_a_program_that_ended_well(folder: Path) -> None:
    watched = Watched(folder, predictions="out.json")
    watched.start()
    (watched.out / "out.json").write_text("[]")
    assert watched.history(finished=False).dumps == []


WRONG = [
    ("{format: printed, metrics: {train/loss: 'loss ('}}", "no regular expression"),
    ("{format: printed, metrics: {train/loss: 'loss'}}", "no named group `value`"),
    ("{format: printed, metrics: {train/loss: '(?P<valu>.)'}}", "'valu' is meant"),
    ("{format: printed, metrics: {train/loss: '(?P<value>.)(?P<it>.)'}}", "'it' means nothing"),
    ("{format: printed, metrics: {loss: '(?P<value>.)'}}", "'loss' is no name of a metric"),
    ("{format: csv, file: a.csv, metrics: {val/AP: map}}", "mine/AP"),
    ("{format: csv, file: a.csv, metrics: {train/box_loss: b}}", "train/loss_box"),
    ("{format: csv, metrics: {train/loss: b}}", "needs a file"),
    ("{format: jsonl}", "needs metrics"),
    ("{format: mmcv1, metrics: {train/loss: loss}}", "takes no metrics"),
    ("{format: tensorboard, file: tb, metrics: {train/loss: l}, step: s}", "leave them out"),
    ("{format: mmcv2}", "mmcv1"),
    ("{format: jsonl, metric: {}}", "no such field"),
]


@pytest.mark.parametrize(("entry", "text"), WRONG)
def test_a_wrong_mapping_is_refused_with_file_and_line(tmp_path: Path, entry: str, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema: 1\ntitle: t\nquestion: q\nbackend: command\nbase:\n  command: ['true']\n  watch:\n    - aqr\n"
        f"    - {entry}\narms: {{a: {{}}}}\n"
    )
    with pytest.raises(RecipeError, match=".*") as caught:
        resolve(read_recipe("own/mine", path))
    assert text in str(caught.value)
    assert (caught.value.where or "").startswith(f"{path}:9:")


def test_one_entry_may_stand_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema: 1\ntitle: t\nquestion: q\nbackend: command\nbase: {command: ['true']}\n"
        "arms: {a: {watch: mmcv1}, b: {watch: {format: mmcv1}}, c: {watch: [mmcv1]}, d: {}}\nvaries: [watch]\n"
    )
    arms = resolve(read_recipe("own/mine", path)).arms
    assert [[one["format"] for one in arm.config["watch"]] for arm in arms] == [["mmcv1"]] * 3 + [[]]
