"""Which host is meant, and the line that its shell is given."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.errors import UsageError
from detui.engine.remote import Ended, Host, find_host
from detui.engine.remote.ssh import command_line, problem, remote_line

CONFIGURATION = """\
hosts:
  lab: {ssh: me@server, detui: /opt/detui/.venv/bin/detui, workspace: /data/me/logs}
  node.example.org: {detui: ~/detui/.venv/bin/detui}
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    return Configuration.load(environ={"DETUI_CONFIG": str(tmp_path / "config.yaml")})


def test_a_name_of_the_configuration(configuration: Configuration) -> None:
    lab = Host("lab", "me@server", "/opt/detui/.venv/bin/detui", "/data/me/logs")
    assert find_host(configuration, "lab") == lab
    assert configuration.settings["hosts.lab.ssh"].source.endswith("config.yaml:2:9")
    # Without `ssh`, the name itself is what ssh knows; points in it are no levels.
    assert find_host(configuration, "node.example.org") == Host(
        "node.example.org", "node.example.org", "~/detui/.venv/bin/detui"
    )


def test_what_ssh_knows_needs_no_configuration(configuration: Configuration) -> None:
    assert find_host(configuration, "me@server") == Host("me@server", "me@server")
    assert find_host(configuration, "laab").alike == "lab"


@pytest.mark.parametrize(
    "name", ["", "-oProxyCommand=x", "me@-oProxyCommand=x", "a b", "ssh://me@server", "a:22", "a@"]
)
def test_what_can_be_no_host(configuration: Configuration, name: str) -> None:
    """Nothing that is written there may become an option of ssh, or another path for rsync."""
    with pytest.raises(UsageError, match="names no host") as caught:
        find_host(configuration, name)
    assert "~/.ssh/config" in str(caught.value.hint)


def test_every_word_is_quoted_but_a_home(configuration: Configuration) -> None:
    words = ["record", "show", "it's $HOME; rm -rf *", ""]
    line = remote_line(find_host(configuration, "lab"), words, {})
    assert shlex.split(line) == ["/opt/detui/.venv/bin/detui", "--workspace", "/data/me/logs", *words]
    line = remote_line(find_host(configuration, "node.example.org"), ["ls"], {"COLORTERM": "truecolor", "LANG": "C"})
    assert line == 'env COLORTERM=truecolor "$HOME"/detui/.venv/bin/detui ls'


def test_a_terminal_goes_along_where_it_is_asked_for() -> None:
    host = Host("lab", "me@server")
    assert command_line(host, "detui", terminal=True) == ["ssh", "-t", "me@server", "--", "detui"]
    assert command_line(host, "detui ls", terminal=False) == ["ssh", "-T", "me@server", "--", "detui ls"]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_what_detui_itself_exits_with_is_no_problem_of_the_way(code: int) -> None:
    assert problem(Host("lab", "me@server"), Ended(code)) is None


def test_the_way_has_problems_of_its_own() -> None:
    host = Host("laab", "laab", alike="lab")
    error = problem(host, Ended(255, "one\nssh: Could not resolve hostname laab"))
    assert error is not None and error.exit_code == 3
    assert error.message == "The connection to laab failed or broke: ssh: Could not resolve hostname laab"
    assert str(error.hint).startswith("--host lab, or ssh laab true")
    error = problem(Host("me@server", "me@server"), Ended(127))
    assert error is not None and error.message == "There is no program 'detui' on me@server."
    assert "detui: /path/to/.venv/bin/detui" in str(error.hint)
    error = problem(Host("lab", "me@server", "/opt/detui"), Ended(126))
    assert error is not None and error.message == "The program '/opt/detui' cannot be run on lab."
