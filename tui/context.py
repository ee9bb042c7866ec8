"""What all commands share: the global options, and the workspace opened when first needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from detui.engine.comparison import Chosen
    from detui.engine.experiment import Experiment
    from detui.engine.run.directory import RunDir
    from detui.engine.workspace import Workspace


class Session:
    """The global options of one call of `detui`."""

    def __init__(
        self,
        workspace: str | None = None,
        debug: bool = False,
        ascii_only: bool = False,
        no_mouse: bool = False,
        read_only: bool = False,
        host: str | None = None,
    ) -> None:
        self.given = workspace
        """The value of --workspace."""
        self.debug = debug
        self.ascii_only = ascii_only
        self.no_mouse = no_mouse
        self.read_only = read_only
        self.host = host
        """The value of --host: whose detui is to run."""

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace that the options, the environment and the configuration name."""
        from detui.engine.workspace import Workspace

        return Workspace.open(self.given)

    def runs_of(self, ref: str) -> tuple[Experiment | None, list[RunDir]]:
        """Return the run that `ref` names, or the experiment and all its runs. Raises MissingError for neither."""
        return find(self.workspace, ref)


def find_side(workspace: Workspace, ref: str) -> Chosen:
    """Return what `ref` names of a comparison: an experiment, a run, or an arm as EXPERIMENT/ARM.

    Without an experiment a run or an arm of the last one is meant. Raises MissingError for none of these.
    """
    from detui.engine.comparison import choose
    from detui.engine.errors import MissingError
    from detui.engine.experiment import Experiment

    if (Path(ref) / "spec.json").is_file():
        run = workspace.run(ref)
        return Experiment(run.experiment_dir), run
    try:
        return workspace.experiment(ref), None
    except MissingError:
        before, _, name = ref.rpartition("/")
        last = workspace.experiments()[:1]
        if before:
            return choose(workspace.experiment(before), name)
        if last and name in {*(run.name for run in last[0].runs()), *last[0].arms()}:
            return choose(last[0], name)
        raise


def find(workspace: Workspace, ref: str) -> tuple[Experiment | None, list[RunDir]]:
    """Return what `ref` names: an experiment with its runs, or one run. Raises MissingError for neither."""
    from detui.engine.errors import MissingError

    try:
        experiment = workspace.experiment(ref)
    except MissingError as error:
        if "/" not in ref and not any(run.name == ref for run in _last_runs(workspace)):
            raise error
        return None, [workspace.run(ref)]
    return experiment, experiment.runs()


def _last_runs(workspace: Workspace) -> list[RunDir]:
    found = workspace.experiments()
    return found[0].runs() if found else []


pass_session = click.make_pass_decorator(Session, ensure=True)


def complete_recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete the name of a recipe."""
    from detui.engine.recipe.library import recipe_files

    return [ref for ref, _ in recipe_files() if ref.startswith(incomplete)]


def complete_hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete the name of a configured host."""
    from detui.engine.configuration import Configuration

    return [name for name in Configuration.load().hosts if name.startswith(incomplete)]


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete the id of an experiment, then `/` and one of its runs. What lies on another host is not known here."""
    if ctx.find_root().params.get("host"):
        return []
    session = ctx.find_root().obj
    workspace = (session if isinstance(session, Session) else _session(ctx)).workspace
    if "/" in incomplete:
        known = [f"{e.id}/{run.name}" for e in workspace.experiments() for run in e.runs()]
    else:
        known = ["last", *(experiment.id for experiment in workspace.experiments())]
    return [ref for ref in known if ref.startswith(incomplete)]


def complete_sides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete the id of an experiment, then `/` and one of its arms or runs."""
    if "/" not in incomplete:
        return complete_runs(ctx, param, incomplete)
    session = ctx.find_root().obj
    workspace = (session if isinstance(session, Session) else _session(ctx)).workspace
    arms = [f"{one.id}/{arm}" for one in workspace.experiments() for arm in one.arms()]
    return [*(ref for ref in arms if ref.startswith(incomplete)), *complete_runs(ctx, param, incomplete)]


def complete_experiments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete the id of an experiment."""
    return [ref for ref in complete_runs(ctx, param, incomplete.split("/")[0]) if ref.startswith(incomplete)]


def _session(ctx: click.Context) -> Session:
    # While a shell completes, the group's callback has not run; its options are in the context all the same.
    return Session(ctx.find_root().params.get("workspace"))
