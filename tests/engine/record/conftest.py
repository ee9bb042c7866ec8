"""Experiments that were trained as far as a test wants, and scored by the real evaluator."""

from __future__ import annotations

from pathlib import Path

import pytest
from crossed import Crossed
from trials import Trial

from detui.engine.record import fill


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A quick experiment with nothing trained yet."""
    return Trial(tmp_path)


@pytest.fixture
def hostile_trial(hostile_path: Path) -> Trial:
    """The same, in a plain and in a hostile folder."""
    return Trial(hostile_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A quick experiment, trained, evaluated and filled; for tests that only read it."""
    trial = Trial(tmp_path_factory.mktemp("finished"))
    trial.train_all()
    fill(trial.path)
    return trial


@pytest.fixture(scope="session")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    """Two arms on two data sets, trained and evaluated, not filled; for tests that only read it."""
    trial = Crossed(tmp_path_factory.mktemp("crossed"))
    trial.train_all()
    return trial


@pytest.fixture
def make_trial(tmp_path: Path):
    """Make an experiment of another shape: `make_trial(profile="full", seeds=(0, 1, 2))`."""

    def make(**changes) -> Trial:
        return Trial(tmp_path, **changes)

    return make
