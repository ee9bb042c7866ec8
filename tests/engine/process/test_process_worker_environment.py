"""The environment that a worker is given."""

from __future__ import annotations

from toy_runs import MakeRun

from detui.engine.process.attempt import worker_environment

TORCHRUN = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8", "MASTER_ADDR": "node1",
            "MASTER_PORT": "29500", "TORCHELASTIC_USE_AGENT_STORE": "True", "DETUI_LAUNCHER": "7"}  # fmt: skip


def test_ranks_of_a_job_around_it_are_not_inherited(make_run: MakeRun) -> None:
    run = make_run()
    found = worker_environment(run, run.spec(), ["cpu:0"], 0.0, {**TORCHRUN, "KEPT": "1"})
    assert not set(found) & set(TORCHRUN) and found["KEPT"] == "1"


def test_a_backend_may_set_ranks_itself(make_run: MakeRun) -> None:
    run = make_run(environ={"RANK": "-1"})
    assert worker_environment(run, run.spec(), ["cpu:0"], 0.0, TORCHRUN)["RANK"] == "-1"
