"""The training loop: a training that was stopped and resumed equals one that was not, to the bit."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from detui.engine.backends.torch import state
from detui.engine.backends.torch.average import MovingAverage
from detui.engine.backends.torch.batches import Batches
from detui.engine.backends.torch.optimiser import parameter_groups, rate_factor
from detui.engine.errors import RunError
from detui.engine.run.directory import AttemptDir
from detui.engine.run.lines import read_lines
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

ITEMS, SIZE = 11, 2
STEPS = 6
"""Of an epoch: the last batch has one item."""


class Toy(nn.Module):
    """Draws (dropout), has a buffer that moves (batch norm), and two parts with rates of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 1)

    def forward(self, values: Any) -> Any:
        return self.head(nn.functional.dropout(self.norm(self.backbone(values)).relu(), 0.3, self.training))


class ToyTask:
    """Draws from every generator that there is, and asks for a stop after some step."""

    def __init__(self, report: Reporter, stop_after: int | None = None, fail: bool = False) -> None:
        self.report, self.stop_after, self.fail = report, stop_after, fail
        self.seen: list[list[float]] = []

    def losses(self, model: nn.Module, batch: Any, moment: Any) -> dict[str, Any]:
        import numpy

        noise = torch.rand(1).item() + random.random() + numpy.random.rand()
        self.seen.append(batch[:, 0].tolist())
        return {"fit": (model(batch) - noise).square().mean(), "size": 0.01 * model(batch).abs().mean()}

    def after_backward(self, model: nn.Module, moment: Any) -> None:
        if self.fail:
            raise RunError("No gradient reaches the toy.")

    def after_step(self, moment: Any) -> None:
        if moment.step == self.stop_after:
            self.report._stop.requested = True


def toy_batches(seed: int = 3) -> Batches[int, Any]:
    def load(items: Sequence[int], generators: Sequence[random.Random]) -> Any:
        rows = [[item, generator.random(), 1.0, -item] for item, generator in zip(items, generators, strict=True)]
        return torch.tensor(rows + rows)  # batch norm wants two rows

    return Batches(range(ITEMS), load, SIZE, seed)


def reporter(folder: Path, resume: dict[str, Any] | None = None, *, silent: bool = False) -> Reporter:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    return Reporter(AttemptDir(folder), resume=resume, silent=silent)


def loop_of(report: Reporter, task: ToyTask, epochs: int = 3, epoch_end: Any = None, **options: Any) -> Any:
    from detui.engine.backends.torch.loop import Loop, LoopOptions

    state.seed_everything(7)
    chosen = LoopOptions(epochs=epochs, lr=0.05, warmup_steps=4, average=0.9, clip=1.0,
                         factors={"backbone": ("backbone", 0.1)}, **options)  # fmt: skip
    device = torch.device("cpu")
    return Loop(Toy(), task, toy_batches(), chosen, report, device=device, epoch_end=epoch_end)


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_lines(folder / "metrics.jsonl") if line["kind"] == kind]


def resumed(folder: Path) -> dict[str, Any]:
    """What the next attempt is told of the last checkpoint."""
    last = lines(folder, "checkpoint")[-1]
    assert last["resumable"]
    return {"attempt": 1, "checkpoint": str(folder / last["path"]), **{k: last[k] for k in ("step", "epoch", "stage")}}


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(equal, first, second))
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, STEPS - 1, STEPS, STEPS + 3, 2 * STEPS])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(tmp_path: Path, stop_after: int) -> None:
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    straight = reporter(whole)
    loop_of(straight, ToyTask(straight)).run()
    stopped = reporter(first)
    with pytest.raises(StopRequested):
        loop_of(stopped, ToyTask(stopped, stop_after)).run()
    assert stopped.last_step == stop_after
    going_on = reporter(second, resumed(first))
    again = loop_of(going_on, ToyTask(going_on))
    random.seed(99)
    torch.manual_seed(99)
    assert again.resume(Path(going_on.resume["checkpoint"])) == []
    again.run()
    for report in (straight, stopped, going_on):
        report.end("finished")
    ends = [state.load(folder / lines(folder, "checkpoint")[-1]["path"]) for folder in (whole, second)]
    assert equal(*ends)
    told = {step["step"]: step["values"] for folder in (first, second) for step in lines(folder, "step")}
    assert told == {step["step"]: step["values"] for step in lines(whole, "step")} and len(told) == 3 * STEPS
    means = {one["epoch"]: one["values"] for folder in (first, second) for one in lines(folder, "epoch")}
    assert means == {one["epoch"]: one["values"] for one in lines(whole, "epoch")} and set(means) == {1, 2, 3}
    assert not lines(second, "checkpoint")[-1]["resumable"], "nothing is resumed after the end"


