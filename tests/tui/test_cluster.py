"""The cluster on the screen of devices, and in the form of a launch: what is shown, and nothing where there is none."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pilots import LARGE, play, shows, text, until
from textual.pilot import Pilot
from textual.widgets import Input

from detui.engine.executor.slurm.cluster import ClusterView, Partition, merged, view
from detui.engine.executor.slurm.queue import Listed, parsed
from detui.tui.app import DetuiApp
from detui.tui.cluster import ClusterReader, cluster_lines
from detui.tui.widgets.fields import Choice
from detui.tui.widgets.launch_fields import Devices, LaunchFields

from .test_launch import opened

if TYPE_CHECKING:
    from slurm_cluster import Cluster

GPU = Partition("gpu", True, 3, 4, "1-00:00:00", ("gpu:a100:8",))
WAITS = Listed("12_3", "PENDING", "", None, None, "gpu", "Priority", "detui-starter.mosaic-20261127-120000")
TRAINS = replace(WAITS, name="12_2", state="RUNNING", node="n7", reason="")


def shown(cluster: ClusterView | None, columns: int = 100) -> list[str]:
    return ["".join(segment.text for segment in line.segments) for line in cluster_lines(cluster, columns)]


def test_partitions_are_read_together_from_their_lines() -> None:
    lines = [
        "gpu|up|1/2/0/3|1-00:00:00|gpu:a100:8(S:0-1)",
        "gpu|up|0/1/0/1|1-00:00:00|gpu:v100:4",
        "old|drain|0/0/2/2|infinite|(null)",
        "no line of sinfo",
    ]
    gpu, old = merged(lines)
    assert (gpu.idle, gpu.nodes, gpu.gres, gpu.up) == (3, 4, ("gpu:a100:8", "gpu:v100:4"), True)
    assert (old.idle, old.nodes, old.gres, old.up) == (0, 2, (), False)


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_the_lines_of_a_cluster_fit_and_say_why_a_job_waits(columns: int) -> None:
    lines = shown(ClusterView((GPU, replace(GPU, name="old", up=False, limit="infinite")), (TRAINS, WAITS)), columns)
    assert lines[1] == "Slurm  1 running, 1 waiting"
    assert "3 of 4 nodes idle, gpu:a100:8" in lines[2] and "takes no jobs" in "".join(lines)
    assert "12_2" in lines[4] and "running  n7  gpu" in lines[4]
    assert "12_3" in lines[5] and "pending  Priority  gpu" in lines[5]
    assert max(map(len, lines)) <= columns


def test_a_job_that_was_just_submitted_has_no_reason_yet() -> None:
    submitted = parsed("12_3|PENDING||N/A|N/A|gpu|None|detui-x")
    assert submitted is not None and "None" not in shown(ClusterView((), (submitted,)))[2]


def test_without_a_cluster_nothing_is_said() -> None:
    assert shown(None) == []
    assert "! no answer" in "".join(shown(ClusterView(problem="no answer")))


def test_a_cluster_that_is_slow_holds_nobody_up() -> None:
    found = iter([ClusterView((GPU,)), ClusterView(problem="no answer")])

    def slow() -> ClusterView | None:
        time.sleep(0.2)
        return next(found)

    reader, began = ClusterReader(slow), time.monotonic()
    assert reader.latest() is None and time.monotonic() - began < 0.15
    deadline = time.monotonic() + 5
    while (seen := reader.latest()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert seen.partitions == (GPU,)


def test_programs_of_slurm_that_never_answer_are_no_cluster() -> None:
    reader = ClusterReader(lambda: ClusterView(problem="no configuration"))
    for _ in range(5):
        assert reader.latest() is None
        time.sleep(0.02)


def test_the_form_asks_for_slurm_where_there_is_one(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)
        fields = form.query_one(LaunchFields)
        fields.offer(Devices([("auto", ""), ("cpu", "")]))
        assert "Executor" not in text(app)
        fields.offer(Devices([("auto", ""), ("cpu", "")], ["gpu", "long"]))
        await shows(app, pilot, "Executor", "[local]")
        choice = fields.query_one("#executor", Choice)
        choice.focus()
        choice.step(1)
        await until(pilot, lambda: form.plan is not None and form.plan.placement.slurm is not None)
        await shows(app, pilot, "[slurm]", "--executor slurm")
        assert "When busy" not in text(app) and "CPU slots" not in text(app)
        line = fields.query_one("#slurm", Input)
        line.focus()
        await shows(app, pilot, "partitions: gpu, long")
        line.value = "partitoin=gpu"
        await shows(app, pilot, "! There is no option 'partitoin' of Slurm.", "try: partition")
        line.value = "partition=gpu time=08:00:00"
        await shows(app, pilot, "--slurm partition=gpu --slurm time=08:00:00")

    play(workspace, script, LARGE)


@pytest.mark.slow
def test_a_real_cluster_is_shown(slurm: Cluster, workspace: Path) -> None:
    slurm.run("sbatch", "--job-name=mine", "--begin=now+1hour", "--output=/dev/null", "--wrap=true")
    found = view()
    assert found is not None and found.problem is None
    assert [(one.name, one.up, one.nodes, one.gres) for one in found.partitions] == [
        ("gpu", True, 2, ("gpu:2",)),
        ("preemptible", True, 2, ("gpu:2",)),
    ]
    deadline = time.monotonic() + 10
    while [job.title for job in found.jobs] != ["mine"]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
        found = view() or found

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await shows(app, pilot, "Slurm", "preemptible", "2 of 2 nodes idle", "BeginTime")

    play(workspace, script, LARGE)
