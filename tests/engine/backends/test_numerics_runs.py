"""Whole measurements as runs: both frameworks side by side, the record that names them, and a resumed one."""

from __future__ import annotations

import pytest
from run_lines import Line, ended, lines, name

from detui.engine.configuration import Configuration
from detui.engine.environment.standing import standing
from detui.engine.run.directory import RunDir

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # Jittor compiles kernels that it has not seen yet

RECIPE = """\
schema: 1
title: Do two frameworks take the same step?
question: Do they?
backend: numerics
base:
  model: {queries: 12, denoising: 6, layers: 2, channels: 16, feed_forward: 32, heads: 2, points: 2,
          backbone: {depths: [1, 1, 1, 1], widths: [8, 8, 12, 16], stem: 8}}
  measure: {what: step, rounds: 3, image_size: 64, classes: 2}
arms:
  torch: {}
  jittor: {environment: jittor, model: {framework: jittor}}
varies: [model.framework, environment]
seeds: [0]
checkpoint_rule: {rule: last}
record: {template: numerics}
profiles:
  quick: {}
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, jittor_found: None) -> Line:
    return Line(tmp_path_factory.mktemp("numerics") / "cut", RECIPE)


def run_of(framework: str, line: Line) -> RunDir:
    if framework == "jittor" and (problem := standing("jittor", Configuration.load()).problem) is not None:
        pytest.skip(f"no environment jittor: {problem}")
    return ended(line.start(framework), "finished", seconds=1500)


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_a_round_is_an_epoch_and_leaves_its_arrays(framework: str, line: Line) -> None:
    run = run_of(framework, line)
    (begin,) = lines(run, "begin")
    assert begin["asked"] == begin["used"] and begin["arithmetic"]["framework"] == framework
    assert [one["epoch"] for one in lines(run, "epoch")] == [1, 2, 3]
    stored = sorted(path.name for path in (run.attempt(1).path / "measured").iterdir())
    assert stored == ["step-0001.npz", "step-0002.npz", "step-0003.npz"]


def test_a_resumed_measurement_goes_on_after_the_last_whole_round(line: Line) -> None:
    whole = lines(run_of("torch", line), "epoch")
    run = line.start("torch", "--set", "measure.rounds=400")
    import time

    until = time.monotonic() + 120
    while not run.attempt(1).metrics_path.exists() or len(lines(run, "checkpoint")) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    line("kill", name(run), "--yes")
    ended(run, "killed")
    done = len(lines(run, "checkpoint"))
    line("resume", name(run))
    while len(lines(run, "checkpoint")) < done + 2:
        assert time.monotonic() < until + 120
        time.sleep(0.05)
    line("kill", name(run), "--yes")
    ended(run, "killed")
    told = lines(run, "epoch")
    assert [one["epoch"] for one in told[: done + 1]] == list(range(1, done + 2)), "no round twice, none left out"
    assert [one["values"] for one in told[:2]] == [one["values"] for one in whole[:2]]