@pytest.mark.slow
class TestLoop:
    def test_a_stop_while_an_epoch_is_evaluated_repeats_the_evaluation(self, tmp_path: Path) -> None:
        first, second, done = reporter(tmp_path / "1"), tmp_path / "2", []

        def stops(model: nn.Module, epoch: int, step: int) -> None:
            torch.rand(100)
            if epoch == 2:
                raise StopRequested

        with pytest.raises(StopRequested):
            loop_of(first, ToyTask(first), epoch_end=stops).run()
        going_on = reporter(second, resumed(tmp_path / "1"))
        again = loop_of(going_on, ToyTask(going_on), epoch_end=lambda *told: done.append(told[1:]))
        again.resume(Path(going_on.resume["checkpoint"]))
        again.run()
        assert done == [(2, 2 * STEPS), (3, 3 * STEPS)]
        straight = reporter(tmp_path / "straight")
        other = loop_of(straight, ToyTask(straight), epoch_end=lambda *told: torch.rand(7))
        other.run()
        assert equal(other.model.state_dict(), again.model.state_dict()), "an evaluation draws what it likes"

    def test_checkpoints_are_kept_two_at_a_time_and_written_whole_or_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = reporter(tmp_path)
        loop = loop_of(report, ToyTask(report), save_every=4)
        loop.run()
        kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
        assert kept == ["s0-step00000016.pt", "s0-step00000018.pt"]
        assert [line["step"] for line in lines(tmp_path, "checkpoint")] == [4, 6, 8, 12, 16, 18]

        def full(content: Any, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(torch, "save", full)
        with pytest.raises(RunError, match="No space left on device"):
            state.save({}, tmp_path / "checkpoints" / "new.pt")
        assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == kept

    def test_a_task_that_finds_no_gradient_ends_the_run(self, tmp_path: Path) -> None:
        report = reporter(tmp_path)
        with pytest.raises(RunError, match="No gradient reaches the toy"):
            loop_of(report, ToyTask(report, fail=True)).run()

    def test_another_length_is_refused_but_for_a_branch(self, tmp_path: Path) -> None:
        report = reporter(tmp_path)
        loop_of(report, ToyTask(report), epochs=1).run()
        path = tmp_path / lines(tmp_path, "checkpoint")[-1]["path"]
        longer = loop_of(report, ToyTask(report), epochs=2)
        with pytest.raises(RunError, match=r"(?s)steps 6 instead of 12.*detui branch"):
            longer.resume(path)
        longer.resume(path, branch=True)
        assert longer.step == 6 and longer.total == 12

    def test_rates_names_and_losses_are_reported_as_the_record_reads_them(self, tmp_path: Path) -> None:
        report = reporter(tmp_path)
        loop_of(report, ToyTask(report), epochs=1, last_lr=0.5).run()
        first = lines(tmp_path, "step")[0]["values"]
        assert set(first) == {"train/loss_fit", "train/loss_size", "train/gradient_norm",
                              "lr/backbone", "lr/backbone.bias", "lr/head", "lr/head.bias"}  # fmt: skip
        assert first["lr/head"] == pytest.approx(0.05 / 4) and first["lr/backbone"] == pytest.approx(0.005 / 4)
        assert lines(tmp_path, "step")[-1]["values"]["lr/head"] == pytest.approx(0.025)

    def test_an_epoch_is_told_as_the_means_of_its_steps(self, tmp_path: Path) -> None:
        report = reporter(tmp_path)
        loop_of(report, ToyTask(report), epochs=2).run()
        told = {line["epoch"]: line["values"] for line in lines(tmp_path, "epoch")}
        assert set(told) == {1, 2}
        for epoch, means in told.items():
            steps = [line["values"] for line in lines(tmp_path, "step") if line["epoch"] == epoch]
            assert len(steps) == STEPS and set(means) == {name for name in steps[0] if name.startswith("train/")}
            assert means == pytest.approx({name: sum(step[name] for step in steps) / STEPS for name in means})

    def test_the_gradient_is_clipped_and_told_as_it_was(self, tmp_path: Path) -> None:
        report = reporter(tmp_path)
        loop = loop_of(report, ToyTask(report), epochs=1)
        loop.options = replace(loop.options, clip=1e-3)
        loop.run()
        left = torch.stack([p.grad.norm() for p in loop.model.parameters()]).norm().item()
        assert (
            left == pytest.approx(1e-3, rel=1e-3)
            and lines(tmp_path, "step")[-1]["values"]["train/gradient_norm"] > 0.01
        )

    def test_mixed_precision_trains(self, tmp_path: Path) -> None:
        report = reporter(tmp_path)
        loop = loop_of(report, ToyTask(report), epochs=1, amp=True)
        loop.run()
        assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in loop.model.parameters())


