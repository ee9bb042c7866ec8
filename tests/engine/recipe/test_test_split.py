"""`data.test`: optional, checked in the plan, and without influence on what a run is expected to take."""

from __future__ import annotations

from detui.engine.estimates import estimate
from detui.engine.workspace import Workspace


def plan(workspace: Workspace, *overrides: str):  # type: ignore[no-untyped-def]
    return workspace.plan("starter/mosaic", profile="smoke", overrides=overrides, devices="cpu")


def test_a_test_split_that_the_data_does_not_have_is_an_error_of_the_plan(tmp_path):
    found = plan(Workspace.open(str(tmp_path)), "data.test={split: tset}")
    problem = next(one for one in found.problems if one.where == "data.test.split")
    assert problem.level == "error" and "no split 'tset'" in problem.text and problem.hint == "test"


def test_estimates_do_not_depend_on_it(tmp_path):
    workspace = Workspace.open(str(tmp_path))
    keys = set()
    for overrides in ((), ("data.test={split: test, images: 6}",)):
        found = plan(workspace, *overrides)
        assert (found.arms[0].data.test is not None) == bool(overrides)
        keys.add(estimate(found.resolved, found.arms[0], found.placement, tmp_path).key)
    assert len(keys) == 1
