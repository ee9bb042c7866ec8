"""The toy worker for these tests, under one path that has everything a path can have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_runs import make_job  # noqa: F401
from toy_runs import leases, make_run  # noqa: F401


@pytest.fixture
def hostile_path(tmp_path: Path) -> Path:
    """A plain path would find nothing that this one does not, in twice the time."""
    folder = tmp_path / "space 'quote\" 数据\nnewline $HOME %s {seed}"
    folder.mkdir()
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-table", metavar="FILE", help="write the table of faults that were tested into FILE")


_outcomes: dict[tuple[str, str], set[str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note the outcome of each test that is a row of the table."""
    report = yield
    mark = item.get_closest_marker("fault")
    if mark is not None and (report.when == "call" or report.outcome != "passed"):
        _outcomes.setdefault(mark.args, set()).add(report.outcome)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table from what was seen: a fault whose test failed or was skipped is no row of it."""
    target = session.config.getoption("--faults-table", None)
    if not target:
        return
    path = Path(target)
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- faults -->\n")
    after = rest.partition("<!-- /faults -->")[2]
    rows = [f"| {what} | {then} |" for (what, then), seen in _outcomes.items() if seen == {"passed"}]
    table = "\n".join(["| what happens | what becomes of the run |", "| --- | --- |", *rows])
    path.write_text(f"{before}<!-- faults -->\n{table}\n<!-- /faults -->{after}", encoding="utf-8")