TWO = """
import sys, torch, json
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_torch_loop as t
from detui.engine.backends.torch.batches import Batches
rank, folder = int(sys.argv[2]), Path(sys.argv[3])
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
report = t.reporter(folder / f"rank{rank}", silent=rank > 0)
while_evaluating = sys.argv[4] == "evaluation"
task = t.ToyTask(report, stop_after=4 if rank and not while_evaluating else None)
batches = t.toy_batches()
t.toy_batches = lambda: Batches(batches.items, batches.load, 2, 3, rank, 2)
def evaluate(*told):
    if while_evaluating:
        raise t.StopRequested
loop = t.loop_of(report, task, epoch_end=evaluate)
try:
    loop.run()
except t.StopRequested:
    stopped = True
sums = [float(p.detach().double().sum()) for p in loop.model.parameters()]
said = {"sums": sums, "step": loop.step, "seen": task.seen, "stopped": stopped}
(folder / f"{rank}.json").write_text(json.dumps(said))
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "steps"), [("step", 4), ("evaluation", 3)])
def test_two_processes_agree_on_weights_and_stop_and_the_first_reports(tmp_path: Path, stop: str, steps: int) -> None:
    """The stop reaches the second process alone after a step, or the first one while it evaluates an epoch."""
    command = [sys.executable, "-c", TWO, str(Path(__file__).parent)]
    children = [subprocess.Popen([*command, str(rank), str(tmp_path), stop]) for rank in range(2)]
    assert [child.wait(120) for child in children] == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["sums"] == second["sums"] and first["stopped"] and first["step"] == second["step"] == steps
    assert all(set(a).isdisjoint(b) for a, b in zip(first["seen"][:2], second["seen"][:2], strict=True))
    assert len(lines(tmp_path / "rank0", "step")) == steps and not (tmp_path / "rank1" / "metrics.jsonl").exists()
    saved = state.load(tmp_path / "rank0" / lines(tmp_path / "rank0", "checkpoint")[-1]["path"])
    assert len(saved["random"]) == 2 and not list((tmp_path / "rank1" / "checkpoints").iterdir())
    assert saved["progress"]["epoch_open"] == (stop == "evaluation")


class TestSchedule:
    def test_rates_rise_and_fall(self) -> None:
        factors = [rate_factor(step, 100, 10, 0.1) for step in range(100)]
        assert factors[0] == pytest.approx(0.1) and factors[9] == 1.0 and factors[10] == 1.0
        assert factors[-1] == pytest.approx(0.1) and factors[55] == pytest.approx(0.55, abs=0.02)
        assert factors[10:] == sorted(factors[10:], reverse=True)
        assert rate_factor(0, 1, 0, 0.0) == 1.0, "a training of one step has a rate"

    def test_groups_have_all_parameters_once_and_biases_no_decay(self) -> None:
        model = Toy()
        groups = {group["name"]: group for group in parameter_groups(model, 1.0, 0.1, {"backbone": ("backbone", 0.5)})}
        assert {name: len(group["params"]) for name, group in groups.items()} == {
            "backbone": 1, "backbone.bias": 1, "head": 1, "head.bias": 3}  # fmt: skip
        assert groups["backbone"]["lr"] == 0.5 and groups["backbone.bias"]["weight_decay"] == 0.0
        assert groups["head"]["weight_decay"] == 0.1
        assert {group["name"] for group in parameter_groups(model, 1.0, 0.1, {})} == {"all", "all.bias"}


class TestAverage:
    def test_it_follows_slowly_and_takes_buffers_over(self) -> None:
        model = Toy()
        average = MovingAverage(model, 0.5)
        with torch.no_grad():
            model.head.weight.fill_(1.0)
            model.norm.running_mean.fill_(3.0)
        average.update(model)
        assert torch.allclose(average.model.head.weight, model.head.weight, atol=0.01), "the first step counts whole"
        assert average.model.norm.running_mean.eq(3.0).all()
        average.steps = 10**6
        with torch.no_grad():
            model.head.weight.fill_(2.0)
        average.update(model)
        assert average.model.head.weight.mean().item() == pytest.approx(1.5, abs=0.01)


class TestBatches:
    def test_every_item_once_in_an_order_of_its_epoch(self) -> None:
        batches = toy_batches()
        orders = [batches.order(epoch) for epoch in (1, 2)]
        assert all(sorted(order) == list(range(ITEMS)) for order in orders) and orders[0] != orders[1]
        assert orders[0] == toy_batches().order(1) != toy_batches(seed=4).order(1)
        assert len(batches) == STEPS == len(list(batches.epoch(1)))

    def test_the_rest_of_an_epoch_is_what_it_would_have_been(self) -> None:
        """Also what was drawn for each item, whatever the global generators did."""
        batches = toy_batches()
        whole = list(batches.epoch(2))
        random.random()
        assert all(map(torch.equal, whole[4:], batches.epoch(2, skip=4)))

    def test_processes_share_an_epoch_in_as_many_steps_each(self) -> None:
        parts = [Batches(range(ITEMS), lambda items, _: list(items), SIZE, 0, rank, 2) for rank in range(2)]
        seen = [[item for batch in part.epoch(1) for item in batch] for part in parts]
        assert sorted(seen[0] + seen[1]) == list(range(ITEMS)) and [len(part) for part in parts] == [3, 3]

    def test_their_batches_together_are_those_of_one_process(self) -> None:
        def load(items: Sequence[int], generators: Sequence[random.Random]) -> list[tuple[int, float]]:
            return [(item, generator.random()) for item, generator in zip(items, generators, strict=True)]

        whole = list(Batches(range(11), load, 4, 0).epoch(1))
        parts = [list(Batches(range(11), load, 2, 0, rank, 2).epoch(1)) for rank in range(2)]
        assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in whole]
        assert [len(batch) for batch in parts[0]] == [2, 2, 2] and [len(batch) for batch in parts[1]] == [2, 2, 1]

    def test_nobody_has_a_batch_of_nothing(self) -> None:
        """Of a last batch with fewer items than processes, the first ones of the epoch come again."""
        for items in (1, 3, 9):
            parts = [Batches(range(items), lambda some, _: list(some), 1, 0, rank, 4) for rank in range(4)]
            seen = [list(part.epoch(1)) for part in parts]
            assert all(len(one) == len(parts[0]) and all(one) for one in seen)
            assert {item for one in seen for batch in one for item in batch} == set(range(items))
        assert len(parts[0]) == len(list(parts[0].epoch(1))) == len(list(parts[1].epoch(1)))

    def test_fewer_items_than_processes_are_enough(self) -> None:
        shares = [list(Batches([7], lambda items, _: list(items), 2, 0, rank, 4).epoch(1)) for rank in range(4)]
        assert shares == [[[7]]] * 4

    def test_what_cannot_be_read_is_raised_where_it_is_trained_on(self) -> None:
        def load(items: Sequence[int], _: Any) -> int:
            return 1 // items[0]

        with pytest.raises(ZeroDivisionError):
            list(Batches(range(4), load, 1, 0).epoch(1))


class TestState:
    def test_generators_go_on_where_they_were(self) -> None:
        import numpy

        def draw() -> tuple[float, ...]:
            return random.random(), float(numpy.random.rand()), torch.rand(1).item()

        kept = state.random_state()
        wanted = draw()
        state.set_random_state(kept)
        with state.random_state_kept():
            draw()
        assert draw() == wanted

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04torn"])
    def test_a_torn_or_foreign_file_is_said(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.pt").write_bytes(content)
        with pytest.raises(RunError, match="a.pt"):
            state.load(tmp_path / "a.pt")

    def test_nothing_in_a_file_is_run(self, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
                return Path.touch, (tmp_path / "ran",)

        torch.save({"format": 1, "model": Bomb()}, tmp_path / "a.pt")
        with pytest.raises(RunError, match="cannot be read"):
            state.load(tmp_path / "a.pt")
        assert not (tmp_path / "ran").exists()

    def test_a_newer_format_is_refused_by_name(self, tmp_path: Path) -> None:
        torch.save({"format": 9, "model": {}}, tmp_path / "a.pt")
        with pytest.raises(RunError, match="format 9"):
            state.load(tmp_path / "a.pt")
        torch.save({"weights": math.pi}, tmp_path / "b.pt")
        with pytest.raises(RunError, match="no checkpoint of this backend"):
            state.load(tmp_path / "b.pt")
