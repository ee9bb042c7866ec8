"""Fixtures that all tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nvml_library import build

if TYPE_CHECKING:
    from made_environments import Made
    from secure_shell import Lab, Server
    from slurm_cluster import Cluster

    from detui.engine.data.frame import Frame

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Device leases of the tests alone: a training of somebody else on this machine must not hold them up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETUI_LEASES", str(tmp_path_factory.mktemp("leases")))
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real sshd on loopback; a test that needs it skips where it is not installed."""
    import secure_shell

    with secure_shell.serving(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
def lab(ssh_server: Server, tmp_path: Path) -> Lab:
    """Another host, and a laptop that has it in its configuration as `lab`; in folders that break shell strings."""
    import secure_shell

    folder = tmp_path / "with space 'quote\" 数据 $HOME"
    folder.mkdir()
    return secure_shell.lab_of(ssh_server, folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real test data beside the checkout; a test that needs it skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real test data at {folder}, which is absent")
    return folder


@pytest.fixture(scope="session")
def real_frame(shared_data: Path) -> Frame:
    """A key frame of nuScenes with six cameras and a LiDAR; a test that needs it skips where it is absent."""
    from detui.engine.data.frame_files import read_frame

    folder = shared_data / "nuscenes_frame"
    if not folder.is_dir():
        pytest.skip(f"needs the real frame at {folder}, which is absent")
    return read_frame(folder)


@pytest.fixture(params=["plain", "with space 'quote\" 数据"], ids=["plain", "hostile"])
def hostile_path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder whose name breaks shell strings and naive formats; each test runs in both."""
    folder = tmp_path / request.param
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for LD_LIBRARY_PATH; NVML_STAND_IN then names the file with the answers."""
    folder = build(tmp_path_factory.mktemp("nvml"))
    if folder is None:
        pytest.skip("needs a C compiler to build the stand-in for NVML")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test first needs the environment waits for all its packages."""
    for item in items:
        if "mmdet_made" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def mmdet_made() -> Made:
    """The environment `mmdet`, made once for its pins; a test that needs it skips where it cannot be installed.

    For fixtures of a module or the session, which hand `mmdet_made.environ` to what they start.
    """
    import made_environments

    try:
        return made_environments.made("mmdet")
    except made_environments.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def jittor_found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environment `jittor`, made once for its pins, is the one that detui finds; none where it cannot be installed.

    What this person configured is not under test. Whoever needs it skips where `standing` says that it is absent.
    """
    import made_environments

    with contextlib.suppress(made_environments.Unavailable):
        made_environments.made("jittor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETUI_CONFIG", str(tmp_path_factory.mktemp("none") / "no-configuration.yaml"))
        patch.setenv("DETUI_ENVIRONMENTS", str(made_environments.root_of_tests()))
        yield


@pytest.fixture(scope="session")
def slurm_daemons() -> Iterator[Cluster]:
    """A Slurm of the tests' own with two nodes; a test that needs it skips where it cannot be installed."""
    import slurm_cluster

    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(slurm_cluster.cluster(grace=2))
        except slurm_cluster.Unavailable as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture
def slurm(slurm_daemons: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """That Slurm without a job, and what this process starts talks to it; afterwards it is without a job again."""
    for name, value in slurm_daemons.environ.items():
        monkeypatch.setenv(name, value)
    slurm_daemons.clear()
    yield slurm_daemons
    slurm_daemons.clear()


@pytest.fixture
def mmdet_environment(mmdet_made: Made, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter of the environment `mmdet`, which this process and what it starts find, too."""
    for name, value in mmdet_made.environ.items():
        monkeypatch.setenv(name, value)
    return mmdet_made.python
